// Versions of an object, two of them side by side, with the field manager of each changed line.

import { Changes } from "../ask/changes";
import { get } from "../lib/api";
import { full } from "../lib/time";
import type { DiffAnswer, Revision, ShowAnswer } from "../lib/types";
import { useAsk } from "../lib/use";
import { Busy, Problem } from "../parts/small";
import { SideBySide } from "./sides";
import type { ObjectParams } from "./view";

interface Props {
  params: ObjectParams;
  chosen: { from?: string | undefined; to?: string | undefined };
  choose: (values: { from?: string; to?: string }) => void;
}

interface Found {
  revisions: Revision[];
}

export function Revisions({ params, chosen, choose }: Props) {
  const asked = useAsk(JSON.stringify(params), (signal) => get<Found>("/api/v1/revisions", params, signal));
  const revisions = asked.value?.revisions ?? [];
  const to = chosen.to ?? revisions.at(-1)?.when;
  const from = chosen.from ?? revisions[0]?.when;
  return (
    <>
      <Busy busy={asked.busy} />
      <Problem error={asked.error} />
      {asked.value && !revisions.length && (
        <p>
          No version of it is known: its writes were recorded without bodies (audit level Metadata), and no watch saw
          it.
        </p>
      )}
      {from && to && (
        <>
          <div class="bar versions">
            <Pick label="from" revisions={revisions} value={from} choose={(when) => choose({ from: when })} />
            <Pick label="to" revisions={revisions} value={to} choose={(when) => choose({ to: when })} />
          </div>
          <Compared params={params} from={from} to={to} />
        </>
      )}
    </>
  );
}

function Pick(props: { label: string; revisions: Revision[]; value: string; choose: (when: string) => void }) {
  const { label, revisions, value, choose } = props;
  return (
    <label>
      {label}{" "}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {revisions.map((r) => (
          <option key={r.id} value={r.when}>
            {full(r.when)} {r.user ?? ""} {r.how}
            {r.exact ? "" : " (not exact)"}
          </option>
        ))}
      </select>
    </label>
  );
}

function Compared({ params, from, to }: { params: ObjectParams; from: string; to: string }) {
  const asked = useAsk(`${JSON.stringify(params)} ${from} ${to}`, async (signal) => {
    const [before, after, diff] = await Promise.all([
      get<ShowAnswer>("/api/v1/show", { ...params, at: from }, signal),
      get<ShowAnswer>("/api/v1/show", { ...params, at: to }, signal),
      get<DiffAnswer>("/api/v1/diff", { ...params, from, to }, signal),
    ]);
    return { before, after, diff };
  });
  const found = asked.value;
  return (
    <>
      <Busy busy={asked.busy} />
      <Problem error={asked.error} />
      {found && (
        <>
          {[...found.after.notes, ...found.diff.notes].map((note) => (
            <p class="note" key={note}>
              {note}
            </p>
          ))}
          {found.diff.unknown.map((u) => (
            <p class="note" key={u.since}>
              Not known from {full(u.since)} to {u.until ? full(u.until) : "the end"}: {u.why}
            </p>
          ))}
          <SideBySide before={found.before} after={found.after} changes={found.diff.changes} />
          {found.diff.changes.length > 0 && (
            <>
              <h2>Who changed what</h2>
              <Changes changes={found.diff.changes} />
            </>
          )}
        </>
      )}
    </>
  );
}
