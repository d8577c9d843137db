// What arrives, as it arrives, with a pause.

import { useState } from "preact/hooks";
import { go, route } from "../lib/route";
import { type TailState, useTail } from "../lib/tail";
import { Rows } from "../parts/rows";
import { count } from "../parts/small";
import "../styles/live.css";

/** rows that the page keeps; older ones are in the store */
const KEPT = 500;

export default function LiveView() {
  const params = route.value.params;
  const words = params.getAll("q");
  const [paused, setPaused] = useState(false);
  const { rows, state, seen, missed } = useTail(words, KEPT, paused);
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
        {count(seen)} arrived since this view was opened; the newest {count(rows.length)} are shown
      </p>
      {rows.length ? (
        <Rows rows={[...rows].reverse()} caption="what arrived, newest first" />
      ) : (
        <p>Waiting for the next record …</p>
      )}
    </div>
  );
}

const SAID: Record<TailState, string> = {
  connecting: "connecting …",
  following: "following",
  away: "the server is away; trying again",
};
