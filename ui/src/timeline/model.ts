// The board as the canvas wants it: marks of a row side by side and sorted by time, rows in a tree of groups.

import type { Board, BoardRow } from "../lib/types";

export type Grouping = "owner" | "node" | "user";

/** Marks in columns; those of row r are at `start[r]` to `start[r + 1]`, sorted by time (ms since 1970). */
export interface Marks {
  start: Int32Array;
  t: Float64Array;
  n: Int32Array;
  type: Uint8Array;
  what: Int32Array;
  actor: Int32Array;
  outcome: Uint8Array;
  id: string[];
}

/** One line of the canvas: a group or an object. `rows`: whose marks it shows while it is closed. */
export interface Line {
  id: string;
  label: string;
  depth: number;
  /** of `board.rows`; -1 for a group that is no object itself */
  row: number;
  children: Line[];
  rows: number[];
}

export interface Model {
  board: Board;
  marks: Marks;
  roots: Line[];
}

export function modelOf(board: Board, grouping: Grouping): Model {
  return { board, marks: marksOf(board), roots: treeOf(board.rows, grouping) };
}

/** A counting sort by row; the answer is sorted by time, and stays so within each row. */
function marksOf(board: Board): Marks {
  const { row, t, n, type, what, actor, outcome, id } = board.marks;
  const start = new Int32Array(board.rows.length + 1);
  for (const r of row) start[r + 1] = (start[r + 1] ?? 0) + 1;
  for (let r = 1; r < start.length; r++) start[r] = (start[r] ?? 0) + (start[r - 1] ?? 0);
  const next = start.slice();
  const size = row.length;
  const marks: Marks = {
    start,
    t: new Float64Array(size),
    n: new Int32Array(size),
    type: new Uint8Array(size),
    what: new Int32Array(size),
    actor: new Int32Array(size),
    outcome: new Uint8Array(size),
    id: new Array<string>(size).fill(""),
  };
  for (let i = 0; i < size; i++) {
    const r = row[i] ?? 0;
    const at = next[r] ?? 0;
    next[r] = at + 1;
    marks.t[at] = t[i] ?? 0;
    marks.n[at] = n[i] ?? 1;
    marks.type[at] = type[i] ?? 0;
    marks.what[at] = what[i] ?? 0;
    marks.actor[at] = actor[i] ?? -1;
    marks.outcome[at] = outcome[i] ?? 0;
    marks.id[at] = id?.[i] ?? "";
  }
  return marks;
}

const CLUSTER_WIDE = "cluster-wide";

function treeOf(rows: BoardRow[], grouping: Grouping): Line[] {
  const clusters = new Map<string, number[]>();
  rows.forEach((row, i) => {
    push(clusters, row.cluster, i);
  });
  const trees = [...clusters].sort(byName).map(([cluster, members]): Line => {
    const children = grouping === "owner" ? namespaces(rows, members, cluster) : flat(rows, members, cluster, grouping);
    return group(`cluster ${cluster}`, cluster, children);
  });
  const tops = trees.length === 1 ? (trees[0]?.children ?? []) : trees;
  for (const line of tops) settle(line, 0);
  return tops;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const found = map.get(key);
  if (found) found.push(value);
  else map.set(key, [value]);
}

function byName(a: [string, unknown], b: [string, unknown]): number {
  return a[0].localeCompare(b[0]);
}

function group(id: string, label: string, children: Line[]): Line {
  return { id, label, depth: 0, row: -1, children, rows: [] };
}

function leaf(rows: BoardRow[], i: number, label: string): Line {
  const row = rows[i];
  return { id: row?.key ?? String(i), label, depth: 0, row: i, children: [], rows: [] };
}

function flat(rows: BoardRow[], members: number[], cluster: string, grouping: Grouping): Line[] {
  if (grouping === "user") return members.map((i) => leaf(rows, i, rows[i]?.name ?? ""));
  const nodes = new Map<string, number[]>();
  for (const i of members)
    push(nodes, rows[i]?.node ?? (rows[i]?.kind === "Node" ? (rows[i]?.name ?? "") : "on no node"), i);
  return [...nodes].sort(byName).map(([node, found]) =>
    group(
      `node ${cluster}/${node}`,
      node,
      found.map((i) => leaf(rows, i, named(rows[i]))).sort((a, b) => a.label.localeCompare(b.label)),
    ),
  );
}

function named(row: BoardRow | undefined): string {
  return row ? [row.kind, row.namespace, row.name].filter(Boolean).join("/") : "";
}

/** cluster > namespace > owner > object. Owners that are no rows themselves become groups. */
function namespaces(rows: BoardRow[], members: number[], cluster: string): Line[] {
  const spaces = new Map<string, number[]>();
  for (const i of members) push(spaces, rows[i]?.namespace || CLUSTER_WIDE, i);
  return [...spaces]
    .sort((a, b) => rank(a[0]) - rank(b[0]) || byName(a, b))
    .map(([space, found]) => group(`namespace ${cluster}/${space}`, space, owned(rows, found, cluster)));
}

/** What people run comes before what the cluster runs for itself. */
function rank(space: string): number {
  if (space === CLUSTER_WIDE) return 1;
  return space.startsWith("kube-") ? 2 : 0;
}

function owned(rows: BoardRow[], members: number[], cluster: string): Line[] {
  const lines = new Map<string, Line>();
  for (const i of members)
    lines.set(rows[i]?.object ?? "", leaf(rows, i, `${rows[i]?.kind}/${rows[i]?.name || "* (all of them)"}`));
  const tops: Line[] = [];
  for (const i of members) {
    const row = rows[i];
    const line = lines.get(row?.object ?? "");
    if (!row || !line) continue;
    if (!row.owner || row.owner === row.object || row.owner.split("/").length < 3) {
      tops.push(line);
      continue;
    }
    let owner = lines.get(row.owner);
    if (!owner) {
      const [kind, , name] = row.owner.split("/");
      owner = group(`owner ${cluster}/${row.owner}`, `${kind}/${name}`, []);
      lines.set(row.owner, owner);
      tops.push(owner);
    }
    owner.children.push(line);
  }
  return tops;
}

/** Depths, order, and the rows below each line. */
function settle(line: Line, depth: number): number[] {
  line.depth = depth;
  line.children.sort((a, b) => a.label.localeCompare(b.label, "en", { numeric: true }));
  const below = line.children.flatMap((child) => settle(child, depth + 1));
  line.rows = line.row >= 0 ? [line.row, ...below] : below;
  return line.rows;
}

/** The lines to show from top to bottom, without what is inside a closed one. */
export function visible(roots: Line[], closed: ReadonlySet<string>): Line[] {
  const lines: Line[] = [];
  const walk = (line: Line) => {
    lines.push(line);
    if (!closed.has(line.id)) line.children.forEach(walk);
  };
  roots.forEach(walk);
  return lines;
}

/** Whose marks a line shows: its own, and when it is closed those below it too. */
export function shownRows(line: Line, closed: ReadonlySet<string>): readonly number[] {
  if (closed.has(line.id) || !line.children.length) return line.rows;
  return line.row >= 0 ? [line.row] : [];
}

/** The first mark of row r at or after time t. */
export function firstFrom(marks: Marks, r: number, t: number): number {
  let low = marks.start[r] ?? 0;
  let high = marks.start[r + 1] ?? low;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((marks.t[middle] ?? 0) < t) low = middle + 1;
    else high = middle;
  }
  return low;
}
