// Where the time axis has its marks: round times in the chosen zone.

import { zoneName } from "../lib/settings";
import { clock, day } from "../lib/time";

const S = 1000;
const MIN = 60 * S;
const H = 60 * MIN;
const DAY = 24 * H;
const STEPS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  S,
  2 * S,
  5 * S,
  10 * S,
  15 * S,
  30 * S,
  MIN,
  2 * MIN,
  5 * MIN,
  10 * MIN,
  15 * MIN,
  30 * MIN,
  H,
  2 * H,
  3 * H,
  6 * H,
  12 * H,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
  30 * DAY,
  90 * DAY,
  365 * DAY,
];

export interface Tick {
  t: number;
  label: string;
  /** a new day begins here */
  day: boolean;
}

/** Ticks of a window, at most one each `apart` pixels. */
export function ticks(t0: number, t1: number, width: number, apart = 110): Tick[] {
  const wanted = ((t1 - t0) * apart) / Math.max(1, width);
  const step = STEPS.find((s) => s >= wanted) ?? 365 * DAY;
  const offset = offsetMs(t0);
  const found: Tick[] = [];
  let last = "";
  for (let t = Math.ceil((t0 + offset) / step) * step - offset; t <= t1; t += step) {
    const date = day(t);
    const fresh = date !== last;
    last = date;
    found.push({ t, day: fresh, label: step >= DAY ? date : labelOf(t, step) });
  }
  return found;
}

function labelOf(t: number, step: number): string {
  const time = clock(t);
  if (step < S) return `${time}.${String(t % 1000).padStart(3, "0")}`;
  return step >= MIN ? time.slice(0, 5) : time;
}

/** The zone's distance from UTC at a time. */
function offsetMs(t: number): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zoneName(),
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(t);
  const of = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  const local = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
  return local - Math.floor(t / 1000) * 1000;
}
