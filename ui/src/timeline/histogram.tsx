// How much happened when, over the whole recording; brushing it sets the window.

import { useEffect, useRef, useState } from "preact/hooks";
import { theme } from "../lib/settings";
import { full } from "../lib/time";
import type { Histogram } from "../lib/types";
import { coloursNow } from "./colours";

const HEIGHT = 64;

interface Props {
  data: Histogram;
  t0: number;
  t1: number;
  brush: (t0: number, t1: number) => void;
}

export function HistogramBrush({ data, t0, t1, brush }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const since = Date.parse(data.since);
  const until = Date.parse(data.until);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const scheme = theme.value;
  useEffect(() => {
    if (canvas.current && width) drawBars(canvas.current, data, width);
  }, [data, width, scheme]);

  const time = (x: number) => since + (x / Math.max(1, width)) * (until - since);
  const place = (t: number) => Math.max(0, Math.min(width, ((t - since) / (until - since)) * width));
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const from = drag ? Math.min(drag.from, drag.to) : place(t0);
  const to = drag ? Math.max(drag.from, drag.to) : place(t1);
  const inside = (event: PointerEvent) => Math.max(0, Math.min(width, event.offsetX));
  const key = (end: "from" | "to") => (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (!step) return;
    event.preventDefault();
    const by = (step * (until - since)) / 200;
    if (end === "from") brush(Math.min(t0 + by, t1 - 1), t1);
    else brush(t0, Math.max(t1 + by, t0 + 1));
  };
  return (
    <div class="histogram">
      <canvas
        ref={canvas}
        height={HEIGHT}
        role="img"
        aria-label={`records over time, from ${full(since)} to ${full(until)}; drag to choose a window`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: inside(event), to: inside(event) });
        }}
        onPointerMove={(event) => drag && setDrag({ ...drag, to: inside(event) })}
        onPointerUp={() => {
          if (drag && to - from > 3) brush(time(from), time(to));
          setDrag(null);
        }}
        onDblClick={() => brush(since, until)}
      />
      <svg class="brush" aria-hidden="true" width={width} height={HEIGHT}>
        <rect x={0} y={0} width={from} height={HEIGHT} class="outside" />
        <rect x={to} y={0} width={Math.max(0, width - to)} height={HEIGHT} class="outside" />
        <rect x={from} y={0.5} width={Math.max(2, to - from)} height={HEIGHT - 1} class="inside" />
      </svg>
      <div class="brush-ends">
        {(["from", "to"] as const).map((end) => (
          <span
            key={end}
            role="slider"
            tabIndex={0}
            aria-label={end === "from" ? "beginning of the window" : "end of the window"}
            aria-valuemin={since}
            aria-valuemax={until}
            aria-valuenow={Math.round(end === "from" ? t0 : t1)}
            aria-valuetext={full(end === "from" ? t0 : t1)}
            onKeyDown={key(end)}
          >
            {full(end === "from" ? t0 : t1)}
          </span>
        ))}
      </div>
    </div>
  );
}

/** Bars of the square root of the count: one refused request is seen beside ten thousand. */
function drawBars(canvas: HTMLCanvasElement, data: Histogram, width: number): void {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const colours = coloursNow();
  const bins = data.series[0]?.counts.length ?? 0;
  const totals = Array.from({ length: bins }, (_, i) => data.series.reduce((sum, s) => sum + (s.counts[i] ?? 0), 0));
  const most = Math.sqrt(Math.max(1, ...totals));
  const each = width / Math.max(1, bins);
  const order = [...data.series].sort((a, b) => grave(a.name) - grave(b.name));
  for (let i = 0; i < bins; i++) {
    const total = totals[i] ?? 0;
    if (!total) continue;
    const height = (Math.sqrt(total) / most) * (HEIGHT - 4);
    let y = HEIGHT;
    for (const { name, counts } of order) {
      const n = counts[i] ?? 0;
      if (!n) continue;
      const part = Math.max(grave(name) ? 3 : 1, (n / total) * height);
      context.fillStyle = colourOf(name, colours);
      context.fillRect(i * each, y - part, Math.max(1, each - 0.5), part);
      y -= part;
    }
  }
}

function grave(name: string): number {
  return /failed|error/.test(name) ? 2 : /refused|Warning|finding/.test(name) ? 1 : 0;
}

function colourOf(name: string, colours: ReturnType<typeof coloursNow>): string {
  if (grave(name) === 2) return colours.failed;
  if (grave(name) === 1) return colours.refused;
  return /^Event/.test(name) ? colours.event : /^log/.test(name) ? colours.log : colours.ok;
}
