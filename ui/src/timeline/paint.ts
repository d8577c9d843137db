// Paints a scene with any pen: bars of state, marks, labels, the axis.

import { type Cell, cellsOf } from "./cells";
import type { Colours } from "./colours";
import { glyph } from "./glyphs";
import type { Pen } from "./pen";
import { AXIS, ROW, type Scene, seen, xOf, yOf } from "./scene";
import { ticks } from "./ticks";

const scratch: Cell[] = [];
const INDENT = 12;

export function paint(pen: Pen, scene: Scene, colours: Colours): void {
  const { width, height, label } = scene;
  pen.rect(0, 0, width, height, colours.page);
  const marks = ticks(scene.t0, scene.t1, width - label);
  const [first, last] = seen(scene);
  pen.clip(0, AXIS, width, height - AXIS, () => {
    for (let i = first; i <= last; i++) band(pen, scene, i, colours);
    for (const tick of marks) pen.line(xOf(scene, tick.t), AXIS, xOf(scene, tick.t), height, colours.line);
  });
  pen.clip(label, AXIS, width - label, height - AXIS, () => {
    for (let i = first; i <= last; i++) states(pen, scene, i, colours);
    for (let i = first; i <= last; i++) cells(pen, scene, i, colours);
    if (scene.hover) pen.line(scene.hover.x, AXIS, scene.hover.x, height, colours.accent);
  });
  pen.clip(0, AXIS, label, height - AXIS, () => {
    for (let i = first; i <= last; i++) labels(pen, scene, i, colours);
  });
  axis(pen, scene, marks, colours);
}

function band(pen: Pen, scene: Scene, i: number, colours: Colours): void {
  const y = yOf(scene, i);
  const group = scene.lines[i]?.row === -1;
  if (group || i === scene.chosen) pen.rect(0, y, scene.width, ROW, colours.band);
  if (i === scene.chosen) pen.rect(0, y, 3, ROW, colours.accent);
  pen.line(0, y + ROW - 0.5, scene.width, y + ROW - 0.5, colours.band);
}

function labels(pen: Pen, scene: Scene, i: number, colours: Colours): void {
  const line = scene.lines[i];
  if (!line) return;
  const x = 8 + line.depth * INDENT;
  const y = yOf(scene, i) + ROW / 2;
  if (line.children.length) {
    const open = !scene.closed.has(line.id);
    pen.polygon(open ? [x, y - 3, x + 8, y - 3, x + 4, y + 4] : [x + 1, y - 4, x + 7, y, x + 1, y + 4], colours.soft);
  }
  const bold = line.row === -1;
  pen.text(x + 13, y, line.label, bold ? colours.text : colours.text, { bold, width: scene.label - x - 18 });
}

/** Heights tell the states apart without colour: a thin bar for pending, a full one for ready, stripes for what ends. */
function states(pen: Pen, scene: Scene, i: number, colours: Colours): void {
  const line = scene.lines[i];
  const row = line && line.row >= 0 ? scene.model.board.rows[line.row] : undefined;
  const segments = row && scene.states.get(row.key);
  if (!segments) return;
  const y = yOf(scene, i);
  for (const segment of segments) {
    const x1 = Math.max(scene.label, xOf(scene, Date.parse(segment.since)));
    const x2 = Math.min(scene.width, segment.until ? xOf(scene, Date.parse(segment.until)) : scene.width);
    if (x2 > x1) bar(pen, segment.state, x1, y, Math.max(1, x2 - x1), colours);
  }
}

export function bar(pen: Pen, state: string, x: number, y: number, w: number, colours: Colours): void {
  const full = ROW - 6;
  if (state === "gone") return;
  if (state === "ready") pen.rect(x, y + 3, w, full, colours.ready);
  else if (state === "running") pen.rect(x, y + 6, w, full - 6, colours.running);
  else if (state === "pending") pen.rect(x, y + ROW / 2 - 2, w, 4, colours.pending);
  else if (state === "terminating") {
    pen.rect(x, y + 3, w, full, colours.terminating);
    pen.hatch(x, y + 3, w, full, colours.failed);
  } else if (state === "unknown") pen.hatch(x, y + 3, w, full, colours.unknown);
  else pen.rect(x, y + 6, w, full - 6, colours.exists);
}

function cells(pen: Pen, scene: Scene, i: number, colours: Colours): void {
  const used = cellsOf(scene, i, scratch);
  const y = yOf(scene, i) + ROW / 2;
  for (let c = 0; c < used; c++) {
    const cell = scratch[c];
    if (cell) glyph(pen, scene.model, cell.mark, cell.n, xOf(scene, cell.t), y, colours);
  }
}

function axis(pen: Pen, scene: Scene, marks: ReturnType<typeof ticks>, colours: Colours): void {
  pen.rect(0, 0, scene.width, AXIS, colours.card);
  pen.line(0, AXIS - 0.5, scene.width, AXIS - 0.5, colours.line);
  pen.line(scene.label + 0.5, 0, scene.label + 0.5, scene.height, colours.line);
  pen.clip(scene.label, 0, scene.width - scene.label, AXIS, () => {
    for (const tick of marks) {
      const x = xOf(scene, tick.t);
      pen.line(x, AXIS - 6, x, AXIS, colours.soft);
      pen.text(x + 3, AXIS / 2, tick.label, tick.day ? colours.text : colours.soft, { bold: tick.day, size: 11 });
    }
  });
}
