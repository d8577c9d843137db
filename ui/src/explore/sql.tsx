// One SELECT over the store: an editor that knows its tables, the result as a table and as a chart. Only reading.

import { useEffect, useRef, useState } from "preact/hooks";
import { post } from "../lib/api";
import { go, route } from "../lib/route";
import { save } from "../lib/save";
import { Busy, Copy, count, Problem, several } from "../parts/small";
import { Tabs } from "../parts/tabs";
import { Chart } from "./chart";
import { editor } from "./editor";
import "../styles/explore.css";

export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  more: boolean;
}

const FIRST = `select date_trunc('minute', ts) as minute, source, count(*) as records
from activity
group by all
order by minute`;
const FORMS = ["table", "chart"] as const;

export default function SqlView() {
  const asked = route.value.params.get("query");
  const [answer, setAnswer] = useState<SqlAnswer | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const [form, setForm] = useState<(typeof FORMS)[number]>("table");
  const place = useRef<HTMLDivElement>(null);
  const text = useRef(asked ?? FIRST);
  const running = useRef<AbortController | null>(null);

  const run = async () => {
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    setBusy(true);
    setError(null);
    try {
      setAnswer(await post<SqlAnswer>("/api/v1/sql", { query: text.current }, control.signal));
      go("sql", { query: text.current }, true);
    } catch (refused) {
      if (!control.signal.aborted) setError(refused as Error);
    }
    if (running.current === control) setBusy(false);
  };
  const runner = useRef(run);
  runner.current = run;
  useEffect(() => {
    if (!place.current) return;
    const made = editor(place.current, text.current, {
      changed: (words) => {
        text.current = words;
      },
      run: () => void runner.current(),
    });
    if (asked) void runner.current();
    return () => {
      running.current?.abort();
      made.destroy();
    };
  }, []);

  return (
    <div class="sql">
      <div class="editor" ref={place} />
      <div class="bar">
        <button type="button" class="primary" onClick={run}>
          Run <span class="soft-on">Ctrl+Enter</span>
        </button>
        {busy && (
          <button type="button" onClick={() => running.current?.abort()}>
            Stop
          </button>
        )}
        <Copy text={`kubewitness sql "${text.current.replaceAll('"', '\\"')}"`}>Copy command</Copy>
        {answer && (
          <>
            <Tabs label="show as" all={FORMS} chosen={form} choose={setForm} />
            <button type="button" class="quiet" onClick={() => save("result.csv", csv(answer), "text/csv")}>
              Save CSV
            </button>
            <span class="soft">
              {several(answer.rows.length, "row")}
              {answer.more && ", there are more: the limit was reached"}
            </span>
          </>
        )}
      </div>
      <Busy busy={busy} />
      <Problem error={error} />
      {answer && !error && (form === "table" ? <Result answer={answer} /> : <Chart answer={answer} />)}
    </div>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function Result({ answer }: { answer: SqlAnswer }) {
  return (
    <section class="scroll" aria-label="result" tabIndex={0}>
      <table class="result">
        <thead>
          <tr>
            {answer.columns.map(({ name, type }) => (
              <th key={name} scope="col" title={type}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {answer.rows.slice(0, 2000).map((row, i) => (
            <tr key={i}>
              {row.map((value, c) => (
                <td key={c} class={typeof value === "number" ? "number" : ""}>
                  {shown(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** RFC 4180; a cell that a spreadsheet would take for a formula begins with a quote. */
function csv(answer: SqlAnswer): string {
  const cell = (value: unknown) => {
    const text = value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
    const safe = /^[=+\-@\t\r]/.test(text) && typeof value === "string" ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [answer.columns.map((c) => c.name), ...answer.rows].map((row) => row.map(cell).join(",")).join("\r\n");
}
