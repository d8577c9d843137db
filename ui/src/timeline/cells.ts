// Marks of a line in the window, gathered into cells a few pixels wide: one glyph each, of the gravest mark.
// This bounds what a frame draws by the pixels, however many marks there are.

import { firstFrom, shownRows } from "./model";
import type { Scene } from "./scene";

export const CELL = 9;

export interface Cell {
  /** the middle of the marks, ms */
  t: number;
  n: number;
  /** place in `marks` of the gravest */
  mark: number;
}

/** How grave an outcome is: failed and error before warning and refused before ok. By the words of the answer. */
const GRAVE: Record<string, number> = { ok: 0, warning: 2, refused: 2, failed: 3, error: 3 };

export function gravity(outcomes: readonly string[], outcome: number): number {
  return GRAVE[outcomes[outcome] ?? "ok"] ?? 0;
}

/** Worked out for each frame; `scratch` is reused between lines. */
export function cellsOf(scene: Scene, line: number, scratch: Cell[]): number {
  const found = scene.lines[line];
  if (!found) return 0;
  const { marks, board } = scene.model;
  const rows = shownRows(found, scene.closed);
  const across = scene.width - scene.label;
  const perMs = across / (scene.t1 - scene.t0);
  if (rows.length === 1) return one(scene, rows[0] ?? 0, perMs, scratch);
  const slots = new Map<number, Cell>();
  for (const r of rows) {
    const end = marks.start[r + 1] ?? 0;
    for (let i = firstFrom(marks, r, scene.t0); i < end; i++) {
      const t = marks.t[i] ?? 0;
      if (t > scene.t1) break;
      const slot = Math.floor(((t - scene.t0) * perMs) / CELL);
      const cell = slots.get(slot);
      if (!cell) slots.set(slot, { t, n: marks.n[i] ?? 1, mark: i });
      else add(cell, i, marks.n[i] ?? 1, board.outcomes, marks.outcome);
    }
  }
  let used = 0;
  for (const cell of slots.values()) scratch[used++] = cell;
  return used;
}

/** One row's marks are in order: neighbours within a cell's width are joined. */
function one(scene: Scene, r: number, perMs: number, scratch: Cell[]): number {
  const { marks, board } = scene.model;
  const end = marks.start[r + 1] ?? 0;
  const reach = CELL / perMs;
  let used = 0;
  let current: Cell | null = null;
  let begun = 0;
  for (let i = firstFrom(marks, r, scene.t0 - reach); i < end; i++) {
    const t = marks.t[i] ?? 0;
    if (t > scene.t1 + reach) break;
    const n = marks.n[i] ?? 1;
    if (current && t - begun < reach) add(current, i, n, board.outcomes, marks.outcome);
    else {
      current = scratch[used] ?? { t: 0, n: 0, mark: 0 };
      current.t = t;
      current.n = n;
      current.mark = i;
      scratch[used++] = current;
      begun = t;
    }
  }
  return used;
}

function add(cell: Cell, i: number, n: number, outcomes: readonly string[], of: Uint8Array): void {
  cell.n += n;
  if (gravity(outcomes, of[i] ?? 0) > gravity(outcomes, of[cell.mark] ?? 0)) cell.mark = i;
}
