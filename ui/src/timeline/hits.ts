// Which marks are under the pointer.

import { firstFrom, shownRows } from "./model";
import { lineAt, type Scene, tOf, xOf } from "./scene";

/** The marks near a place, nearest first: their places in `marks`, at most `most` of `total`. */
export interface Hit {
  line: number;
  row: number;
  marks: number[];
  total: number;
}

const REACH = 7;

export function hitAt(scene: Scene, x: number, y: number, most = 6): Hit | null {
  const index = lineAt(scene, y);
  const line = scene.lines[index];
  if (!line || x < scene.label) return null;
  const { marks } = scene.model;
  const from = tOf(scene, x - REACH);
  const to = tOf(scene, x + REACH);
  const near: [number, number, number][] = [];
  for (const r of shownRows(line, scene.closed)) {
    const end = marks.start[r + 1] ?? 0;
    for (let i = firstFrom(marks, r, from); i < end; i++) {
      const t = marks.t[i] ?? 0;
      if (t > to) break;
      near.push([Math.abs(xOf(scene, t) - x), i, r]);
    }
  }
  near.sort((a, b) => a[0] - b[0]);
  return {
    line: index,
    row: near[0]?.[2] ?? line.row,
    marks: near.slice(0, most).map((n) => n[1]),
    total: near.length,
  };
}
