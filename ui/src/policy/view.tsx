// Which audit policy is in effect, as the records show it: what `who` needs and misses, what it costs, what to change.

import { get } from "../lib/api";
import { go, route, to } from "../lib/route";
import { ms, span } from "../lib/time";
import type { SessionInfo } from "../lib/types";
import { useAsk } from "../lib/use";
import { Busy, bytes, count, Problem, several, Tile, Time } from "../parts/small";
import { Tabs } from "../parts/tabs";
import { Needs } from "./needs";
import { NoiseTable } from "./noise";
import { Resources } from "./resources";
import { SuggestionView } from "./suggestion";
import type { PolicyAnswer, Remark } from "./types";
import "../styles/live.css";
import "../styles/policy.css";

const WINDOWS = ["last recorded day", "last hour", "last week", "everything"] as const;
type WindowName = (typeof WINDOWS)[number];
/** what the server takes; without `since` it is the day before the last record */
const SINCE: Record<WindowName, string | undefined> = {
  "last recorded day": undefined,
  "last hour": "1h",
  "last week": "7d",
  everything: "1970-01-01T00:00:00Z",
};

export default function PolicyView() {
  const params = route.value.params;
  const asked = params.get("window") as WindowName;
  const chosen = WINDOWS.includes(asked) ? asked : WINDOWS[0];
  const standing = useAsk("session", (signal) => get<SessionInfo>("/api/v1/session", {}, signal));
  const clusters = standing.value?.clusters ?? [];
  const cluster = params.get("cluster") ?? (clusters.length > 1 ? (clusters[0] ?? "") : "");
  const change = (values: Record<string, string>) =>
    go("policy", { window: chosen === WINDOWS[0] ? "" : chosen, cluster, ...values }, true);
  const answer = useAsk(standing.value || standing.error ? `${chosen} ${cluster}` : null, (signal) =>
    get<PolicyAnswer>("/api/v1/policy", { since: SINCE[chosen], cluster }, signal),
  );
  return (
    <div class="policy">
      <h1>What the audit policy records</h1>
      <div class="bar">
        <Tabs label="time" all={WINDOWS} chosen={chosen} choose={(window) => change({ window })} />
        {clusters.length > 1 && (
          <label>
            cluster{" "}
            <select value={cluster} onChange={(event) => change({ cluster: event.currentTarget.value })}>
              {clusters.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <Busy busy={answer.busy} />
      </div>
      <Problem error={answer.error} />
      {answer.value && <Told answer={answer.value} />}
    </div>
  );
}

function Told({ answer }: { answer: PolicyAnswer }) {
  if (!answer.records) {
    return (
      <>
        <p>No audit record was made in that time. This policy records what is needed to tell who did it:</p>
        <SuggestionView answer={answer} />
      </>
    );
  }
  return (
    <>
      <p class="soft">
        As {several(answer.records, "record")} from <Time when={answer.since} /> to <Time when={answer.until} /> show
        it.
      </p>
      <Verdict answer={answer} />
      <Remarks remarks={answer.remarks} />
      <Needs needs={answer.needs} />
      <SuggestionView answer={answer} />
      <NoiseTable noise={answer.noise} total={answer.bytes} />
      <Resources resources={answer.resources} more={answer.more_resources} total={answer.bytes} />
      <section>
        <h2>What the records cannot tell</h2>
        <ul>
          {answer.missing.map((text) => (
            <li key={text}>{text}.</li>
          ))}
        </ul>
      </section>
    </>
  );
}

/** The page in ten seconds: whether causes can be proved, whether secrets leak, what it costs. */
function Verdict({ answer }: { answer: PolicyAnswer }) {
  const seen = answer.needs.filter((need) => need.state !== "unseen");
  const met = seen.filter((need) => need.state === "met");
  const dangers = answer.remarks.filter((remark) => remark.kind === "danger").length;
  const length = ms(answer.until) - ms(answer.since);
  const { dropped } = answer.suggestion;
  return (
    <dl class="tiles">
      <Tile name="of what who needs, as far as seen" bad={met.length < seen.length}>
        {met.length} of {seen.length} recorded in full
      </Tile>
      <Tile name="kinds of secrets recorded with bodies" bad={dangers > 0}>
        {dangers || "none seen"}
      </Tile>
      <Tile name={length > 0 ? `recorded in ${span(length)}` : "recorded"}>
        {bytes(answer.bytes)}
        {length > 3_600_000 && <span class="soft"> {bytes((answer.bytes / length) * 3_600_000)}/h</span>}
      </Tile>
      <Tile name="of it the policy below would leave out">{percent(dropped.bytes, answer.bytes)}</Tile>
    </dl>
  );
}

const SIGNS: Record<Remark["kind"], [string, string]> = {
  danger: ["⚠", "danger"],
  missing: ["?", "missing"],
  waste: ["≈", "said twice"],
};

function Remarks({ remarks }: { remarks: Remark[] }) {
  if (!remarks.length) return null;
  return (
    <section>
      <h2>To be seen to</h2>
      <ul class="remarks">
        {remarks.map((remark) => (
          <li key={remark.sentence} class={`remark remark-${remark.kind}`}>
            <strong>
              <span aria-hidden="true">{SIGNS[remark.kind][0]}</span> {SIGNS[remark.kind][1]}
            </strong>{" "}
            {remark.sentence}{" "}
            {remark.mend && (
              <>
                To mend it: <code>{remark.mend}</code>.{" "}
              </>
            )}
            {remark.words.length > 0 && <a href={to("explore", { q: remark.words })}>Show these records</a>}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function percent(part: number, whole: number): string {
  if (!whole || !part) return "0 %";
  const share = (100 * part) / whole;
  return share < 1 ? "under 1 %" : `${count(Math.round(share))} %`;
}
