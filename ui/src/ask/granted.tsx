// Which binding gave a right, and who made it.

import type { Certainty, Gap } from "../lib/types";
import { Sure } from "../parts/small";
import { Evidence } from "./evidence";

interface Grant {
  binding: string;
  role: string;
  subject: string;
  certainty: Certainty;
  sentence: string;
  evidence: string[];
}

export interface GrantedAnswer {
  found: boolean;
  summary: string;
  certainty: Certainty;
  grants: Grant[];
  former: Grant[];
  missing: string[];
  gaps: Gap[];
}

export function Granted({ answer }: { answer: GrantedAnswer }) {
  return (
    <>
      <h1>
        {answer.summary} <Sure certainty={answer.certainty} />
      </h1>
      <Grants title="Granted by" grants={answer.grants} />
      <Grants title="Granted before" grants={answer.former} />
      {answer.missing.map((text) => (
        <p class="note" key={text}>
          {text}
        </p>
      ))}
    </>
  );
}

function Grants({ title, grants }: { title: string; grants: Grant[] }) {
  if (!grants.length) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ol class="chain">
        {grants.map((grant) => (
          <li class="card" key={`${grant.binding} ${grant.subject}`}>
            <p class="sentence">
              {grant.sentence} <Sure certainty={grant.certainty} />
            </p>
            <p class="soft facts">
              {grant.binding} → {grant.role} for {grant.subject}
            </p>
            {grant.evidence.map((id) => (
              <details key={id}>
                <summary>{id}</summary>
                <Evidence id={id} />
              </details>
            ))}
          </li>
        ))}
      </ol>
    </section>
  );
}
