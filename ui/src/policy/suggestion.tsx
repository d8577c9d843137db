// A policy to copy, and what it would make of what was recorded.

import { save } from "../lib/save";
import { bytes, Copy, count, several } from "../parts/small";
import type { PolicyAnswer } from "./types";
import { percent } from "./view";

export function SuggestionView({ answer }: { answer: PolicyAnswer }) {
  const { suggestion } = answer;
  return (
    <section>
      <h2>A policy that records it, and little else</h2>
      {answer.records > 0 && <Effect answer={answer} />}
      <div class="bar">
        <Copy text={suggestion.policy}>Copy</Copy>
        <button type="button" class="quiet" onClick={() => save("policy.yaml", suggestion.policy, "application/yaml")}>
          Save policy.yaml
        </button>
        <span class="soft">
          for <code>--audit-policy-file</code>; the API server reads it when it starts
        </span>
      </div>
      <pre class="record" role="region" tabIndex={0} aria-label="suggested policy">
        {suggestion.policy}
      </pre>
      {answer.records > 0 && <Rules answer={answer} />}
    </section>
  );
}

function Effect({ answer }: { answer: PolicyAnswer }) {
  const { dropped, stages, lower, higher } = answer.suggestion;
  return (
    <p>
      Of these records it would not have made <b>{percent(dropped.bytes, answer.bytes)}</b> ({bytes(dropped.bytes)},{" "}
      {several(dropped.records, "record")}
      {stages.records > 0 && `, ${count(stages.records)} of them first stages`}).{" "}
      {lower.records > 0 && `It would have kept ${count(lower.records)} (${bytes(lower.bytes)}) with less in them. `}
      {higher.records > 0 &&
        `It would have put bodies into ${count(higher.records)} that have too little: how large those are, no record tells. `}
      What was never recorded, nobody can count.
    </p>
  );
}

function Rules({ answer }: { answer: PolicyAnswer }) {
  return (
    <details>
      <summary>What each of its rules would be about</summary>
      <section class="scroll" aria-label="rules" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">level</th>
              <th scope="col">rule</th>
              <th scope="col" class="number">
                records
              </th>
              <th scope="col" class="number">
                bytes
              </th>
            </tr>
          </thead>
          <tbody>
            {answer.suggestion.rules.map((rule) => (
              <tr key={rule.why}>
                <td>{rule.level}</td>
                <td>{rule.why}</td>
                <td class="number">{count(rule.records)}</td>
                <td class="number">{percent(rule.bytes, answer.bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
