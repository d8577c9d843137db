"""The rights in the manifests, one by one: with all of them it records, with one less it says which is missing."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewitness.manifests import manifest
from tests.cluster.harness import Binaries, ControlPlane, Options, until
from tests.cluster.harness.ports import free_port
from tests.cluster.recorder import Recorder
from tests.faults import Fault

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_NAMESPACE = "kubewitness"


@dataclass(frozen=True)
class Right:
    """One verb of one rule of the printed ClusterRole."""

    rule: int
    verb: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def role() -> dict[str, Any]:
    (found,) = (d for d in yaml.safe_load_all(manifest("recorder")) if d and d["kind"] == "ClusterRole")
    return dict(found)


def rights() -> list[Right]:
    return [
        Right(i, verb, resource)
        for i, rule in enumerate(role()["rules"])
        for verb in rule["verbs"]
        for resource in rule["resources"]
    ]


def without(right: Right | None) -> dict[str, Any]:
    """The role, less that one verb."""
    less = deepcopy(role())
    if right is not None:
        less["rules"][right.rule]["verbs"].remove(right.verb)
        less["rules"] = [rule for rule in less["rules"] if rule["verbs"]]
    return less


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[ControlPlane]:
    with ControlPlane(Options(nodes=(), controllers=False, scheduler=False), binaries) as cluster:
        kubectl = cluster.kubectl_of("admin")
        kubectl("create", "namespace", _NAMESPACE)
        for document in yaml.safe_load_all(manifest("recorder")):
            if document["kind"] in ("ServiceAccount", "ClusterRoleBinding"):
                kubectl("apply", "-f", "-", stdin=json.dumps(document))
        yield cluster


@contextmanager
def recording(cluster: ControlPlane, folder: Path, right: Right | None) -> Iterator[tuple[Recorder, str]]:
    """The recorder, with a token of the manifests' ServiceAccount, whose role lacks `right`; and its address."""
    kubectl = cluster.kubectl_of("admin")
    kubectl("apply", "-f", "-", stdin=json.dumps(without(right)))
    token = folder / "token"
    token.write_text(kubectl("create", "token", "kubewitness", "-n", _NAMESPACE, "--duration=1h"))
    if right is not None:
        refused = [right.verb, right.resource, "--as", f"system:serviceaccount:{_NAMESPACE}:kubewitness", "-A"]
        until("the right to be gone", lambda: kubectl.run("auth", "can-i", *refused).stdout.strip() == "no")
    listen = f"127.0.0.1:{free_port()}"
    flags = ["--server", cluster.pki.server, "--ca-file", str(cluster.pki.file("ca.crt")), "--token-file", str(token)]
    recorder = Recorder(folder / "state", *flags, listen=listen)
    try:
        yield recorder.start(), f"http://{listen}"
    finally:
        recorder.stop()


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def make_event(cluster: ControlPlane, name: str) -> None:
    about = {"kind": "Namespace", "name": _NAMESPACE, "namespace": "default"}
    body = {"metadata": {"name": name, "namespace": "default"}, "involvedObject": about, "reason": "Proof"}
    assert cluster.api("admin").request("POST", "/api/v1/namespaces/default/events", body).status == 201


def test_with_the_printed_rights_and_no_other_everything_is_recorded_and_nothing_is_missing(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    make_event(cluster, "before")
    with recording(cluster, tmp_path, None) as (recorder, address):
        until("the watch", lambda: '"state": "watching"' in json.dumps(recorder.answer("status")["inputs"]))
        make_event(cluster, "during")
        wanted = "select count(distinct event_name) from events where event_name in ('before', 'during')"
        until("both Events", lambda: recorder.count(wanted) == 2)
        assert "missing_rights{" not in text_of(f"{address}/metrics")
        assert [i["missing_rights"] for i in recorder.answer("status")["inputs"]] == [[]]
        assert "not allowed" not in recorder.log.read_text()


@pytest.mark.parametrize("right", rights(), ids=str)
def test_with_one_right_less_it_says_which(cluster: ControlPlane, tmp_path: Path, right: Right, fault: Fault) -> None:
    with recording(cluster, tmp_path, right) as (recorder, address):
        gauge = re.compile(rf'missing_rights{{name="[^"]*",value="{right}"}} 1\n')
        until("the metric", lambda: gauge.search(text_of(f"{address}/metrics")))
        assert f"not allowed to {right}" in recorder.log.read_text()
        until(
            "the status", lambda: [i["missing_rights"] for i in recorder.answer("status")["inputs"]] == [[str(right)]]
        )
        assert f"not allowed to {right}" in recorder.ask("status").stdout
        live = json.loads(text_of(f"{address}/api/v1/status"))["recorder"]["inputs"]
        assert [i["missing_rights"] for i in live.values()] == [[str(right)]]
        # Granted while it runs: found out without a restart.
        cluster.kubectl_of("admin")("apply", "-f", "-", stdin=json.dumps(role()))
        granted, name = time.monotonic(), f"after-{right.verb}-{right.resource}"
        make_event(cluster, name)
        wanted = f"select event_name from events where event_name = '{name}'"
        stored = until("the Event", lambda: recorder.rows(wanted), 90, every=1)
        took = time.monotonic() - granted
    kept = [row["event_name"] for row in stored]
    fault("a right is missing (403), then granted", said=[name], kept=kept, on="real control plane", within=took)
