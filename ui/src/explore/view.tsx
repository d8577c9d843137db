// Facets and records: what there is, narrowed value by value. The filter is in the address; good ones can be saved.

import { useState } from "preact/hooks";
import { get, page, standing } from "../lib/api";
import { quoted } from "../lib/objects";
import { go, route, to } from "../lib/route";
import type { Facets, Row } from "../lib/types";
import { useAsk } from "../lib/use";
import { Rows } from "../parts/rows";
import { Busy, Copy, count, Problem } from "../parts/small";
import { Saved } from "./saved";
import "../styles/explore.css";

const FIELDS = ["user", "verb", "resource", "namespace", "code", "ip", "user_agent", "reason"];
const ROWS = 100;

export default function ExploreView() {
  const words = route.value.params.getAll("q");
  const set = (next: string[]) => go("explore", { q: next });
  return (
    <div class="explore">
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          const input = event.currentTarget.elements.namedItem("filter") as HTMLInputElement;
          const fresh = input.value.split(/\s+/).filter(Boolean);
          input.value = "";
          if (fresh.length) set([...words, ...fresh]);
        }}
      >
        <ul class="words" aria-label="filter">
          {words.map((word) => (
            <li key={word}>
              <button type="button" onClick={() => set(words.filter((w) => w !== word))} aria-label={`remove ${word}`}>
                {word} <span aria-hidden="true">×</span>
              </button>
            </li>
          ))}
        </ul>
        <label class="filter">
          <span class="offscreen">add a filter: field=value, or text</span>
          <input name="filter" placeholder="field=value, field!=value, or text" />
        </label>
        <button type="submit">Add</button>
        <a class="button" href={to("timeline", { q: words })}>
          As a timeline
        </a>
        <a class="button" href={to("live", { q: words })}>
          Follow
        </a>
        <Copy text={`kubewitness search ${words.map(quoted).join(" ")}`}>Copy command</Copy>
        <Saved words={words} open={set} />
      </form>
      <div class="explore-body">
        <FacetList words={words} add={(word) => set([...words.filter((w) => w !== word), word])} />
        <Found key={words.join("\0")} words={words} />
      </div>
    </div>
  );
}

function FacetList({ words, add }: { words: string[]; add: (word: string) => void }) {
  const fields = (standing.value?.clusters.length ?? 0) > 1 ? ["cluster", ...FIELDS] : FIELDS;
  const asked = useAsk([...fields, ...words].join("\0"), (signal) =>
    get<Facets>("/api/v1/facets", { fields: fields.join(","), q: words, limit: 8 }, signal),
  );
  return (
    <aside class="facets" aria-label="most frequent values">
      <Busy busy={asked.busy && !asked.value} />
      <Problem error={asked.error} />
      {asked.value?.facets
        .filter((facet) => facet.values.length)
        .map((facet) => {
          const most = Math.max(...facet.values.map((v) => v.count));
          return (
            <section key={facet.field}>
              <h2>{facet.field.replaceAll("_", " ")}</h2>
              <ul>
                {facet.values.map(({ value, count: n }) => (
                  <li key={value}>
                    <button type="button" class="facet" onClick={() => add(wordOf(facet.field, value))}>
                      <span class="facet-bar" style={{ width: `${(100 * n) / most}%` }} />
                      <span class="facet-value" title={value}>
                        {value.replace(/^system:serviceaccount:/, "…")}
                      </span>
                      <span class="number">{count(n)}</span>
                    </button>
                  </li>
                ))}
                {facet.others > 0 && <li class="soft">others: {count(facet.others)}</li>}
              </ul>
            </section>
          );
        })}
    </aside>
  );
}

/** `field=value`; the server takes a repeated parameter as one word, blanks and all. */
function wordOf(field: string, value: string): string {
  return `${field}=${value}`;
}

function Found({ words }: { words: string[] }) {
  const [more, setMore] = useState<{ rows: Row[]; next: string | null } | null>(null);
  const [busy, setBusy] = useState(false);
  const first = useAsk(words.join("\0"), (signal) => page<Row>("/api/v1/search", { q: words, limit: ROWS }, signal));
  const rows = [...(first.value?.rows ?? []), ...(more?.rows ?? [])];
  const next = more ? more.next : first.value?.next;
  const fetchMore = async () => {
    setBusy(true);
    const found = await page<Row>("/api/v1/search", { q: words, limit: ROWS, cursor: next ?? "" });
    setMore({ rows: [...(more?.rows ?? []), ...found.rows], next: found.next });
    setBusy(false);
  };
  return (
    <div class="found">
      <Busy busy={first.busy} />
      <Problem error={first.error} />
      {first.value && !rows.length && <p>Nothing found.</p>}
      {rows.length > 0 && <Rows rows={rows} caption="records, newest first" />}
      {next && (
        <button type="button" disabled={busy} onClick={fetchMore}>
          {busy ? "Asking …" : "Older records"}
        </button>
      )}
    </div>
  );
}
