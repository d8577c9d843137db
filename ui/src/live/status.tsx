// How the recording is: inputs, lag, drops, the journal, outputs, tables, the disk.

import { useState } from "preact/hooks";
import { get } from "../lib/api";
import type { Held, Status } from "../lib/types";
import { useEvery } from "../lib/use";
import { Busy, bytes, count, Problem, several, Tile, Time } from "../parts/small";
import "../styles/live.css";

const EVERY_MS = 2000;

export default function StatusView() {
  const [status, setStatus] = useState<Status | null>(null);
  const [error, setError] = useState<Error | null>(null);
  useEvery(EVERY_MS, (signal) =>
    get<Status>("/api/v1/status", {}, signal).then(
      (found) => {
        setStatus(found);
        setError(null);
      },
      (refused: Error) => setError(refused),
    ),
  );
  if (!status) return error ? <Problem error={error} /> : <Busy busy>Asking …</Busy>;
  return (
    <div class="status">
      <h1>How the recording is</h1>
      <Problem error={error} />
      <Overview status={status} />
      <Inputs status={status} />
      <Outputs status={status} />
      <Tables status={status} />
    </div>
  );
}

function Overview({ status }: { status: Status }) {
  const { journal, disk, recorder } = status;
  const rejects = status.rejects + status.set_aside.reduce((sum, s) => sum + s.records, 0);
  return (
    <dl class="tiles">
      <Tile name="recorder" bad={recorder.alive === false}>
        {recorder.alive === false ? "not running" : "running"}
      </Tile>
      <Tile name="waiting for the tables">{waitingText(status)}</Tile>
      <Tile name="journal" bad={full(journal.bytes, journal.size_limit)}>
        {bytes(journal.bytes)}
        {journal.size_limit ? ` of ${bytes(journal.size_limit)}` : ""}
      </Tile>
      <Tile name="repeats recognised">{count(status.duplicates)}</Tile>
      <Tile name="not understood, kept aside" bad={rejects > 0}>
        {count(rejects)}
      </Tile>
      <Tile name="quarantined bodies" bad={journal.quarantined > 0}>
        {count(journal.quarantined)}
      </Tile>
      <Tile name="free on the disk" bad={disk.free_bytes < disk.total_bytes / 20}>
        {bytes(disk.free_bytes)}
      </Tile>
      <Tile name="original records">{bytes(status.raw.bytes)}</Tile>
    </dl>
  );
}

function full(used: number, limit: number | null): boolean {
  return limit !== null && used > limit * 0.8;
}

function waitingText(status: Status): string {
  return several(
    Object.values(status.tables).reduce((sum, table) => sum + table.waiting.records, 0),
    "record",
  );
}

function Inputs({ status }: { status: Status }) {
  return (
    <section>
      <h2>Inputs</h2>
      {!status.inputs.length && (
        <p>No recorder of this state is running. What was recorded can be asked all the same.</p>
      )}
      {status.inputs.map(({ name, state, pid, ...rest }) => (
        <details key={`${pid} ${name}`} class="input" open>
          <summary>
            {name} <span class={state === "running" ? "chip sure-proved" : "chip sure-inferred"}>{state}</span>{" "}
            <span class="soft">process {pid}</span>
          </summary>
          <Values values={rest} />
        </details>
      ))}
      {Object.entries(status.journal.sources).length > 0 && (
        <>
          <h3>Counted since the beginning</h3>
          {Object.entries(status.journal.sources).map(([name, values]) => (
            <details key={name}>
              <summary>{name}</summary>
              <Values values={values} />
            </details>
          ))}
        </>
      )}
    </section>
  );
}

/** Numbers and words of a part; what is nested is told as it is. */
function Values({ values }: { values: Record<string, unknown> }) {
  return (
    <dl class="values">
      {Object.entries(values).map(([name, value]) => (
        <div key={name}>
          <dt>{name.replaceAll("_", " ")}</dt>
          <dd>
            {typeof value === "number" ? count(value) : typeof value === "string" ? value : JSON.stringify(value)}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Outputs({ status }: { status: Status }) {
  const outputs = Object.entries(status.journal.outputs);
  if (!outputs.length && !status.set_aside.length) return null;
  return (
    <section>
      <h2>Outputs</h2>
      <ul>
        {outputs.map(([name, output]) => (
          <li key={name}>
            {name}: {held(output.waiting)}
          </li>
        ))}
        {status.set_aside.map((aside) => (
          <li key={aside.path} class="warn">
            {aside.output} of {aside.pipeline}: {several(aside.records, "record")} refused for good, kept in{" "}
            <code>{aside.path}</code>
          </li>
        ))}
      </ul>
    </section>
  );
}

function held(waiting: Held) {
  return (
    <>
      {several(waiting.records, "record")} waiting ({bytes(waiting.bytes)})
      {waiting.oldest && (
        <>
          , the oldest of <Time when={waiting.oldest} relative />
        </>
      )}
    </>
  );
}

function Tables({ status }: { status: Status }) {
  return (
    <section class="scroll" aria-label="tables" tabIndex={0}>
      <h2>Tables</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">table</th>
            <th scope="col" class="number">
              records
            </th>
            <th scope="col" class="number">
              waiting
            </th>
            <th scope="col" class="number">
              size
            </th>
            <th scope="col">first</th>
            <th scope="col">last</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(status.tables).map(([name, table]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="number">{count(table.rows)}</td>
              <td class="number">{count(table.waiting.records)}</td>
              <td class="number">{bytes(Number(table.bytes ?? 0))}</td>
              <td class="nowrap">
                <Time when={table.first as string | null} />
              </td>
              <td class="nowrap">
                <Time when={table.last as string | null} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
