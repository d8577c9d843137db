// The most frequent values, as a table with bars.

import { asking } from "../lib/route";
import type { TopAnswer } from "../lib/types";
import { count, Time } from "../parts/small";

export function Top({ answer }: { answer: TopAnswer }) {
  const most = Math.max(1, ...answer.rows.map((r) => r.count));
  return (
    <section class="scroll" aria-label={`most frequent values of ${answer.field}`} tabIndex={0}>
      <table class="top">
        <thead>
          <tr>
            <th scope="col">{answer.field}</th>
            <th scope="col">count</th>
            <th scope="col">first</th>
            <th scope="col">last</th>
          </tr>
        </thead>
        <tbody>
          {answer.rows.map((row) => (
            <tr key={row.value}>
              <th scope="row">
                <a href={asking(`search ${answer.field}=${/\s/.test(row.value) ? `"${row.value}"` : row.value}`)}>
                  {row.value}
                </a>
              </th>
              <td class="number">
                <meter min={0} max={most} value={row.count} aria-hidden="true" /> {count(row.count)}
              </td>
              <td class="nowrap">
                <Time when={row.first} />
              </td>
              <td class="nowrap">
                <Time when={row.last} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
