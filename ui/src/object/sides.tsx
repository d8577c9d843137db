// Two versions as YAML, side by side; unchanged stretches are folded.

import { useState } from "preact/hooks";
import { full } from "../lib/time";
import type { FieldChange, ShowAnswer } from "../lib/types";
import { useAsk } from "../lib/use";
import { aligned, type Pair } from "./align";

interface Props {
  before: ShowAnswer;
  after: ShowAnswer;
  changes: FieldChange[];
}

export function SideBySide({ before, after, changes }: Props) {
  const [all, setAll] = useState(false);
  const asked = useAsk(`${before.id} ${after.id} ${changes.length}`, () =>
    aligned(before.object, after.object, changes),
  );
  const pairs = asked.value;
  if (!pairs) return null;
  const shown = all ? pairs.map((pair) => [pair]) : folded(pairs);
  return (
    <section class="scroll" aria-label="two versions side by side" tabIndex={0}>
      <label class="check">
        <input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} /> unchanged
        lines too
      </label>
      <table class="sides">
        <thead>
          <tr>
            <th scope="col" colSpan={2}>
              {full(before.when)}
            </th>
            <th scope="col" colSpan={2}>
              {full(after.when)}
            </th>
            <th scope="col">set by</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((part, i) =>
            part.length > 1 ? (
              <tr key={i} class="fold">
                <td colSpan={5}>{part.length} unchanged lines</td>
              </tr>
            ) : (
              <PairRow key={i} pair={part[0]} />
            ),
          )}
        </tbody>
      </table>
    </section>
  );
}

function PairRow({ pair }: { pair: Pair | undefined }) {
  if (!pair) return null;
  const changed = pair.old !== pair.new;
  return (
    <tr>
      <td class="sign">{changed && pair.old !== null ? "−" : ""}</td>
      <td class={changed && pair.old !== null ? "side-old" : ""}>{pair.old}</td>
      <td class="sign">{changed && pair.new !== null ? "+" : ""}</td>
      <td class={changed && pair.new !== null ? "side-new" : ""}>{pair.new}</td>
      <td class="by">{pair.by}</td>
    </tr>
  );
}

const AROUND = 3;

/** Stretches of unchanged lines as one part each, but for a few around each change. */
function folded(pairs: Pair[]): Pair[][] {
  const near = pairs.map((_, i) => pairs.slice(Math.max(0, i - AROUND), i + AROUND + 1).some((p) => p.old !== p.new));
  const parts: Pair[][] = [];
  pairs.forEach((pair, i) => {
    const last = parts.at(-1);
    if (!near[i] && last && i > 0 && !near[i - 1]) last.push(pair);
    else parts.push([pair]);
  });
  return parts;
}
