// Times as people read them, in the zone of the settings. Input: RFC 3339 or milliseconds since 1970.

import { zoneName } from "./settings";

const made = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zoneName()} ${JSON.stringify(options)}`;
  let found = made.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: zoneName() });
    made.set(key, found);
  }
  return found;
}

export type When = string | number | null | undefined;

/** Milliseconds since 1970; NaN for what is no time. */
export function ms(when: When): number {
  return typeof when === "number" ? when : when ? Date.parse(when) : Number.NaN;
}

const DATE: Intl.DateTimeFormatOptions = { year: "numeric", month: "2-digit", day: "2-digit" };
const CLOCK: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit" };

function written(when: When, options: Intl.DateTimeFormatOptions): string {
  const time = ms(when);
  return Number.isFinite(time) ? format(options).format(time) : "";
}

/** `2026-11-22 22:18:26.539`. */
export function full(when: When): string {
  return written(when, { ...DATE, ...CLOCK, fractionalSecondDigits: 3 }).replace(",", ".");
}

/** `22:18:26`. */
export function clock(when: When): string {
  return written(when, CLOCK);
}

/** `2026-11-22`. */
export function day(when: When): string {
  return written(when, DATE);
}

/** Short name of the zone at that time: `UTC`, `CET`, `GMT+1`. */
export function zoneShort(when: When = Date.now()): string {
  const time = ms(when);
  const parts = new Intl.DateTimeFormat("en", { timeZone: zoneName(), timeZoneName: "short" }).formatToParts(
    Number.isFinite(time) ? time : Date.now(),
  );
  return parts.find((p) => p.type === "timeZoneName")?.value ?? zoneName();
}

const UNITS: [number, string][] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"],
];

/** `3 d 2 h`, `28 min 11 s`, `5.1 s`, `40 ms`. */
export function span(duration: number): string {
  const length = Math.abs(duration);
  if (length < 1000) return `${Math.round(length)} ms`;
  if (length < 60_000) return `${(length / 1000).toFixed(1).replace(/\.0$/, "")} s`;
  const index = UNITS.findIndex(([size]) => length >= size);
  const [size, unit] = UNITS[index] ?? [1000, "s"];
  const [small, name] = UNITS[index + 1] ?? [1, "ms"];
  const rest = Math.floor((length % size) / small);
  return `${Math.floor(length / size)} ${unit}${rest ? ` ${rest} ${name}` : ""}`;
}

/** `28 min 11 s ago`. */
export function ago(when: When, now = Date.now()): string {
  const time = ms(when);
  if (!Number.isFinite(time)) return "";
  return time > now + 1000 ? `in ${span(time - now)}` : `${span(now - time)} ago`;
}
