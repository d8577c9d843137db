// Two objects as YAML lines beside one another, each changed line with who set it.

import { diffLines } from "diff";
import { isMap, isScalar, isSeq, LineCounter, parseDocument, stringify } from "yaml";
import type { FieldChange } from "../lib/types";

export interface Pair {
  old: string | null;
  new: string | null;
  /** field manager, or admission webhook, and user, of a changed line */
  by: string;
}

/** What the API server moves by itself hides what people did. */
function cleaned(object: unknown): unknown {
  if (typeof object !== "object" || object === null) return {};
  const { metadata, ...rest } = object as Record<string, Record<string, unknown>>;
  const { managedFields: _, ...meta } = metadata ?? {};
  return { ...rest, metadata: meta };
}

export async function aligned(before: unknown, after: unknown, changes: FieldChange[]): Promise<Pair[]> {
  const options = { lineWidth: 0, sortMapEntries: true } as const;
  const old = stringify(cleaned(before), options);
  const fresh = stringify(cleaned(after), options);
  const byOld = setters(old, changes);
  const byNew = setters(fresh, changes);
  const pairs: Pair[] = [];
  let oldLine = 0;
  let newLine = 0;
  let removed: string[] = [];
  const flush = (added: string[]) => {
    for (let i = 0; i < Math.max(removed.length, added.length); i++) {
      const by =
        (i < added.length ? byNew[newLine + i] : undefined) ?? (i < removed.length ? byOld[oldLine + i] : undefined);
      pairs.push({ old: removed[i] ?? null, new: added[i] ?? null, by: by ?? "" });
    }
    oldLine += removed.length;
    newLine += added.length;
    removed = [];
  };
  for (const part of diffLines(old, fresh)) {
    const lines = part.value.replace(/\n$/, "").split("\n");
    if (part.removed) {
      if (removed.length) flush([]);
      removed = lines;
    } else if (part.added) flush(lines);
    else {
      if (removed.length) flush([]);
      for (const line of lines) pairs.push({ old: line, new: line, by: "" });
      oldLine += lines.length;
      newLine += lines.length;
    }
  }
  if (removed.length) flush([]);
  return pairs;
}

/** For each line of a YAML text, who set the field that it shows. */
function setters(text: string, changes: FieldChange[]): (string | undefined)[] {
  const lines: (string | undefined)[] = [];
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  const said = changes.map((c) => ({ path: c.path.join("\0"), by: saidBy(c) }));
  const walk = (node: unknown, path: string[]) => {
    if (isMap(node)) {
      for (const item of node.items) {
        const key = isScalar(item.key) ? String(item.key.value) : "";
        const here = [...path, key];
        const joined = here.join("\0");
        const range = isScalar(item.key) ? item.key.range : null;
        const found = said.find((s) => joined === s.path || joined.startsWith(`${s.path}\0`));
        if (found && range) lines[counter.linePos(range[0]).line - 1] = found.by;
        walk(item.value, here);
      }
    } else if (isSeq(node))
      for (const [i, item] of node.items.entries()) walk(item, [...path, nameOf(item) ?? String(i)]);
  };
  walk(document.contents, []);
  return lines;
}

/** Items of lists are named by their key, as in the answer of `diff`. */
function nameOf(item: unknown): string | null {
  if (!isMap(item)) return null;
  for (const key of ["name", "type", "key", "containerPort", "port", "mountPath", "ip", "uid"]) {
    const value = item.get(key);
    if (value !== undefined) return String(value);
  }
  return null;
}

function saidBy(change: FieldChange): string {
  const manager = change.webhook ? `webhook ${change.webhook}` : (change.manager ?? "");
  return [manager, change.user].filter(Boolean).join(", ");
}
