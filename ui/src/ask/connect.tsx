// The first run: nothing is recorded yet. What to type, what the API server needs, and the manifests to copy.

import { useState } from "preact/hooks";
import { text } from "../lib/api";
import { save } from "../lib/save";
import type { Status } from "../lib/types";
import { useAsk } from "../lib/use";
import { Copy, Problem } from "../parts/small";
import { Tabs } from "../parts/tabs";

const WAYS = ["kubeadm", "kind", "k3s", "webhook", "policy", "recorder", "admission"] as const;
type Way = (typeof WAYS)[number];

const SAID: Record<Way, string> = {
  kubeadm: "the API server's flags and volumes in a kubeadm configuration",
  kind: "a kind cluster whose API server sends its audit trail here",
  k3s: "k3s: /etc/rancher/k3s/config.yaml",
  webhook: "the file of --audit-webhook-config-file: a kubeconfig that names the recorder",
  policy: "the file of --audit-policy-file: what the API server writes down",
  recorder: "kubectl apply -f - : the recorder in the cluster: namespace, rights, Service, StatefulSet",
  admission: "where the API server's flags cannot be set: a webhook that only watches and always allows",
};

export function Connect({ status }: { status: Status }) {
  const recording = status.inputs.length > 0;
  return (
    <section class="welcome">
      <h1>Nothing is recorded yet</h1>
      <p role="status">
        {recording
          ? `${status.inputs.length} inputs are waiting for the first record; this page shows it as soon as it arrives.`
          : "No input is running in this state. Connect a cluster in two steps; this page shows when data arrives."}
      </p>
      <ol class="steps">
        <li>
          <h2>Record what the cluster says: Events, and the audit webhook</h2>
          <Command
            text={`kubewitness record --kubeconfig ~/.kube/config --audit-listen 127.0.0.1:9444 --state ${status.state}`}
          />
          <p>
            Or read the audit file where it is written: <code>--audit-file /var/log/kubernetes/audit.log</code>
          </p>
          <p>Have an audit log or an export already?</p>
          <Command text={`kubewitness import /var/log/kubernetes/audit/ --state ${status.state}`} />
        </li>
        <li>
          <h2>Let the API server tell who did what</h2>
          <Manifests />
        </li>
      </ol>
    </section>
  );
}

function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <code>{text}</code>
      <Copy text={text}>Copy</Copy>
    </div>
  );
}

function Manifests() {
  const [way, setWay] = useState<Way>("kubeadm");
  const asked = useAsk(way, (signal) => text("/api/v1/deploy", { for: way }, signal));
  return (
    <>
      <Tabs label="manifest" all={WAYS} chosen={way} choose={setWay} />
      <p class="soft">{SAID[way]}</p>
      <Problem error={asked.error} />
      {asked.value && (
        <>
          <div class="bar">
            <Copy text={asked.value}>Copy</Copy>
            <button
              type="button"
              class="quiet"
              onClick={() => save(`${way}.yaml`, asked.value ?? "", "application/yaml")}
            >
              Save {way}.yaml
            </button>
          </div>
          <pre class="record" role="region" tabIndex={0} aria-label={`${way} manifest`}>
            {asked.value}
          </pre>
        </>
      )}
    </>
  );
}
