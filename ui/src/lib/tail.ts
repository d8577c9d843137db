// What arrives, as server-sent events: it goes on after the server was away, after a sleep of the machine, and for days.
// Repeats are told by their ids and dropped; the server tells the last ten seconds again after a break.

import { useEffect, useRef, useState } from "preact/hooks";
import { address, get } from "./api";
import type { Row } from "./types";

export type TailState = "connecting" | "following" | "away";

/** ids that are remembered: more than arrive in the time that is told again */
const IDS = 20_000;
const EVERY_MS = 250;
/** a pause of our own clock as long as this was a sleep: the connection may be dead without knowing it */
const SLEPT_MS = 20_000;
const AGAIN_MS = 3000;
/** what became visible late may not have been seen */
const LATE_MS = 10_000;

interface Told {
  state(state: TailState): void;
  rows(rows: Row[]): void;
}

class Tail {
  private source: EventSource | null = null;
  private again = 0;
  private ids = new Set<string>();
  private older = new Set<string>();
  private held: Row[] = [];
  private tick = Date.now();
  private readonly timer: number;
  /** the server's place of the last row: microseconds since 1970 */
  private last = "";

  constructor(
    private readonly words: string[],
    private readonly told: Told,
  ) {
    this.open();
    this.timer = window.setInterval(() => this.beat(), EVERY_MS);
  }

  close(): void {
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.source?.close();
  }

  private open(): void {
    this.source?.close();
    clearTimeout(this.again);
    const since = this.last && new Date(Number(this.last) / 1000 - LATE_MS).toISOString();
    const source = new EventSource(address("/api/v1/tail", { q: this.words, since }));
    this.source = source;
    source.onopen = () => this.told.state("following");
    source.onerror = () => {
      this.told.state("away");
      if (source.readyState === EventSource.CLOSED) this.refused();
    };
    source.addEventListener("row", (event) => this.row(event));
  }

  /** Browsers come back by themselves when a connection breaks, but not when a server answers with an error. */
  private refused(): void {
    get("/api/v1/session").catch(() => {}); // asks for a login, where that is what is missing
    clearTimeout(this.again);
    this.again = window.setTimeout(() => this.open(), AGAIN_MS);
  }

  private row(event: MessageEvent<string>): void {
    const row = JSON.parse(event.data) as Row;
    this.last = event.lastEventId || this.last;
    if (this.ids.has(row.id) || this.older.has(row.id)) return;
    this.ids.add(row.id);
    if (this.ids.size > IDS) {
      this.older = this.ids;
      this.ids = new Set();
    }
    this.held.push(row);
  }

  private beat(): void {
    const now = Date.now();
    const slept = now - this.tick > SLEPT_MS && document.visibilityState === "visible";
    this.tick = now;
    if (slept) this.open();
    if (!this.held.length) return;
    this.told.rows(this.held);
    this.held = [];
  }
}

/**
 * The newest `most` rows that arrived, oldest first, and how many there were; null words follow nothing. While paused
 * rows are kept back, and shown when it goes on.
 */
export function useTail(words: string[] | null, most: number, paused = false) {
  const [rows, setRows] = useState<Row[]>([]);
  const [state, setState] = useState<TailState>("connecting");
  const [seen, setSeen] = useState(0);
  const back = useRef<{ rows: Row[]; count: number }>({ rows: [], count: 0 });
  const pause = useRef(paused);
  pause.current = paused;
  const key = words?.join("\0") ?? null;
  useEffect(() => {
    setRows([]);
    setSeen(0);
    setState("connecting");
    back.current = { rows: [], count: 0 };
    if (!words) return;
    const tail = new Tail(words, {
      state: setState,
      rows: (fresh) => {
        setSeen((n) => n + fresh.length);
        if (pause.current) {
          back.current = {
            rows: [...back.current.rows, ...fresh].slice(-most),
            count: back.current.count + fresh.length,
          };
        } else setRows((old) => [...old, ...fresh].slice(-most));
      },
    });
    return () => tail.close();
  }, [key]);
  useEffect(() => {
    if (paused) return;
    const kept = back.current.rows;
    back.current = { rows: [], count: 0 };
    if (kept.length) setRows((old) => [...old, ...kept].slice(-most));
  }, [paused]);
  return { rows, state, seen, missed: back.current.count };
}
