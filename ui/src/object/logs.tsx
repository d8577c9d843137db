// The log lines of an object, around a time: pages to both sides, a filter, and what arrives, followed.

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../lib/api";
import { type TailState, useTail } from "../lib/tail";
import { zoneShort } from "../lib/time";
import type { LogsAnswer, Row } from "../lib/types";
import { Busy, Problem, several } from "../parts/small";
import { LogLine } from "./logline";
import type { ObjectParams } from "./view";

const LINES = 200;
/** pages that are kept; those at the other end go first */
const PAGES = 8;
const ERRORS = "severity=error,fatal,critical,crit,alert,emerg,emergency,panic,severe";

interface Props {
  params: ObjectParams;
  /** ms since 1970: where it opens */
  near: number | null;
}

export function Logs({ params, near }: Props) {
  const [words, setWords] = useState<string[]>([]);
  const [errors, setErrors] = useState(false);
  const [at, setAt] = useState(near);
  useEffect(() => setAt(near), [near]);
  const q = errors ? [...words, ERRORS] : words;
  return (
    <>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          const text = String(new FormData(event.currentTarget).get("filter"));
          setWords(text.split(/\s+/).filter(Boolean));
        }}
      >
        <label class="filter">
          <span class="offscreen">only lines with: text, or container=, severity=, stream=</span>
          <input name="filter" placeholder="text  container=web  stream=stderr" />
        </label>
        <button type="submit">Filter</button>
        <label class="check">
          <input type="checkbox" checked={errors} onChange={(event) => setErrors(event.currentTarget.checked)} /> only
          what says that it is an error
        </label>
      </form>
      <Pages key={`${q.join("\0")} ${at}`} asked={{ ...params, q }} at={at} newest={() => setAt(null)} />
    </>
  );
}

interface PagesProps {
  asked: Record<string, string | string[]>;
  at: number | null;
  newest: () => void;
}

function Pages({ asked, at, newest }: PagesProps) {
  const [pages, setPages] = useState<LogsAnswer[]>([]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const [following, setFollowing] = useState(false);
  const fetchPage = async (side: "older" | "newer" | null, signal?: AbortSignal) => {
    const cursor = side === "older" ? pages[0]?.older : side === "newer" ? pages.at(-1)?.newer : null;
    const place = side ? { [side]: cursor } : at === null ? {} : { at: new Date(at).toISOString() };
    setBusy(true);
    setError(null);
    try {
      const page = await get<LogsAnswer>("/api/v1/logs", { ...asked, ...place, limit: LINES }, signal);
      if (side === "older") setPages((old) => [page, ...old].slice(0, PAGES));
      else setPages((old) => (side ? [...old, page].slice(-PAGES) : [page]));
    } catch (refused) {
      if (!signal?.aborted) setError(refused as Error);
    }
    setBusy(false);
  };
  useEffect(() => {
    const control = new AbortController();
    void fetchPage(null, control.signal);
    return () => control.abort();
  }, []);

  const first = pages[0];
  const last = pages.at(-1);
  const known = pages.flatMap((page) => page.rows);
  const arrived = useTail(following && last ? last.words.concat(asked.q as string[]) : null, LINES * PAGES);
  const ids = new Set(known.map((row) => row.id));
  const rows = [...known, ...arrived.rows.filter((row) => !ids.has(row.id))];
  return (
    <>
      <p class="bar">
        {first?.older && (
          <button type="button" disabled={busy} onClick={() => void fetchPage("older")}>
            Older lines
          </button>
        )}
        {at !== null && (
          <button type="button" onClick={newest}>
            Newest
          </button>
        )}
        <button type="button" aria-pressed={following} onClick={() => setFollowing(!following)} disabled={!last}>
          {following ? "Stop following" : "Follow"}
        </button>
        <span class="soft" role="status">
          {busy ? "Asking …" : said(rows.length, last, following ? SAID[arrived.state] : "")}
        </span>
      </p>
      <Problem error={error} />
      {!busy && first && !rows.length && <Nothing missing={first.missing} />}
      {rows.length > 0 && <Lines rows={rows} near={at} several={(last?.pods.length ?? 0) !== 0} end={following} />}
      {!following && last?.newer && (
        <button type="button" disabled={busy} onClick={() => void fetchPage("newer")}>
          Newer lines
        </button>
      )}
      <Busy busy={busy && !first} />
    </>
  );
}

const SAID: Record<TailState, string> = {
  connecting: "connecting …",
  following: "following",
  away: "the server is away; trying again",
};

function said(n: number, last: LogsAnswer | undefined, state: string): string {
  const pods = last?.pods.length ? ` of ${several(last.pods.length, "pod")}` : "";
  return `${several(n, "line")}${pods}${state && `, ${state}`}`;
}

function Nothing({ missing }: { missing: string[] }) {
  return (
    <>
      <p>No such line is recorded. What would tell:</p>
      <ul>
        {missing.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </>
  );
}

interface LinesProps {
  rows: Row[];
  near: number | null;
  /** lines of more than one pod */
  several: boolean;
  /** the newest line is kept in sight, also when others come */
  end: boolean;
}

function Lines({ rows, near, several, end }: LinesProps) {
  const list = useRef<HTMLOListElement>(null);
  const newest = rows.at(-1)?.id;
  useEffect(() => {
    const box = list.current?.parentElement;
    if (box && (end || near === null)) box.scrollTop = box.scrollHeight;
  }, [end, near, newest]);
  const marked = near === null ? null : nearest(rows, near);
  return (
    <section class="log" aria-label={`log lines, oldest first, ${zoneShort(rows[0]?.when)}`} tabIndex={0}>
      <ol ref={list}>
        {rows.map((row) => (
          <LogLine key={row.id} row={row} pod={several} marked={row.id === marked} />
        ))}
      </ol>
    </section>
  );
}

function nearest(rows: Row[], near: number): string | null {
  let best: Row | null = null;
  for (const row of rows) {
    if (!best || Math.abs(Date.parse(row.when) - near) < Math.abs(Date.parse(best.when) - near)) best = row;
  }
  return best?.id ?? null;
}
