// What one request set off, as a tree.

import { clusterOf } from "../lib/objects";
import type { Certainty, Gap, Link } from "../lib/types";
import { ObjectLink, Sure, Time, UserLink } from "../parts/small";

export interface TraceNode {
  when: string;
  actor: string | null;
  action: string;
  object: string;
  sentence: string;
  certainty: Certainty;
  evidence: string[];
  children: TraceNode[];
}

export interface TraceAnswer {
  root: TraceNode | null;
  cause: Link | null;
  notes: string[];
  missing: string[];
  gaps: Gap[];
}

export function Trace({ answer }: { answer: TraceAnswer }) {
  return (
    <>
      {answer.cause && <p>It was itself set off: {answer.cause.sentence}</p>}
      {answer.root ? (
        <ul class="tree">
          <Node node={answer.root} />
        </ul>
      ) : (
        <p>No such request is recorded.</p>
      )}
      {[...answer.notes, ...answer.missing].map((text) => (
        <p class="note" key={text}>
          {text}
        </p>
      ))}
    </>
  );
}

function Node({ node }: { node: TraceNode }) {
  return (
    <li>
      <details open>
        <summary>
          {node.sentence} <Sure certainty={node.certainty} />
        </summary>
        <p class="soft facts">
          <Time when={node.when} /> <UserLink user={node.actor} /> {node.action}{" "}
          <ObjectLink object={node.object} cluster={clusterOf(node.evidence[0] ?? "")} />
        </p>
        {node.children.length > 0 && (
          <ul class="tree">
            {node.children.map((child, i) => (
              <Node key={i} node={child} />
            ))}
          </ul>
        )}
      </details>
    </li>
  );
}
