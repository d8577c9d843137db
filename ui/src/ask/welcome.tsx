// Before the first question: what can be asked of what was recorded; or, when nothing was, how to connect a cluster.

import { useState } from "preact/hooks";
import { get } from "../lib/api";
import { asking } from "../lib/route";
import type { Example, Status } from "../lib/types";
import { type Asked, useAsk, useEvery } from "../lib/use";
import { Busy, count, Problem, Time } from "../parts/small";
import { Connect } from "./connect";

/** Records that a state holds, those that no table has yet included. */
export function recorded(status: Status): number {
  return Object.values(status.tables).reduce((sum, table) => sum + table.rows + table.waiting.records, 0);
}

export function Welcome() {
  const [status, setStatus] = useState<Status | null>(null);
  const [error, setError] = useState<Error | null>(null);
  // asked beside the status, not after it: it is what the first view shows; again, when the first record has arrived
  const examples = useAsk(!status || recorded(status) ? "examples" : null, (signal) =>
    get<Example[]>("/api/v1/examples", {}, signal),
  );
  useEvery(2500, (signal) => get<Status>("/api/v1/status", {}, signal).then(setStatus, setError));
  if (!status) return error ? <Problem error={error} /> : <Busy busy>Looking at what is recorded …</Busy>;
  return recorded(status) ? <Examples status={status} asked={examples} /> : <Connect status={status} />;
}

function Examples({ status, asked }: { status: Status; asked: Asked<Example[]> }) {
  const firsts = Object.values(status.tables).flatMap((t) => (typeof t.first === "string" ? [t.first] : []));
  return (
    <section class="welcome">
      <h1>Who or what did it, when, from where, and what followed?</h1>
      <p class="soft">
        {count(recorded(status))} records
        {firsts.length > 0 && (
          <>
            {" "}
            since <Time when={firsts.sort()[0]} />
          </>
        )}
        {status.recorder.alive === false && ", nothing is being recorded now"}
      </p>
      {asked.value && asked.value.length > 0 && (
        <>
          <h2>Asked of this recording</h2>
          <ul class="examples">
            {asked.value.map((example) => (
              <li key={example.question}>
                <a href={asking(example.question)}>
                  <code>{example.question}</code>
                  <span class="soft">{example.why}</span>
                  <span class="soft">
                    <Time when={example.at} relative />
                  </span>
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
      <Problem error={asked.error} />
    </section>
  );
}
