// What `who` needs, and how far the records go.

import { count } from "../parts/small";
import type { Need } from "./types";

const SAID: Record<Need["state"], [string, string, string]> = {
  met: ["✓", "recorded", "sure-proved"],
  part: ["≈", "partly too low", "sure-inferred"],
  lower: ["≈", "too low: inferred, not proved", "sure-inferred"],
  "left-out": ["⚠", "left out", "need-out"],
  unseen: ["?", "not seen", "sure-unknown"],
};
const ORDER: Need["state"][] = ["left-out", "lower", "part", "met", "unseen"];

export function Needs({ needs }: { needs: Need[] }) {
  const sorted = [...needs].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  return (
    <section class="scroll" aria-label="what who needs" tabIndex={0}>
      <h2>
        What <code>who</code> needs to prove a cause
      </h2>
      <table class="needs">
        <thead>
          <tr>
            <th scope="col">to tell</th>
            <th scope="col">state</th>
            <th scope="col">needs</th>
            <th scope="col">recorded</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((need) => (
            <tr key={need.purpose}>
              <th scope="row">{need.purpose}</th>
              <td>
                <Chip state={need.state} />
                {need.sign && <div class="said">{need.sign}</div>}
              </td>
              <td>
                <b>{need.level}</b> of {need.verbs.join(", ")} <code>{need.resources.join(", ")}</code>
              </td>
              <td>
                {Object.entries(need.levels).map(([level, n]) => (
                  <div key={level} class="nowrap">
                    {count(n)} at {level || "a level not told"}
                  </div>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="soft">“Not seen” is not “not recorded”: perhaps nobody asked for it. Level None leaves no trace.</p>
    </section>
  );
}

function Chip({ state }: { state: Need["state"] }) {
  const [sign, words, look] = SAID[state];
  return (
    <span class={`chip ${look}`}>
      <span aria-hidden="true">{sign}</span> {words}
    </span>
  );
}
