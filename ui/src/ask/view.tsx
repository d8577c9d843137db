// The first view: the box, and below it the answer; without a question, what to ask of what was recorded.

import { get } from "../lib/api";
import { asking, go, route } from "../lib/route";
import type { Line } from "../lib/types";
import { useAsk } from "../lib/use";
import { Busy, Problem } from "../parts/small";
import { Answer } from "./answer";
import { Box } from "./box";
import { Welcome } from "./welcome";

export function AskView() {
  const text = route.value.params.get("q")?.trim() ?? "";
  return (
    <div class="ask">
      <Box text={text} ask={(words) => go("ask", { q: words })} />
      {text ? <Asked text={text} /> : <Welcome />}
    </div>
  );
}

function Asked({ text }: { text: string }) {
  const understood = useAsk(text, (signal) => get<Line>("/api/v1/line", { text }, signal));
  const line = understood.value;
  const key = line?.understood && !understood.busy ? `${line.path} ${JSON.stringify(line.params)}` : null;
  const answer = useAsk(key, (signal) => get<unknown>(line?.path ?? "", line?.params, signal));
  const busy = understood.busy || answer.busy;
  return (
    <div aria-live="polite" aria-busy={busy}>
      <Busy busy={busy} />
      <Problem error={understood.error ?? answer.error} />
      {line && !understood.busy && <Understood line={line} />}
      {line && answer.value !== null && !busy && <Answer line={line} value={answer.value} />}
    </div>
  );
}

/** What the words were taken for, and what else they may mean. */
function Understood({ line }: { line: Line }) {
  const others = line.others ?? [];
  return (
    <div class="understood">
      {line.said && <p class="soft">{line.said}</p>}
      {others.length > 0 && (
        <p>
          {line.understood ? "Or: " : "Did you mean: "}
          {others.map((other, i) => (
            <span key={other.command}>
              {i > 0 && ", "}
              <a href={asking(other.command.replace(/^kubewitness /, ""))}>{other.said || other.command}</a>
            </span>
          ))}
        </p>
      )}
    </div>
  );
}
