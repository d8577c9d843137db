// The answer of `who`: the sentence, who set it off, the chain, and what the records do not tell.

import { report } from "../lib/report";
import { to } from "../lib/route";
import { save } from "../lib/save";
import type { Line, Root, WhoAnswer } from "../lib/types";
import { LongList } from "../parts/long";
import { Copy, ObjectLink, Sure, Time, UserLink } from "../parts/small";
import { Chain } from "./chain";
import { Changes } from "./changes";
import { MECHANISMS } from "./mechanisms";

export function Who({ answer, line }: { answer: WhoAnswer; line: Line }) {
  const { question, mechanism } = answer;
  return (
    <article class="who">
      <header class={`verdict sure-border-${answer.certainty}`}>
        <h1>{answer.summary || "The records do not tell."}</h1>
        <p class="facts">
          <Sure certainty={answer.certainty} />{" "}
          <span class="chip" title={MECHANISMS[mechanism]}>
            {mechanism}
          </span>{" "}
          <span class="soft">{MECHANISMS[mechanism]}</span>
        </p>
        <Facts answer={answer} />
        <Actions answer={answer} line={line} />
      </header>
      {answer.chain.length > 0 && (
        <section aria-labelledby="chain-title">
          <h2 id="chain-title">From the effect to its root</h2>
          <Chain
            chain={answer.chain}
            cluster={question.cluster}
            rooted={answer.root !== null && mechanism !== "unknown"}
          />
        </section>
      )}
      {answer.changes.length > 0 && (
        <section>
          <h2>What was changed</h2>
          <Changes changes={answer.changes} />
        </section>
      )}
      <Honest answer={answer} />
    </article>
  );
}

function Facts({ answer }: { answer: WhoAnswer }) {
  const { root, actor } = answer;
  return (
    <dl class="answer-facts">
      {answer.when && (
        <>
          <dt>when</dt>
          <dd>
            <Time when={answer.when} relative />
          </dd>
        </>
      )}
      {root && (
        <>
          <dt>root</dt>
          <dd>
            <RootLine root={root} cluster={answer.question.cluster} />
          </dd>
        </>
      )}
      {actor && (
        <>
          <dt>done by</dt>
          <dd>
            <UserLink user={actor.user} />
            {actor.acting_as && <> acting as {actor.acting_as}</>}
            {actor.peer_ip && <> from {actor.peer_ip}</>}
            {actor.user_agent && (
              <>
                {" "}
                as {actor.user_agent} <span class="soft">(a claim of the client)</span>
              </>
            )}
          </dd>
        </>
      )}
    </dl>
  );
}

function RootLine({ root, cluster }: { root: Root; cluster: string }) {
  return (
    <>
      {root.user === null ? (
        <span>nobody asked for it</span>
      ) : (
        <strong>
          <UserLink user={root.user} />
        </strong>
      )}
      {root.acting_as && <> acting as {root.acting_as}</>} <span class="soft">({root.kind})</span>: {root.action}{" "}
      <ObjectLink object={root.object} cluster={cluster} />
    </>
  );
}

function Actions({ answer, line }: { answer: WhoAnswer; line: Line }) {
  const { question } = answer;
  const name = [question.kind, question.namespace, question.name].filter(Boolean).join("-").toLowerCase();
  const params = {
    object: `${question.kind.toLowerCase()}/${question.name}`,
    namespace: question.namespace,
    cluster: question.cluster === "default" ? "" : question.cluster,
    uid: question.uid,
  };
  return (
    <div class="bar actions">
      <a class="button" href={to("object", params)}>
        Object and its history
      </a>
      <Copy text={location.href}>Copy link</Copy>
      <Copy text={line.command}>Copy command</Copy>
      <button
        type="button"
        class="quiet"
        onClick={() => save(`${name}.json`, JSON.stringify(answer, null, 2), "application/json")}
      >
        Save JSON
      </button>
      <button
        type="button"
        class="quiet"
        onClick={() => save(`${name}.md`, report(answer, line.command, location.href), "text/markdown")}
      >
        Save report (Markdown)
      </button>
    </div>
  );
}

/** Candidates, missing records and gaps: as plain to see as the answer itself. */
function Honest({ answer }: { answer: WhoAnswer }) {
  const { question, candidates, missing, gaps } = answer;
  return (
    <>
      {candidates.length > 0 && (
        <section class="honest">
          <h2>It could also have been</h2>
          <LongList
            items={candidates}
            show={(root) => (
              <li key={`${root.user} ${root.when} ${root.object}`}>
                <RootLine root={root} cluster={question.cluster} /> <Time when={root.when} />
              </li>
            )}
          />
        </section>
      )}
      {missing.length > 0 && (
        <section class="honest">
          <h2>What the records do not tell</h2>
          <ul>
            {missing.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </section>
      )}
      {gaps.length > 0 && (
        <section class="honest">
          <h2>When nothing was recorded</h2>
          <LongList
            items={gaps}
            show={(gap) => (
              <li key={`${gap.source} ${gap.since}`}>
                <strong>{gap.source}</strong>: <Time when={gap.since} /> to <Time when={gap.until} />: {gap.why}
              </li>
            )}
          />
        </section>
      )}
    </>
  );
}
