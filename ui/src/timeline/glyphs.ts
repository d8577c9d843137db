// One shape for each kind of mark; colour says the outcome. The legend draws the same shapes.

import type { Colours } from "./colours";
import type { Model } from "./model";
import type { Pen } from "./pen";

export type Shape =
  | "create"
  | "change"
  | "delete"
  | "evict"
  | "read"
  | "event"
  | "log"
  | "finding"
  | "version"
  | "review";

/** By type and action, as the board names them. */
export function shapeOf(type: string, what: string): Shape {
  if (type === "event") return "event";
  if (type === "log") return "log";
  if (type === "finding") return "finding";
  if (type === "object") return "version";
  if (type === "admission") return "review";
  if (what.includes("eviction")) return "evict";
  const verb = what.split(" ")[0] ?? "";
  if (verb === "create") return "create";
  if (verb.startsWith("delete")) return "delete";
  return ["get", "list", "watch"].includes(verb) ? "read" : "change";
}

export function colourOf(outcome: string, shape: Shape, colours: Colours): string {
  if (outcome === "failed" || outcome === "error") return colours.failed;
  if (outcome === "refused") return colours.refused;
  if (outcome === "warning") return colours.warning;
  if (shape === "event") return colours.event;
  if (shape === "log") return colours.log;
  if (shape === "finding") return colours.finding;
  return shape === "version" ? colours.version : colours.ok;
}

export function glyph(pen: Pen, model: Model, mark: number, n: number, x: number, y: number, colours: Colours): void {
  const { marks, board } = model;
  const type = board.types[marks.type[mark] ?? 0] ?? "request";
  const shape = shapeOf(type, board.words.what[marks.what[mark] ?? 0] ?? "");
  const colour = colourOf(board.outcomes[marks.outcome[mark] ?? 0] ?? "ok", shape, colours);
  draw(pen, shape, x, y, colour, colours.page);
  if (n > 1) {
    const size = Math.min(8, 2 + Math.log2(n));
    pen.rect(x - size / 2, y + 8, size, 2, colour);
  }
}

/** About ten pixels high; refused and failed shapes are the same, so `edge` keeps neighbours apart. */
export function draw(pen: Pen, shape: Shape, x: number, y: number, colour: string, edge: string): void {
  if (shape === "create") pen.polygon([x, y - 6, x + 5.5, y + 4, x - 5.5, y + 4], colour, edge);
  else if (shape === "delete") {
    const a = 2;
    const b = 5.5;
    pen.polygon(
      [
        x - b,
        y - a - 2,
        x - a - 2,
        y - b,
        x,
        y - a,
        x + a + 2,
        y - b,
        x + b,
        y - a - 2,
        x + a,
        y,
        x + b,
        y + a + 2,
        x + a + 2,
        y + b,
        x,
        y + a,
        x - a - 2,
        y + b,
        x - b,
        y + a + 2,
        x - a,
        y,
      ],
      colour,
      edge,
    );
  } else if (shape === "evict") pen.polygon([x, y - 6, x + 6, y, x, y + 6, x - 6, y], colour, edge);
  else if (shape === "change") pen.circle(x, y, 4, colour, edge);
  else if (shape === "read") pen.circle(x, y, 3, "none", colour);
  else if (shape === "event") pen.rect(x - 1.5, y - 6, 3, 12, colour);
  else if (shape === "log") pen.rect(x - 3, y + 1, 6, 4, colour);
  else if (shape === "finding")
    pen.polygon([x - 3, y + 7, x - 3, y - 7, x + 7, y - 3.5, x - 1, y, x - 1, y + 7], colour, edge);
  else if (shape === "review") pen.polygon([x - 4, y - 4, x + 4, y - 4, x + 4, y + 4, x - 4, y + 4], "none", colour);
  else pen.circle(x, y, 2, colour);
}
