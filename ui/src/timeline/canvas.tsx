// The canvas in the page: what the pointer is on, what the keyboard is on, pictures, states of the rows in sight.

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../lib/api";
import { save } from "../lib/save";
import { theme, zone } from "../lib/settings";
import { full } from "../lib/time";
import type { Board, BoardRow, States } from "../lib/types";
import { several } from "../parts/small";
import { BoardCanvas } from "./board";
import type { Hit } from "./hits";
import { type Grouping, type Line, type Model, modelOf } from "./model";

interface Props {
  board: Board;
  group: Grouping;
  t0: number;
  t1: number;
  moved: (t0: number, t1: number) => void;
  opened: (row: BoardRow, near: { t: number; id: string; type: string } | null) => void;
}

/** letters of the rows that one request for states names: servers and proxies take lines of 8 kB */
const AT_ONCE = 6000;

export function CanvasView({ board, group, t0, t1, moved, opened }: Props) {
  const element = useRef<HTMLCanvasElement>(null);
  const canvas = useRef<BoardCanvas | null>(null);
  const [hover, setHover] = useState<{ hit: Hit; x: number; y: number } | null>(null);
  const [chosen, setChosen] = useState("");
  const told = useRef({ moved, opened });
  told.current = { moved, opened };

  useEffect(() => {
    if (!element.current) return;
    const made = new BoardCanvas(
      element.current,
      {
        window: (from, to) => told.current.moved(from, to),
        hovered: (hit, x, y) => setHover(hit?.marks.length ? { hit, x, y } : null),
        chosen: (line) => setChosen(line ? spoken(made, line) : ""),
        opened: (line, hit) => {
          const { model } = made.scene;
          const row = model.board.rows[hit?.marks.length ? hit.row : line.row];
          const mark = hit?.marks[0];
          const near = mark === undefined ? null : about(model, mark);
          if (row) told.current.opened(row, near);
        },
        scrolled: () => states(made),
      },
      modelOf(board, group),
    );
    made.window(t0, t1);
    canvas.current = made;
    // for measurements in the browser's own tools
    (window as unknown as { kubewitnessTimeline?: BoardCanvas }).kubewitnessTimeline = made;
    return () => made.destroy();
  }, []);
  useEffect(() => canvas.current?.window(t0, t1), [t0, t1]);
  useEffect(() => {
    canvas.current?.show(modelOf(board, group));
  }, [board, group]);
  useEffect(() => canvas.current?.recolour(), [theme.value, zone.value]);

  return (
    <section class="board" aria-label="timeline of objects">
      <div class="bar">
        <button type="button" onClick={() => canvas.current?.zoom(0.5)} aria-label="zoom in">
          +
        </button>
        <button type="button" onClick={() => canvas.current?.zoom(2)} aria-label="zoom out">
          −
        </button>
        <button type="button" onClick={() => canvas.current?.fold(true)}>
          Close groups
        </button>
        <button type="button" onClick={() => canvas.current?.fold(false)}>
          Open groups
        </button>
        <button
          type="button"
          class="quiet"
          onClick={async () => canvas.current && save("timeline.png", await canvas.current.png())}
        >
          Save PNG
        </button>
        <button
          type="button"
          class="quiet"
          onClick={() => canvas.current && save("timeline.svg", canvas.current.svg(), "image/svg+xml")}
        >
          Save SVG
        </button>
        <span class="soft hint" id="keys">
          drag or ← → moves, Ctrl + wheel or + − zooms, ↑ ↓ chooses a row, Enter opens it, Space folds a group
        </span>
      </div>
      <div class="board-frame">
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: its keys are its own */}
        <canvas
          ref={element}
          tabIndex={0}
          role="application"
          aria-label={`timeline, ${several(board.rows.length, "object")}, ${several(board.total, "record")}`}
          aria-describedby="keys"
        />
        {hover && <Tip board={canvas.current} hover={hover} />}
      </div>
      <p class="offscreen" role="status">
        {chosen}
      </p>
    </section>
  );
}

function about({ marks, board }: Model, mark: number) {
  return { t: marks.t[mark] ?? 0, id: marks.id[mark] ?? "", type: board.types[marks.type[mark] ?? 0] ?? "" };
}

const waiting = new WeakMap<BoardCanvas, number>();
const known = new WeakMap<BoardCanvas, Map<string, States["segments"]>>();

/** Asks for the states of the rows in sight that are not known yet: all at once, where their names are not very long. */
function states(canvas: BoardCanvas): void {
  clearTimeout(waiting.get(canvas));
  waiting.set(
    canvas,
    window.setTimeout(() => fetchStates(canvas), 120),
  );
}

async function fetchStates(canvas: BoardCanvas): Promise<void> {
  const found = known.get(canvas) ?? new Map<string, States["segments"]>();
  known.set(canvas, found);
  const { rows } = canvas.scene.model.board;
  const unknown = canvas
    .inSight()
    .flatMap((line) => rows[line.row] ?? [])
    .filter((row) => row.name && row.kind !== "User" && !found.has(row.key))
    .map((row) => row.key);
  let letters = 0;
  const keys = unknown.filter((key) => {
    letters += encodeURIComponent(key).length + "&key=".length;
    return letters < AT_ONCE;
  });
  if (!keys.length) return;
  for (const key of keys) found.set(key, []);
  try {
    const answer = await get<States[]>("/api/v1/states", { key: keys });
    answer.forEach((one, i) => {
      found.set(keys[i] ?? "", one.segments);
    });
    canvas.states(found);
    states(canvas);
  } catch {
    // rows stay without bars; their marks are there
  }
}

function spoken(canvas: BoardCanvas, line: Line): string {
  const { scene } = canvas;
  const { marks } = scene.model;
  const n = line.rows.reduce((sum, r) => sum + ((marks.start[r + 1] ?? 0) - (marks.start[r] ?? 0)), 0);
  const group = line.children.length ? `, ${several(line.children.length, "row")} inside` : "";
  return `${line.label}, ${several(n, "mark")}${group}`;
}

function Tip({ board, hover }: { board: BoardCanvas | null; hover: { hit: Hit; x: number; y: number } }) {
  if (!board) return null;
  const { model, width } = board.scene;
  const { hit } = hover;
  const { marks } = model;
  const style = { left: `${Math.min(hover.x + 14, width - 340)}px`, top: `${hover.y + 14}px` };
  return (
    <div class="tip" style={style}>
      <strong>{model.board.rows[hit.row]?.object}</strong>
      {hit.marks.map((i) => (
        <div key={i}>
          <span class="soft">{full(marks.t[i])}</span> {model.board.words.actor[marks.actor[i] ?? -1] ?? ""}{" "}
          <b>{model.board.words.what[marks.what[i] ?? 0]}</b> {model.board.outcomes[marks.outcome[i] ?? 0]}
          {(marks.n[i] ?? 1) > 1 && ` × ${marks.n[i]}`}
        </div>
      ))}
      {hit.total > hit.marks.length && <div class="soft">and {hit.total - hit.marks.length} more</div>}
    </div>
  );
}
