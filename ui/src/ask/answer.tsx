// One view for each question's answer.

import { to } from "../lib/route";
import { save } from "../lib/save";
import type { DiffAnswer, Line, Row, ShowAnswer, TopAnswer, WhoAnswer } from "../lib/types";
import { Rows } from "../parts/rows";
import { Copy, several } from "../parts/small";
import { Changes } from "./changes";
import { Granted, type GrantedAnswer } from "./granted";
import { Shown } from "./shown";
import { Top } from "./top";
import { Trace, type TraceAnswer } from "./trace";
import { Who } from "./who";

export function Answer({ line, value }: { line: Line; value: unknown }) {
  const question = line.path.split("/").pop() ?? "";
  if (question === "who") return <Who answer={value as WhoAnswer} line={line} />;
  return (
    <article>
      <Bar line={line} value={value} />
      <Body question={question} line={line} value={value} />
    </article>
  );
}

function Bar({ line, value }: { line: Line; value: unknown }) {
  return (
    <div class="bar actions">
      <Copy text={location.href}>Copy link</Copy>
      <Copy text={line.command}>Copy command</Copy>
      <button
        type="button"
        class="quiet"
        onClick={() => save(`${line.question || "answer"}.json`, JSON.stringify(value, null, 2), "application/json")}
      >
        Save JSON
      </button>
      {line.question === "timeline" && (
        <a class="button" href={to("object", line.params)}>
          Object and its history
        </a>
      )}
    </div>
  );
}

function Body({ question, line, value }: { question: string; line: Line; value: unknown }) {
  if (Array.isArray(value)) {
    if (!value.length) return <p>Nothing found.</p>;
    return (
      <>
        <h1>{several(value.length, "record")}</h1>
        <Rows rows={value as Row[]} caption={line.said || "records"} />
      </>
    );
  }
  if (question === "top") return <Top answer={value as TopAnswer} />;
  if (question === "show") return <Shown answer={value as ShowAnswer} />;
  if (question === "trace") return <Trace answer={value as TraceAnswer} />;
  if (question === "granted") return <Granted answer={value as GrantedAnswer} />;
  if (question === "diff") return <Diffed answer={value as DiffAnswer} />;
  return <pre class="record">{JSON.stringify(value, null, 2)}</pre>;
}

function Diffed({ answer }: { answer: DiffAnswer }) {
  return (
    <>
      <h1>What changed in {answer.object}</h1>
      {answer.changes.length ? (
        <Changes changes={answer.changes} />
      ) : (
        <p>No field changed, as far as the records tell.</p>
      )}
      {answer.notes.map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
    </>
  );
}
