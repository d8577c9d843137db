// Who makes most of the volume.

import { to } from "../lib/route";
import { bytes, count } from "../parts/small";
import { type Noise, nameOf, wordsOf } from "./types";
import { percent } from "./view";

export function NoiseTable({ noise, total }: { noise: Noise[]; total: number }) {
  return (
    <section class="scroll" aria-label="most of the volume" tabIndex={0}>
      <h2>Most of the volume</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">who</th>
            <th scope="col">what</th>
            <th scope="col" class="number">
              records
            </th>
            <th scope="col" class="number">
              bytes
            </th>
            <th scope="col">share</th>
          </tr>
        </thead>
        <tbody>
          {noise.map((one) => (
            <tr key={`${one.user} ${one.verb} ${nameOf(one)}`}>
              <td>{one.user === "system:nodes" ? "all nodes (system:nodes)" : one.user || "nobody told"}</td>
              <td>
                <a href={to("explore", { q: [...asker(one), `verb=${one.verb}`, ...wordsOf(one)] })}>
                  {one.verb} {nameOf(one)}
                </a>
              </td>
              <td class="number">{count(one.records)}</td>
              <td class="number">{bytes(one.bytes)}</td>
              <td>
                <Part part={one.bytes} whole={total} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function asker(one: Noise): string[] {
  return [one.user === "system:nodes" ? "user_kind=node" : `user=${one.user}`];
}

export function Part({ part, whole }: { part: number; whole: number }) {
  return (
    <span class="part">
      <span class="part-bar" style={{ width: `${Math.max(1, (100 * part) / Math.max(1, whole))}%` }} />
      <span class="part-said">{percent(part, whole)}</span>
    </span>
  );
}
