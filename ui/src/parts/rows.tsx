// Records as a table: what search, timeline, findings and the live view show.

import { useEffect, useRef, useState } from "preact/hooks";
import { Evidence } from "../ask/evidence";
import { clusterOf } from "../lib/objects";
import { zoneShort } from "../lib/time";
import type { Row } from "../lib/types";
import { ObjectLink, Time, UserLink } from "./small";

/** of log lines and findings: how severe */
const BAD = new Set(["error", "fatal", "critical", "high"]);
const WARN = new Set(["Warning", "warning", "warn", "medium"]);

/** How an outcome reads: a word beside the colour. */
function outcomeClass(row: Row): string {
  const code = Number.parseInt(row.outcome, 10);
  if (code >= 500 || BAD.has(row.outcome)) return "bad";
  if (code >= 400 || WARN.has(row.outcome)) return "warn";
  return "";
}

/** What the summary says beside actor, action and object, which have their own places. */
function beside(row: Row): string {
  for (const known of [`${row.actor} ${row.action} ${row.object}`, row.action]) {
    if (row.summary === known) return "";
    if (row.summary.startsWith(`${known}: `)) return row.summary.slice(known.length + 2);
  }
  return row.summary;
}

interface Props {
  rows: Row[];
  caption: string;
  /** ms since 1970: the row nearest to it is marked and brought into sight */
  near?: number | null;
}

export function Rows({ rows, caption, near = null }: Props) {
  const nearest = near === null ? null : nearestOf(rows, near);
  const [open, setOpen] = useState<string | null>(null);
  const clusters = new Set(rows.map((row) => clusterOf(row.id)));
  return (
    <section class="scroll" aria-label={caption} tabIndex={0}>
      <table class="rows">
        <caption class="offscreen">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">when ({zoneShort(rows[0]?.when)})</th>
            <th scope="col">actor</th>
            <th scope="col">what</th>
            <th scope="col">outcome</th>
            <th scope="col">record</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Line
              key={row.id}
              row={row}
              told={clusters.size > 1}
              marked={row.id === nearest}
              open={open === row.id}
              toggle={() => setOpen(open === row.id ? null : row.id)}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function nearestOf(rows: Row[], near: number): string | null {
  const distance = (row: Row) => Math.abs(Date.parse(row.when) - near);
  return (
    rows.reduce<Row | null>((best, row) => (best && distance(best) <= distance(row) ? best : row), null)?.id ?? null
  );
}

interface LineProps {
  row: Row;
  /** whether its cluster is told */
  told: boolean;
  marked: boolean;
  open: boolean;
  toggle: () => void;
}

function Line({ row, told, open, toggle, marked }: LineProps) {
  const cluster = clusterOf(row.id);
  const line = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (marked) line.current?.scrollIntoView({ block: "center" });
  }, [marked]);
  return (
    <>
      <tr ref={line} class={marked ? "marked" : ""} aria-current={marked || undefined}>
        <td class="nowrap">
          <Time when={row.when} zoned={false} />
        </td>
        <td class="actor-cell">
          {row.actor ? row.source === "audit" ? <UserLink user={row.actor} /> : row.actor : ""}
        </td>
        <td class="what-cell">
          {row.action} {row.object && <ObjectLink object={row.object} cluster={cluster} />}
          <span class="soft">
            {told && ` in ${cluster}`}
            {row.count > 1 && ` × ${row.count}`} {row.source}
          </span>
          <div class="said">{beside(row)}</div>
        </td>
        <td class={outcomeClass(row)}>{row.outcome}</td>
        <td>
          <button type="button" class="quiet" aria-expanded={open} onClick={toggle}>
            {open ? "hide" : "show"}
          </button>
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={5}>
            <Evidence id={row.id} />
          </td>
        </tr>
      )}
    </>
  );
}
