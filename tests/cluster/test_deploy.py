"""The manifests on a real API server: it accepts them, and the recorder's rights are what its role says."""

from __future__ import annotations

import json

import pytest
import yaml

from kubewitness.manifests import manifest
from tests.cluster.harness import Binaries, ControlPlane, Options

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_ACCOUNT = "system:serviceaccount:kubewitness:kubewitness"


def test_the_api_server_accepts_the_manifests_and_grants_exactly_these_rights(binaries: Binaries) -> None:
    with ControlPlane(Options(nodes=(), controllers=False, scheduler=False), binaries) as cluster:
        kubectl = cluster.kubectl_of("admin")
        kubectl("create", "namespace", "kubewitness")  # a dry run in a namespace needs the namespace
        kubectl("create", "namespace", "kubewitness-agent")
        kubectl("create", "serviceaccount", "default", "-n", "default")  # no controller makes it here
        parts = [manifest(part) for part in ("recorder", "admission", "agent-daemonset")]
        for text in (*parts, manifest("agent-daemonset", metadata=True)):
            printed = kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
            assert "(server dry run)" in printed
            print(printed)
        # A server before 1.28 knows no native sidecars: it refuses the probes of an init container. All else it takes.
        sidecar = [d for d in yaml.safe_load_all(manifest("agent-sidecar")) if d]
        (pod,) = (d for d in sidecar if d["kind"] == "Pod")
        refused = kubectl.run("apply", "--dry-run=server", "--validate=false", "-f", "-", stdin=json.dumps(pod))
        assert "spec.initContainers[0].livenessProbe" in refused.stderr
        (agent,) = pod["spec"].pop("initContainers")
        assert agent.pop("restartPolicy") == "Always"
        pod["spec"]["containers"].append(agent)
        for document in sidecar:
            assert "(server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
        documents = manifest("recorder").split("\n---\n")
        rights = [d for d in documents if "kind: ClusterRole" in d or "kind: ServiceAccount" in d]
        kubectl("apply", "-f", "-", stdin="\n---\n".join(rights))

        def may(*what: str) -> bool:
            return kubectl.run("auth", "can-i", *what, "--as", _ACCOUNT).stdout.strip() == "yes"

        assert may("list", "events", "-A")
        assert may("watch", "events", "-A")
        assert may("get", "namespaces/kube-system")
        assert not may("get", "namespaces/default")
        assert not may("delete", "events", "-A")
        assert not may("get", "secrets", "-A")
        assert not may("list", "pods", "-A")
