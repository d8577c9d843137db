// The result as a chart: the first time or number across, the other numbers up; a column of words makes one line each.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme, zoneName } from "../lib/settings";
import { clock, full } from "../lib/time";
import { coloursNow } from "../timeline/colours";
import type { SqlAnswer } from "./sql";

const MOST_LINES = 8;

interface Lines {
  x: number[];
  time: boolean;
  series: { name: string; values: (number | null)[] }[];
}

export function Chart({ answer }: { answer: SqlAnswer }) {
  const place = useRef<HTMLDivElement>(null);
  const lines = linesOf(answer);
  useEffect(() => {
    if (!place.current || !lines) return;
    const plot = drawn(place.current, lines);
    return () => plot.destroy();
  }, [answer, theme.value]);
  if (!lines) return <p>A chart needs a column of times or numbers, and another of numbers.</p>;
  return (
    <div class="chart" ref={place} role="img" aria-label={`${lines.series.map((s) => s.name).join(", ")} as lines`} />
  );
}

function isTime(type: string): boolean {
  return /TIMESTAMP|DATE/.test(type);
}

function isNumber(type: string): boolean {
  return /INT|DOUBLE|FLOAT|DECIMAL|REAL/.test(type);
}

function linesOf({ columns, rows }: SqlAnswer): Lines | null {
  const across =
    columns.findIndex((c) => isTime(c.type)) >= 0
      ? columns.findIndex((c) => isTime(c.type))
      : columns.findIndex((c) => isNumber(c.type));
  const numbers = columns.map((c, i) => (i !== across && isNumber(c.type) ? i : -1)).filter((i) => i >= 0);
  if (across < 0 || !numbers.length) return null;
  const words = columns.findIndex((c, i) => i !== across && !isNumber(c.type));
  const time = isTime(columns[across]?.type ?? "");
  const at = (row: unknown[]) =>
    time ? Date.parse(String(row[across]).replace(" ", "T").replace(/(\d)$/, "$1Z")) / 1000 : Number(row[across]);
  const xs = [...new Set(rows.map(at))].filter(Number.isFinite).sort((a, b) => a - b);
  const place = new Map(xs.map((x, i) => [x, i]));
  const found = new Map<string, (number | null)[]>();
  for (const row of rows) {
    for (const n of numbers) {
      const name = [
        words >= 0 ? String(row[words]) : "",
        numbers.length > 1 || words < 0 ? (columns[n]?.name ?? "") : "",
      ];
      const key = name.filter(Boolean).join(" ");
      const values = found.get(key) ?? new Array<number | null>(xs.length).fill(null);
      found.set(key, values);
      const i = place.get(at(row));
      if (i !== undefined) values[i] = Number(row[n]);
    }
  }
  const series = [...found].slice(0, MOST_LINES).map(([name, values]) => ({ name, values }));
  return { x: xs, time, series };
}

function drawn(place: HTMLElement, lines: Lines): uPlot {
  const c = coloursNow();
  const strokes = [c.ok, c.refused, c.finding, c.event, c.failed, c.log, c.soft, c.text];
  const axis = { stroke: c.text, grid: { stroke: c.line, width: 1 }, ticks: { stroke: c.line, width: 1 } };
  return new uPlot(
    {
      width: Math.max(300, place.clientWidth),
      height: 340,
      scales: { x: { time: lines.time } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zoneName()),
      axes: [{ ...axis, ...(lines.time ? { values: (_, at) => at.map((s) => clock(s * 1000)) } : {}) }, axis],
      series: [
        lines.time ? { value: (_, s) => (s === null ? "" : full(s * 1000)) } : {},
        ...lines.series.map(({ name }, i) => ({
          label: name,
          stroke: strokes[i] ?? c.text,
          width: 2,
          // dashes tell lines apart without colour
          dash: [[], [8, 4], [2, 3], [12, 4, 2, 4]][i % 4] ?? [],
          points: { show: true, size: 5 },
        })),
      ],
    },
    [lines.x, ...lines.series.map((s) => s.values)],
    place,
  );
}
