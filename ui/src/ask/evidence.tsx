// One record behind an answer: pretty JSON, YAML, the original bytes, its columns; and commands that show it again.

import { useState } from "preact/hooks";
import { get } from "../lib/api";
import { clusterOf, kubectlGet, named, searchId } from "../lib/objects";
import type { RawRecord } from "../lib/types";
import { useAsk } from "../lib/use";
import { Busy, Copy, ObjectLink, Problem } from "../parts/small";
import { Tabs } from "../parts/tabs";

const FORMS = ["JSON", "YAML", "original", "columns"] as const;
type Form = (typeof FORMS)[number];

export function Evidence({ id }: { id: string }) {
  const [form, setForm] = useState<Form>("JSON");
  const asked = useAsk(id, (signal) => get<RawRecord>("/api/v1/record", { id }, signal));
  const record = asked.value;
  return (
    <div class="evidence-box">
      <Busy busy={asked.busy} />
      <Problem error={asked.error} />
      {record && (
        <>
          <div class="bar">
            <Tabs label="form of the record" all={FORMS} chosen={form} choose={setForm} />
            <Commands record={record} />
          </div>
          {record.redacted && <p class="note">Secret values in this record were redacted before it was kept.</p>}
          <Text record={record} form={form} />
        </>
      )}
    </div>
  );
}

function Commands({ record }: { record: RawRecord }) {
  const object = objectOf(record);
  const found = named(object);
  return (
    <div class="bar">
      {object && <ObjectLink object={object} cluster={clusterOf(record.id)} />}
      <Copy text={record.raw}>Copy record</Copy>
      <Copy text={searchId(record.id)}>Copy kubewitness command</Copy>
      {found && <Copy text={kubectlGet(found)}>Copy kubectl command</Copy>}
    </div>
  );
}

/** `Pod/shop/web-1` of a record's body. */
function objectOf(record: RawRecord): string | null {
  const body = parsed(record.raw) as Record<string, never> | null;
  const ref = (body?.objectRef ?? body?.involvedObject ?? body?.regarding ?? null) as Record<string, string> | null;
  const kind = ref?.kind ?? ref?.resource;
  return kind && ref?.name ? [kind, ref.namespace, ref.name].filter(Boolean).join("/") : null;
}

function parsed(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return null;
  }
}

function Text({ record, form }: { record: RawRecord; form: Form }) {
  const body = parsed(record.raw);
  const yaml = useAsk(form === "YAML" && body !== null ? record.id : null, async () => {
    const { stringify } = await import("yaml");
    return stringify(body, { lineWidth: 0 });
  });
  if (form === "columns") return <Columns fields={record.fields} />;
  let text = record.raw;
  if (form === "JSON" && body !== null) text = JSON.stringify(body, null, 2);
  if (form === "YAML" && body !== null) text = yaml.value ?? "";
  return (
    <pre class="record" role="region" tabIndex={0} aria-label={`record as ${form}`}>
      {text}
    </pre>
  );
}

function Columns({ fields }: { fields: Record<string, unknown> }) {
  const rows = Object.entries(fields).filter(([, v]) => v !== null && v !== "" && !(Array.isArray(v) && !v.length));
  return (
    <table class="columns">
      <tbody>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{typeof value === "string" ? value : JSON.stringify(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
