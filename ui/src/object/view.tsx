// One object: its history, its versions side by side, and what belongs to it. Also the detail of the timeline.

import { useState } from "preact/hooks";
import { get } from "../lib/api";
import { kubectlGet, named, quoted } from "../lib/objects";
import { asking, go, route, to } from "../lib/route";
import type { Row } from "../lib/types";
import { useAsk } from "../lib/use";
import { Rows } from "../parts/rows";
import { Busy, Copy, ObjectLink, Problem, several } from "../parts/small";
import { Tabs } from "../parts/tabs";
import { Logs } from "./logs";
import { Revisions } from "./revisions";
import "../styles/object.css";

const PARTS = ["history", "versions", "related", "logs"] as const;
export type Part = (typeof PARTS)[number];

/** The parameters that all questions about the object take. */
export type ObjectParams = Record<string, string>;

export default function ObjectView() {
  const params = Object.fromEntries(route.value.params);
  const { part = "history", from, to: until, near, ...object } = params;
  return (
    <ObjectDetail
      params={object}
      part={PARTS.includes(part as Part) ? (part as Part) : "history"}
      versions={{ from, to: until }}
      near={Number(near) || null}
      change={(values) => go("object", { ...params, ...values }, true)}
    />
  );
}

interface Props {
  params: ObjectParams;
  part: Part;
  versions: { from?: string | undefined; to?: string | undefined };
  change: (values: { part?: Part; from?: string; to?: string }) => void;
  /** ms since 1970: the record nearest to it is brought into sight */
  near?: number | null;
}

export function ObjectDetail({ params, part, versions, change, near = null }: Props) {
  const [kind = "", name = ""] = (params.object ?? "").split("/");
  const space = params.namespace ? ` -n ${quoted(params.namespace)}` : "";
  const words = `${quoted(`${kind}/${name}`)}${space}`;
  return (
    <article class="object-detail">
      <h1>
        {kind}/{name} {params.namespace && <span class="soft">in {params.namespace}</span>}{" "}
        {params.cluster && <span class="soft">of cluster {params.cluster}</span>}
      </h1>
      <p class="bar">
        <a class="button" href={asking(`who ${words}`)}>
          Who did it?
        </a>
        <a class="button" href={asking(`who created ${words}`)}>
          Who made it?
        </a>
        <a
          class="button"
          href={to("timeline", { q: [`namespace=${params.namespace ?? ""}`].filter((w) => !w.endsWith("=")) })}
        >
          Timeline
        </a>
        <Copy text={`kubewitness timeline ${words} --related`}>Copy kubewitness command</Copy>
        <Copy text={kubectlGet({ kind, name, namespace: params.namespace ?? "" })}>Copy kubectl command</Copy>
      </p>
      <Tabs label="what to show" all={PARTS} chosen={part} choose={(chosen) => change({ part: chosen })} />
      {part === "history" && <History params={params} near={near} />}
      {part === "versions" && <Revisions params={params} chosen={versions} choose={change} />}
      {part === "related" && <Related params={params} />}
      {part === "logs" && <Logs params={params} near={near} />}
    </article>
  );
}

function History({ params, near }: { params: ObjectParams; near: number | null }) {
  const [reads, setReads] = useState(false);
  const key = `${JSON.stringify(params)} ${reads}`;
  const asked = useAsk(key, (signal) => get<Row[]>("/api/v1/timeline", { ...params, reads }, signal));
  return (
    <>
      <label class="check">
        <input type="checkbox" checked={reads} onChange={(event) => setReads(event.currentTarget.checked)} /> with reads
      </label>
      <Busy busy={asked.busy} />
      <Problem error={asked.error} />
      {asked.value &&
        (asked.value.length ? (
          <Rows rows={asked.value} caption="history" near={near} />
        ) : (
          <p>Nothing is recorded of it.</p>
        ))}
    </>
  );
}

/** Owners, what it owns, its node: everything that its related timeline names. */
function Related({ params }: { params: ObjectParams }) {
  const asked = useAsk(JSON.stringify(params), (signal) =>
    get<Row[]>("/api/v1/timeline", { ...params, related: true }, signal),
  );
  const counts = new Map<string, number>();
  for (const row of asked.value ?? []) if (named(row.object)) counts.set(row.object, (counts.get(row.object) ?? 0) + 1);
  return (
    <>
      <Busy busy={asked.busy} />
      <Problem error={asked.error} />
      <ul class="related">
        {[...counts]
          .sort((a, b) => a[0].localeCompare(b[0]))
          .map(([object, n]) => (
            <li key={object}>
              <ObjectLink object={object} {...(params.cluster ? { cluster: params.cluster } : {})} />{" "}
              <span class="soft">{several(n, "record")}</span>
            </li>
          ))}
      </ul>
    </>
  );
}
