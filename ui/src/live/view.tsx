// What arrives, as it arrives: server-sent events, with a pause. Repeats are told by their ids and dropped.

import { useEffect, useRef, useState } from "preact/hooks";
import { address } from "../lib/api";
import { go, route } from "../lib/route";
import type { Row } from "../lib/types";
import { Rows } from "../parts/rows";
import { count } from "../parts/small";
import "../styles/live.css";

/** rows that the page keeps; older ones are in the store */
const KEPT = 500;

export default function LiveView() {
  const params = route.value.params;
  const words = params.getAll("q");
  const [paused, setPaused] = useState(false);
  const { rows, state, seen, missed } = useTail(words, paused);
  return (
    <div class="live">
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          const text = String(new FormData(event.currentTarget).get("filter"));
          go("live", { q: text.split(/\s+/).filter(Boolean) });
        }}
      >
        <label class="filter">
          <span class="offscreen">filter: field=value, or text</span>
          <input
            name="filter"
            defaultValue={words.join(" ")}
            placeholder="namespace=shop  verb=delete  user_kind=human"
          />
        </label>
        <button type="submit">Filter</button>
        <button type="button" class={paused ? "primary" : ""} aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? "Go on" : "Pause"}
        </button>
        <span class={`live-state live-${state}`} role="status">
          {paused ? `paused, ${count(missed)} more since` : SAID[state]}
        </span>
      </form>
      <p class="soft">
        {count(seen)} arrived since this view was opened; the newest {count(Math.min(KEPT, rows.length))} are shown
      </p>
      {rows.length ? <Rows rows={rows} caption="what arrived, newest first" /> : <p>Waiting for the next record …</p>}
    </div>
  );
}

type State = "connecting" | "following" | "away";
const SAID: Record<State, string> = {
  connecting: "connecting …",
  following: "following",
  away: "the server is away; trying again",
};

/** While paused records are counted, not shown; they are shown when it goes on. */
function useTail(words: string[], paused: boolean) {
  const [rows, setRows] = useState<Row[]>([]);
  const [state, setState] = useState<State>("connecting");
  const [seen, setSeen] = useState(0);
  const held = useRef<Row[]>([]);
  const ids = useRef(new Set<string>());
  const pause = useRef(paused);
  pause.current = paused;
  const key = words.join("\0");
  useEffect(() => {
    setRows([]);
    held.current = [];
    ids.current.clear();
    setSeen(0);
    const source = new EventSource(address("/api/v1/tail", { q: words }));
    source.onopen = () => setState("following");
    source.onerror = () => setState("away");
    source.addEventListener("row", (event) => {
      const row = JSON.parse(event.data) as Row;
      if (ids.current.has(row.id)) return;
      ids.current.add(row.id);
      held.current.unshift(row);
    });
    const timer = setInterval(() => {
      setSeen(ids.current.size);
      if (pause.current || !held.current.length) return;
      const fresh = held.current;
      held.current = [];
      setRows((old) => [...fresh, ...old].slice(0, KEPT));
    }, 250);
    return () => {
      source.close();
      clearInterval(timer);
    };
  }, [key]);
  return { rows, state, seen, missed: held.current.length };
}
