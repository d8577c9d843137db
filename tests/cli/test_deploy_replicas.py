"""`kubewitness deploy replicas`: the recorder's manifests with what an election and a shared store add, no more."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubewitness.cli import build_parser, main, record
from kubewitness.manifests import manifest
from tests.cli.test_deploy import STORE, documents, recorder


def container(part: str) -> dict[str, Any]:
    (found,) = recorder("StatefulSet", part)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_more_than_one_replica_is_refused_without_a_store_in_common(capsys: pytest.CaptureFixture[str]) -> None:
    for flags in ([], ["--store", "/var/lib/store"]):
        assert main(["deploy", "replicas", *flags]) == 2
        assert "more than one replica needs a store that all of them reach" in capsys.readouterr().err
    assert main(["deploy", "--store", STORE]) == 2
    assert main(["deploy", "replicas", "--store", "s3://b/p x"]) == 2


def test_the_store_given_is_filled_in_and_the_arguments_are_ones_that_the_recorder_takes() -> None:
    uri = "s3://bucket/prod?endpoint=https://minio.example:9000"
    (stateful,) = (d for d in documents("replicas", store=uri) if d["kind"] == "StatefulSet")
    (found,) = stateful["spec"]["template"]["spec"]["containers"]
    command, *args = found["args"]
    parsed = build_parser("record", record).parse_args(args)
    assert command == "record"
    assert (parsed.store, parsed.leader_elect) == (uri, True)
    assert parsed.lease_namespace == stateful["metadata"]["namespace"]


def test_the_pods_differ_from_the_single_recorders_in_the_election_and_the_store_only() -> None:
    ours = copy.deepcopy(recorder("StatefulSet", "replicas")["spec"]["template"])
    single = recorder("StatefulSet")["spec"]["template"]
    (pod,) = ours["spec"]["containers"]
    added = ["--store=s3://bucket/kubewitness", "--leader-elect", "--lease-namespace=kubewitness"]
    assert [a for a in pod["args"] if a in added] == added
    pod["args"] = [a for a in pod["args"] if a not in added]
    assert {e["name"] for e in pod.pop("env")} == {"AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION"}
    pod["volumeMounts"] = [m for m in pod["volumeMounts"] if m["name"] != "store"]
    ours["spec"]["volumes"] = [v for v in ours["spec"]["volumes"] if v["name"] != "store"]
    ours["spec"].pop("topologySpreadConstraints")
    ours["spec"]["terminationGracePeriodSeconds"] = single["spec"]["terminationGracePeriodSeconds"]
    assert ours == single


def test_nothing_waits_for_a_standby_to_become_ready() -> None:
    spec = recorder("StatefulSet", "replicas")["spec"]
    assert spec["replicas"] == 2
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert container("replicas")["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container("replicas")["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "PodDisruptionBudget" not in [d["kind"] for d in documents("replicas")]


def test_the_rights_added_are_those_of_the_lease_and_each_verb_says_why() -> None:
    assert recorder("ClusterRole", "replicas") == recorder("ClusterRole")
    assert recorder("Role", "replicas")["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["kubewitness"],
            "verbs": ["get", "update"],
        },
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    ]
    lines = manifest("replicas", store=STORE).splitlines()
    verbs = [line for line in lines if line.strip().startswith(("- get", "- update", "- create"))]
    assert len(verbs) == 4
    assert all("  # " in line for line in verbs)
