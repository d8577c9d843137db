// Fields that changed: old, new, who, and the field manager of each.

import type { FieldChange } from "../lib/types";
import { Sure, Time, UserLink } from "../parts/small";

export function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function Changes({ changes }: { changes: FieldChange[] }) {
  return (
    <section class="scroll" aria-label="changed fields" tabIndex={0}>
      <table class="changes">
        <thead>
          <tr>
            <th scope="col">field</th>
            <th scope="col">old</th>
            <th scope="col">new</th>
            <th scope="col">by</th>
            <th scope="col">field manager</th>
            <th scope="col">when</th>
            <th scope="col">certainty</th>
          </tr>
        </thead>
        <tbody>
          {changes.map((c) => (
            <tr key={c.field}>
              <th scope="row">
                <code>{c.field}</code>
              </th>
              <td class="old">{c.old === null ? <span class="soft">not there</span> : <del>{shown(c.old)}</del>}</td>
              <td class="new">{c.new === null ? <span class="soft">removed</span> : <ins>{shown(c.new)}</ins>}</td>
              <td>
                <UserLink user={c.user} />
              </td>
              <td>{c.webhook ? `webhook ${c.webhook}` : c.manager}</td>
              <td class="nowrap">
                <Time when={c.when} />
              </td>
              <td>
                <Sure certainty={c.certainty} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
