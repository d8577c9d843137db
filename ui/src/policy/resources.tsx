// What was seen of each resource: verbs with their levels, stages, kinds of users, volume.

import { useState } from "preact/hooks";
import { to } from "../lib/route";
import { bytes, count } from "../parts/small";
import { Part } from "./noise";
import { nameOf, type ResourceSeen, type VerbSeen, wordsOf } from "./types";

const FIRST = 60;
const SHORT: Record<string, string> = { None: "–", Metadata: "M", Request: "R", RequestResponse: "RR" };

interface Props {
  resources: ResourceSeen[];
  more: number;
  total: number;
}

export function Resources({ resources, more, total }: Props) {
  const [text, setText] = useState("");
  const [all, setAll] = useState(false);
  const fitting = resources.filter((one) => nameOf(one).includes(text.toLowerCase()));
  const shown = all ? fitting : fitting.slice(0, FIRST);
  return (
    <section>
      <h2>Resource by resource</h2>
      <div class="bar">
        <label class="filter">
          <span class="offscreen">only resources whose name holds</span>
          <input
            value={text}
            placeholder="pods, apps, secrets …"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <span class="soft">
          <Level level="Metadata" /> who and what, <Level level="Request" /> with what was sent,{" "}
          <Level level="RequestResponse" /> with the answer, too
        </span>
      </div>
      <section class="scroll" aria-label="levels by resource" tabIndex={0}>
        <table class="levels">
          <thead>
            <tr>
              <th scope="col">resource</th>
              <th scope="col">verbs and levels</th>
              <th scope="col">stages</th>
              <th scope="col">asked by</th>
              <th scope="col" class="number">
                records
              </th>
              <th scope="col" class="number">
                bytes
              </th>
              <th scope="col">share</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <Line key={`${nameOf(one)} ${one.path}`} one={one} total={total} />
            ))}
          </tbody>
        </table>
      </section>
      {fitting.length > shown.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {count(fitting.length)}
        </button>
      )}
      {more > 0 && <p class="soft">and {count(more)} more with less volume</p>}
    </section>
  );
}

function Line({ one, total }: { one: ResourceSeen; total: number }) {
  return (
    <tr>
      <th scope="row">
        <a href={to("explore", { q: wordsOf(one) })}>{nameOf(one)}</a>
      </th>
      <td>
        {one.verbs.map((verb) => (
          <span key={verb.verb} class="verb" title={title(verb)}>
            {verb.verb}
            {Object.keys(verb.levels).map((level) => (
              <Level key={level} level={level} />
            ))}
          </span>
        ))}
      </td>
      <td>{named(one, "stages")}</td>
      <td>{named(one, "kinds")}</td>
      <td class="number">{count(one.records)}</td>
      <td class="number">{bytes(one.bytes)}</td>
      <td>
        <Part part={one.bytes} whole={total} />
      </td>
    </tr>
  );
}

function Level({ level }: { level: string }) {
  return (
    <abbr class={`level level-${level || "none"}`} title={level || "the record does not tell its level"}>
      {SHORT[level] ?? "?"}
    </abbr>
  );
}

function title(verb: VerbSeen): string {
  const levels = Object.entries(verb.levels).map(([level, n]) => `${count(n)} at ${level || "a level not told"}`);
  const kinds = Object.entries(verb.kinds).map(([kind, n]) => `${count(n)} by ${kind}`);
  return `${verb.verb}: ${levels.join(", ")}; ${kinds.join(", ")}; ${bytes(verb.bytes)}`;
}

function named(one: ResourceSeen, field: "stages" | "kinds") {
  const found = new Set(one.verbs.flatMap((verb) => Object.keys(verb[field])));
  return [...found].sort().map((name) => (
    <span key={name} class="word">
      {name}
    </span>
  ));
}
