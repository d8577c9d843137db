// The timeline: filter, histogram to brush, the canvas, and the detail of what was clicked. All of it is in the address.

import { useEffect, useState } from "preact/hooks";
import { get } from "../lib/api";
import { go, route } from "../lib/route";
import type { Board, BoardRow, Histogram } from "../lib/types";
import { useAsk } from "../lib/use";
import { Busy, count, Problem } from "../parts/small";
import { Tabs } from "../parts/tabs";
import { CanvasView } from "./canvas";
import { Detail } from "./detail";
import { HistogramBrush } from "./histogram";
import { Legend } from "./legend";
import type { Grouping } from "./model";
import "../styles/timeline.css";

const GROUPINGS = ["owner", "node", "user"] as const;
const ROWS = 5000;
const MARKS = 100_000;
/** parts of the window's length that are fetched beyond each of its ends */
const MARGIN = 0.5;

interface Span {
  t0: number;
  t1: number;
}

export default function TimelineView() {
  const params = route.value.params;
  const words = params.getAll("q");
  const filter = words.join(" ");
  const reads = params.get("reads") === "true";
  const found = params.get("group");
  const group: Grouping = GROUPINGS.includes(found as Grouping) ? (found as Grouping) : "owner";
  const asked = { q: words, reads };
  const histogram = useAsk(JSON.stringify(asked), (signal) =>
    get<Histogram>("/api/v1/histogram", { ...asked, bins: 240 }, signal),
  );
  const change = (values: Record<string, string | string[] | null>, replace = true) => {
    const kept: Record<string, string | string[]> = {};
    for (const name of new Set(params.keys())) kept[name] = name === "q" ? words : (params.get(name) ?? "");
    go("timeline", { ...kept, ...values }, replace);
  };
  return (
    <div class="timeline">
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          const text = new FormData(event.currentTarget).get("filter");
          change({ q: String(text).split(/\s+/).filter(Boolean), from: null, to: null }, false);
        }}
      >
        <label class="filter">
          <span class="offscreen">filter: field=value, or text</span>
          <input name="filter" defaultValue={filter} key={filter} placeholder="namespace=shop  user=alice  text" />
        </label>
        <button type="submit">Filter</button>
        <Tabs label="group by" all={GROUPINGS} chosen={group} choose={(one) => change({ group: one })} />
        <label class="check">
          <input type="checkbox" checked={reads} onChange={(e) => change({ reads: String(e.currentTarget.checked) })} />
          with reads
        </label>
        <Legend />
      </form>
      <Busy busy={histogram.busy && !histogram.value} />
      <Problem error={histogram.error} />
      {histogram.value && (
        <Window
          key={`${JSON.stringify(asked)} ${group}`}
          histogram={histogram.value}
          asked={asked}
          group={group}
          change={change}
        />
      )}
    </div>
  );
}

interface WindowProps {
  histogram: Histogram;
  asked: { q: string[]; reads: boolean };
  group: Grouping;
  change: (values: Record<string, string | string[] | null>, replace?: boolean) => void;
}

function Window({ histogram, asked, group, change }: WindowProps) {
  const params = route.value.params;
  const whole = wholeOf(histogram);
  const [span, setSpan] = useState<Span>({
    t0: Number(params.get("from")) || whole.t0,
    t1: Number(params.get("to")) || whole.t1,
  });
  const [rested, setRested] = useState(span);
  useEffect(() => {
    const timer = setTimeout(() => {
      setRested(span);
      const all = span.t0 === whole.t0 && span.t1 === whole.t1;
      change({ from: all ? null : String(Math.round(span.t0)), to: all ? null : String(Math.round(span.t1)) });
    }, 250);
    return () => clearTimeout(timer);
  }, [span]);
  const board = useBoard(rested, whole, asked, group);
  const object = params.get("object");
  return (
    <>
      <HistogramBrush data={histogram} t0={span.t0} t1={span.t1} brush={(t0, t1) => setSpan({ t0, t1 })} />
      <Problem error={board.error} />
      <p class="soft board-said" role="status">
        {board.value ? said(board.value, board.busy) : "Asking …"}
      </p>
      <div class={object ? "split" : ""}>
        {board.value &&
          (board.value.rows.length ? (
            <CanvasView
              board={board.value}
              group={group}
              t0={span.t0}
              t1={span.t1}
              moved={(t0, t1) => setSpan({ t0, t1 })}
              opened={(row, near) => {
                if (row.name && row.kind !== "User") change(objectOf(row, near));
                else if (near?.id) go("ask", { q: `search id=${near.id}` });
              }}
            />
          ) : (
            <p>Nothing is recorded in this window.</p>
          ))}
        {object && (
          <Detail
            close={() => change({ object: null, namespace: null, cluster: null, near: null, part: null })}
            change={change}
          />
        )}
      </div>
    </>
  );
}

/** Opens the detail of an object; nameless rows are whole collections. */
function objectOf(row: BoardRow, near: { t: number; type: string } | null): Record<string, string | null> {
  return {
    object: `${row.kind.toLowerCase()}/${row.name}`,
    namespace: row.namespace,
    cluster: row.cluster === "default" ? null : row.cluster,
    near: near && String(Math.round(near.t)),
    part: near?.type === "log" ? "logs" : null,
  };
}

/** All that is recorded, with a little room at both ends. */
function wholeOf(histogram: Histogram): Span {
  const [t0, t1] = [Date.parse(histogram.since), Date.parse(histogram.until)];
  const room = (t1 - t0) * 0.02;
  return { t0: t0 - room, t1: t1 + room };
}

function said(board: Board, busy: boolean): string {
  const level = board.level === "marks" ? "each record is a mark" : "near records are joined; zoom in for each";
  const more = board.more_rows ? `, of ${count(board.objects ?? board.rows.length)} the most active` : "";
  return `${count(board.total)} records of ${count(board.rows.length)} objects${more}; ${level}${busy ? " …" : ""}`;
}

/** The board of the window and some more; asked again only when what is there does not do. */
function useBoard(span: Span, whole: Span, asked: WindowProps["asked"], group: Grouping) {
  const [range, setRange] = useState<Span>(() => widened(span, whole));
  const board = useAsk(`${range.t0} ${range.t1}`, (signal) =>
    get<Board>(
      "/api/v1/board",
      {
        ...asked,
        group,
        rows: ROWS,
        marks: MARKS,
        since: new Date(Math.floor(range.t0)).toISOString(),
        until: new Date(Math.ceil(range.t1)).toISOString(),
      },
      signal,
    ),
  );
  const coarse = board.value?.level === "bins" && range.t1 - range.t0 > 3 * (span.t1 - span.t0) * (1 + MARGIN);
  const outside = span.t0 < range.t0 || span.t1 > range.t1;
  useEffect(() => {
    if (outside || coarse) setRange(widened(span, whole));
  }, [outside, coarse, span.t0, span.t1]);
  return board;
}

function widened(span: Span, whole: Span): Span {
  const by = (span.t1 - span.t0) * MARGIN;
  const inside = { t0: Math.max(whole.t0, span.t0 - by), t1: Math.min(whole.t1, span.t1 + by) };
  return { t0: Math.min(inside.t0, span.t0), t1: Math.max(inside.t1, span.t1) };
}
