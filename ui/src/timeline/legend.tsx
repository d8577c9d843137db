// What the shapes and bars mean, drawn by the painter's own hand.

import { useEffect, useRef } from "preact/hooks";
import { theme } from "../lib/settings";
import { type Colours, coloursNow } from "./colours";
import { colourOf, draw, type Shape } from "./glyphs";
import { bar } from "./paint";
import { CanvasPen } from "./pen";

const SHAPES: [Shape, string][] = [
  ["create", "create"],
  ["change", "change"],
  ["delete", "delete"],
  ["evict", "evict"],
  ["read", "read"],
  ["event", "Event"],
  ["log", "log"],
  ["finding", "finding"],
  ["version", "version seen by a watch"],
  ["review", "admission review"],
];
const OUTCOMES: Record<string, string> = { ok: "ok", refused: "refused, Warning", failed: "failed, error" };
const STATES = ["pending", "running", "ready", "terminating", "exists", "unknown"];

export function Legend() {
  void theme.value;
  const colours = coloursNow();
  return (
    <details class="legend">
      <summary>Legend</summary>
      <div class="legend-body">
        <h3>What</h3>
        <ul>
          {SHAPES.map(([shape, words]) => (
            <li key={shape}>
              <Picture paint={(pen) => draw(pen, shape, 10, 10, colourOf("ok", shape, colours), colours.page)} />{" "}
              {words}
            </li>
          ))}
        </ul>
        <h3>How it ended</h3>
        <ul>
          {Object.entries(OUTCOMES).map(([outcome, words]) => (
            <li key={outcome}>
              <Picture
                paint={(pen) => draw(pen, "change", 10, 10, colourOf(outcome, "change", colours), colours.page)}
              />{" "}
              {words}
            </li>
          ))}
          <li>
            <Picture
              paint={(pen) => {
                draw(pen, "change", 10, 8, colours.ok, colours.page);
                pen.rect(6, 16, 8, 2, colours.ok);
              }}
            />{" "}
            several; the gravest is drawn
          </li>
        </ul>
        <h3>State of the object</h3>
        <ul>
          {STATES.map((state) => (
            <li key={state}>
              <Picture paint={(pen) => bar(pen, state, 0, 0, 20, colours as Colours)} />{" "}
              {state === "unknown" ? "information missing" : state}
            </li>
          ))}
        </ul>
      </div>
    </details>
  );
}

function Picture({ paint }: { paint: (pen: CanvasPen) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, 20, 20);
    paint(new CanvasPen(context));
  });
  return <canvas ref={canvas} width="40" height="40" />;
}
