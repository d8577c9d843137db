"""The manifests of two elected recorders on a real API server, and an election with exactly the rights they give."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.manifests import manifest
from tests.cluster.harness import Binaries, ControlPlane, Options, until
from tests.cluster.replica import Replica

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_ACCOUNT = "system:serviceaccount:kubewitness:kubewitness"


def test_the_api_server_accepts_them_and_an_election_works_with_their_rights_and_names_one_that_is_missing(
    binaries: Binaries, tmp_path: Path
) -> None:
    with ControlPlane(Options(nodes=(), scheduler=False), binaries) as cluster:
        kubectl = cluster.kubectl_of("admin")
        kubectl("create", "namespace", "kubewitness")  # a dry run in a namespace needs the namespace
        text = manifest("replicas", store="s3://bucket/kubewitness")
        assert "statefulset.apps/kubewitness created (server dry run)" in kubectl(
            "apply", "--dry-run=server", "-f", "-", stdin=text
        )
        documents = text.split("\n---\n")
        rights = [d for d in documents if "kind: Role" in d or "kind: ClusterRole" in d or "kind: ServiceAccount" in d]
        kubectl("apply", "-f", "-", stdin="\n---\n".join(rights))

        def may(*what: str) -> bool:
            return kubectl.run("auth", "can-i", *what, "--as", _ACCOUNT).stdout.strip() == "yes"

        assert may("update", "leases.coordination.k8s.io/kubewitness", "-n", "kubewitness")
        assert not may("update", "leases.coordination.k8s.io/another", "-n", "kubewitness")
        assert not may("get", "leases.coordination.k8s.io/kubewitness", "-n", "kube-system")
        assert not may("delete", "leases.coordination.k8s.io/kubewitness", "-n", "kubewitness")
        assert not may("list", "leases.coordination.k8s.io", "-n", "kubewitness")

        token = tmp_path / "token"
        token.write_text(kubectl("create", "token", "kubewitness", "-n", "kubewitness", "--duration=1h"))
        access = ["--server", cluster.server, "--token-file", str(token), "--ca-file", cluster.pki.file("ca.crt")]
        replica = Replica("a", tmp_path, access, namespace="kubewitness")
        replica.start()
        until("a leader", lambda: replica.ready, 60)
        replica.stop()
        kubectl("delete", "lease", "kubewitness", "-n", "kubewitness")
        role = next(d for d in rights if "kind: Role\n" in d)
        for verbs, missing in (("get, update", "create"), ("get, create", "update"), ("update, create", "get")):
            rule = f"rules:\n- {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [{verbs}]}}\n"
            kubectl("apply", "-f", "-", stdin=role[: role.index("rules:")] + rule)
            replica.start()
            says(
                replica, f"not allowed to {missing} leases.coordination.k8s.io 'kubewitness' in namespace 'kubewitness'"
            )
            replica.stop()


def says(replica: Replica, line: str) -> None:
    until(f"it says: {line}", lambda: line in replica.log.read_text(), 60)
