// Small parts that every view uses.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { named, objectParams, spelled } from "../lib/objects";
import { asking, to } from "../lib/route";
import { copy } from "../lib/save";
import { ago, full, type When, zoneShort } from "../lib/time";
import type { Certainty } from "../lib/types";

/** A time, with its distance from now. */
export function Time({ when, relative = false, zoned = true }: { when: When; relative?: boolean; zoned?: boolean }) {
  if (!when) return null;
  return (
    <time dateTime={typeof when === "number" ? new Date(when).toISOString() : when} title={ago(when)}>
      {full(when)}
      {zoned && <span class="zone"> {zoneShort(when)}</span>}
      {relative && <span class="soft"> ({ago(when)})</span>}
    </time>
  );
}

const SURE: Record<Certainty, string> = {
  proved: "Follows from identity in the records: a uid, an owner reference, a body.",
  inferred: "Follows from time, order and names. Others may fit as well.",
  unknown: "The records do not tell.",
};
const SIGN: Record<Certainty, string> = { proved: "✓", inferred: "≈", unknown: "?" };

/** How sure a thing is: a sign, a word and a colour, never the colour alone. */
export function Sure({ certainty }: { certainty: Certainty }) {
  return (
    <span class={`chip sure-${certainty}`} title={SURE[certainty]}>
      <span aria-hidden="true">{SIGN[certainty]}</span> {certainty}
    </span>
  );
}

export function Copy({ text, children }: { text: string; children: ComponentChildren }) {
  const [said, setSaid] = useState("");
  return (
    <button
      type="button"
      class="quiet"
      title={text}
      onClick={async () => {
        setSaid((await copy(text)) ? "copied" : "not allowed here");
        setTimeout(() => setSaid(""), 1500);
      }}
    >
      {children}
      <span role="status" class="said">
        {said && ` ${said}`}
      </span>
    </button>
  );
}

/** An object's name, leading to its timeline. */
export function ObjectLink({ object, cluster }: { object: string; cluster?: string }) {
  const found = named(object);
  if (!found) return <span class="object">{object}</span>;
  return (
    <a class="object" href={to("object", objectParams(found, cluster))} title={`timeline of ${spelled(found)}`}>
      {object}
    </a>
  );
}

/** A user's name, leading to what they did. */
export function UserLink({ user }: { user: string | null }) {
  if (!user) return <span class="soft">nobody</span>;
  return (
    <a class="user" href={asking(`search user=${user}`)} title={`what ${user} did`}>
      {user}
    </a>
  );
}

export function Problem({ error }: { error: Error | null }) {
  if (!error) return null;
  return (
    <p class="problem" role="alert">
      {error.message}
    </p>
  );
}

export function Busy({ busy, children = "Asking …" }: { busy: boolean; children?: ComponentChildren }) {
  return (
    <p class="busy" role="status">
      {busy ? children : null}
    </p>
  );
}

export function count(n: number): string {
  return n.toLocaleString("en").replaceAll(",", " ");
}

/** `1 record`, `2 records`. */
export function several(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = n;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** One of a row of figures; a bad one has a sign, too. */
export function Tile({ name, bad = false, children }: { name: string; bad?: boolean; children: ComponentChildren }) {
  return (
    <div class={bad ? "tile tile-bad" : "tile"}>
      <dt>
        {bad && <span aria-hidden="true">⚠ </span>}
        {name}
      </dt>
      <dd>{children}</dd>
    </div>
  );
}
