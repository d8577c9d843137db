"""The command line of each part. Flags that only some versions have are passed where the program knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness.binaries import Binaries
from tests.cluster.harness.options import Options
from tests.cluster.harness.pki import Pki

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    api: int
    etcd: int
    etcd_peer: int
    controllers: int
    scheduler: int


def etcd(binaries: Binaries, ports: Ports, data: Path) -> list[str]:
    """The real one, or a small stand-in program that embeds it and has three flags only."""
    client, peer = f"http://{LOCAL}:{ports.etcd}", f"http://{LOCAL}:{ports.etcd_peer}"
    program = binaries.path("etcd")
    if not binaries.speaks("etcd", "listen-client-urls"):
        return [program, "--data-dir", str(data), "--client", client, "--peer", peer]
    urls = {"listen-client-urls": client, "advertise-client-urls": client, "listen-peer-urls": peer}
    urls |= {"initial-advertise-peer-urls": peer, "initial-cluster": f"default={peer}"}
    return [program, f"--data-dir={data}", "--unsafe-no-fsync", *(f"--{k}={v}" for k, v in urls.items())]


def apiserver(binaries: Binaries, ports: Ports, pki: Pki, options: Options, audit: Sequence[str]) -> list[str]:
    name = "kube-apiserver"
    return [
        binaries.path(name),
        f"--etcd-servers=http://{LOCAL}:{ports.etcd}",
        f"--etcd-compaction-interval={options.compaction}",
        f"--bind-address={LOCAL}",
        f"--advertise-address={LOCAL}",
        f"--secure-port={ports.api}",
        *binaries.accepts(name, insecure_port="0"),
        # A loopback address cannot be an endpoint of the service `kubernetes`, and the reconciler insists.
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={pki.file('apiserver.crt')}",
        f"--tls-private-key-file={pki.file('apiserver.key')}",
        f"--client-ca-file={pki.file('ca.crt')}",
        f"--token-auth-file={pki.file('tokens.csv')}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.file('sa.pub')}",
        f"--service-account-signing-key-file={pki.file('sa.key')}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={pki.file('apiserver-kubelet-client.crt')}",
        f"--kubelet-client-key={pki.file('apiserver-kubelet-client.key')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--default-not-ready-toleration-seconds={options.tolerate_seconds}",
        f"--default-unreachable-toleration-seconds={options.tolerate_seconds}",
        "--allow-privileged=true",
        f"--event-ttl={options.event_ttl}",
        *binaries.gates(name, TTLAfterFinished=True),
        *audit,
        "--v=2",
        *options.apiserver,
    ]


def audit(options: Options, policy: Path, log: Path, webhook: Path | None) -> list[str]:
    flags = [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log}",
        "--audit-log-format=json",
        "--audit-log-truncate-enabled",
        "--audit-log-truncate-max-event-size=102400",
    ]
    if options.audit_max_mb:
        flags += [f"--audit-log-maxsize={options.audit_max_mb}", f"--audit-log-maxbackup={options.audit_backups}"]
    if webhook and options.webhook:
        flags += [
            f"--audit-webhook-config-file={webhook}",
            "--audit-webhook-mode=batch",
            f"--audit-webhook-batch-max-wait={options.webhook.wait:g}s",
            f"--audit-webhook-batch-max-size={options.webhook.batch}",
            "--audit-webhook-truncate-enabled",
            "--audit-webhook-truncate-max-event-size=102400",
        ]
    return flags


def controller_manager(binaries: Binaries, ports: Ports, pki: Pki, options: Options) -> list[str]:
    """Periods for lost nodes and autoscaling are seconds instead of minutes."""
    name = "kube-controller-manager"
    return [
        binaries.path(name),
        *_as_client(pki, "system-kube-controller-manager"),
        f"--bind-address={LOCAL}",
        f"--secure-port={ports.controllers}",
        *_no_insecure_port(binaries, name),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.file('sa.key')}",
        f"--root-ca-file={pki.file('ca.crt')}",
        f"--cluster-signing-cert-file={pki.file('ca.crt')}",
        f"--cluster-signing-key-file={pki.file('ca.key')}",
        "--node-monitor-period=1s",
        "--node-monitor-grace-period=10s",
        "--node-startup-grace-period=20s",
        *binaries.accepts(name, pod_eviction_timeout="5s"),
        "--node-eviction-rate=10",
        "--secondary-node-eviction-rate=10",
        *binaries.accepts(name, horizontal_pod_autoscaler_sync_period="5s"),
        *binaries.gates(name, TTLAfterFinished=True),
        "--v=2",
        *options.controller_manager,
    ]


def scheduler(binaries: Binaries, ports: Ports, pki: Pki) -> list[str]:
    name = "kube-scheduler"
    return [
        binaries.path(name),
        *_as_client(pki, "system-kube-scheduler"),
        f"--bind-address={LOCAL}",
        f"--secure-port={ports.scheduler}",
        *_no_insecure_port(binaries, name),
        "--v=2",
    ]


def kubelet(binaries: Binaries, pki: Pki, node: str, port: int) -> list[str]:
    return [
        binaries.path("kubemark"),
        "--morph=kubelet",
        f"--name={node}",
        f"--kubeconfig={pki.file(f'system-node-{node}.kubeconfig')}",
        f"--kubelet-port={port}",
        "--kubelet-read-only-port=0",
        f"--node-labels=topology.kubernetes.io/zone=zone-a,kubernetes.io/hostname={node}",
        "--v=2",
    ]


def _as_client(pki: Pki, file: str) -> list[str]:
    config = pki.file(f"{file}.kubeconfig")
    return [f"--{use}kubeconfig={config}" for use in ("", "authentication-", "authorization-")]


def _no_insecure_port(binaries: Binaries, name: str) -> list[str]:
    """`--port` of old versions also served plain HTTP, on one fixed port."""
    return binaries.accepts(name, port="0")
