// One log line: its time, where it comes from, whether it is an error, its text; the record is one click away.

import { useEffect, useRef, useState } from "preact/hooks";
import { Evidence } from "../ask/evidence";
import { clock, full } from "../lib/time";
import type { Row } from "../lib/types";

const GRAVE = /^(error|fatal|critical|crit|alert|emerg|emergency|panic|severe)$/i;
/** Most runtimes keep no severity: klog's first letter, or a word that programs write for errors. */
const LOOKS_GRAVE =
  /^[EF]\d{4} |\b(ERROR|FATAL|PANIC|CRITICAL|Traceback|Exception)\b|\bpanic: |\blevel=(error|fatal|panic)\b|"(level|severity)":\s*"(error|fatal|panic|critical)"/;

interface Props {
  row: Row;
  pod: boolean;
  marked: boolean;
}

export function LogLine({ row, pod, marked }: Props) {
  const line = useRef<HTMLLIElement>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (marked) centred(line.current);
  }, [marked]);
  const grave = GRAVE.test(row.outcome);
  const perhaps = !grave && !row.outcome && LOOKS_GRAVE.test(row.summary);
  const look = [grave ? "log-grave" : perhaps ? "log-perhaps" : "", marked ? "marked" : ""].filter(Boolean).join(" ");
  const name = row.object.split("/").at(-1) ?? "";
  return (
    <li ref={line} class={look} aria-current={marked || undefined}>
      <button
        type="button"
        class="log-when"
        title={`${full(row.when)}: show the record`}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {clock(row.when)}.{millis(row.when)}
      </button>
      <span class="log-where soft">
        {pod && `${name} `}
        {row.actor}
        {row.action === "stderr" && " stderr"}
      </span>
      {(grave || perhaps) && (
        <strong class="log-sign" title={perhaps ? "its words look like an error; the record does not say so" : ""}>
          {grave ? `⚠ ${row.outcome}` : "≈ error"}
        </strong>
      )}
      <span class="log-text">{row.summary}</span>
      {open && <Evidence id={row.id} />}
    </li>
  );
}

/** Brings a line into the middle of its box, and leaves the page where it is. */
function centred(line: HTMLElement | null): void {
  const box = line?.closest<HTMLElement>(".log");
  if (line && box) box.scrollTop = line.offsetTop - (box.clientHeight - line.offsetHeight) / 2;
}

function millis(when: string): string {
  return (when.match(/\.(\d{3})/)?.[1] ?? "000").padEnd(3, "0");
}
