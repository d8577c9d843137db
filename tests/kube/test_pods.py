"""What is kept of pods: whose they are, which version a log belongs to, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewitness.kube.pods import KEEP, Entry, Index, Key, Wanted, rendered
from tests.filters.pods import container_id, pod

WEB = Key("shop", "web-1")


def raw(**metadata: Any) -> bytes:
    return json.dumps(pod(**metadata)).encode()


def owned(kind: str, name: str, *, controller: bool = True, **metadata: Any) -> bytes:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "not-this", "uid": "0"}
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "1", "controller": controller}
    return raw(ownerReferences=[other, owner], **metadata)


#: minutes since 1970 of the sample pod's creation, 2026-11-22T10:00:00Z
MINUTES = 1_795_341_600 // 60


@pytest.mark.parametrize(
    ("of", "kind", "name"),
    [
        (owned("ReplicaSet", "web-5d4f", labels={"pod-template-hash": "5d4f"}), "Deployment", "web"),
        (owned("ReplicaSet", "web-a-5d4f", labels={"rollouts-pod-template-hash": "5d4f"}), "Rollout", "web-a"),
        # called otherwise, or made by hand
        (owned("ReplicaSet", "web-5d4f", labels={"pod-template-hash": "77"}), "ReplicaSet", "web-5d4f"),
        (owned("ReplicaSet", "web-5d4f", labels={}), "ReplicaSet", "web-5d4f"),
        (owned("ReplicaSet", "-5d4f", labels={"pod-template-hash": "5d4f"}), "ReplicaSet", "-5d4f"),
        (owned("Job", f"backup-{MINUTES}"), "CronJob", "backup"),
        (owned("Job", f"backup-{MINUTES - 90}"), "CronJob", "backup"),
        (owned("Job", f"backup-{MINUTES * 60}"), "CronJob", "backup"),
        (owned("Job", "backup-20261122"), "Job", "backup-20261122"),
        (owned("Job", f"backup-{MINUTES + 60}"), "Job", f"backup-{MINUTES + 60}"),
        (owned("Job", "backup"), "Job", "backup"),
        (owned("StatefulSet", "db"), "StatefulSet", "db"),
        (owned("DaemonSet", "agent"), "DaemonSet", "agent"),
        (owned("Widget", "w-1"), "Widget", "w-1"),
        (owned("ReplicaSet", "web-5d4f", controller=False), "Pod", "web-1"),
        (raw(), "Pod", "web-1"),
    ],
)
def test_a_pods_workload_is_what_people_call_it(of: bytes, kind: str, name: str) -> None:
    assert json.loads(Entry(of, Wanted(workload=True)).workload) == {"kind": kind, "name": name}


@pytest.fixture
def now() -> list[float]:
    return [1.0]


@pytest.fixture
def index(now: list[float]) -> Index:
    return Index(Wanted(), clock=lambda: now[0])


def test_a_deleted_pod_is_remembered_for_a_while(index: Index, now: list[float]) -> None:
    index.put(raw())
    now[0] = 100.0
    index.remove(raw())
    assert (len(index), index.find(WEB, container_id("a")) is not None) == (0, True)
    now[0] = 100.0 + KEEP + 1
    index.put(raw(name="other"))
    index.remove(raw(name="other"))
    assert index.find(WEB, container_id("a")) is None


def test_what_a_list_does_not_have_is_gone_but_not_what_was_fetched_by_itself(index: Index) -> None:
    index.put(raw())
    index.put(raw(name="far"), fetched=True)
    index.begin()
    index.put(raw(name="web-2"))
    index.end()
    gone = {name: bool(index.find(Key("shop", name)).gone) for name in ("web-1", "web-2", "far")}  # type: ignore[union-attr]
    assert gone == {"web-1": True, "web-2": False, "far": False}


def test_what_was_fetched_by_itself_and_not_again_is_forgotten_after_an_hour(index: Index, now: list[float]) -> None:
    index.put(raw(), fetched=True)
    index.put(raw(name="watched"))
    now[0] = 3700.0
    index.put(raw(name="far"), fetched=True)
    assert [index.find(Key("shop", name)) is not None for name in ("web-1", "watched", "far")] == [False, True, True]


def test_a_static_pod_is_known_by_the_digest_of_its_manifest(index: Index) -> None:
    index.put(raw(annotations={"kubernetes.io/config.hash": "0123"}))
    assert index.find(WEB, uid="0123") is not None
    assert index.find(WEB, uid="4567") is None


def test_containers_that_a_status_no_longer_has_are_still_the_pods(index: Index) -> None:
    index.put(raw())
    later = pod()
    later["status"]["containerStatuses"][0] |= {"containerID": f"containerd://{container_id('b')}", "lastState": {}}
    index.put(json.dumps(later).encode())
    index.put(raw(uid="uid-next"))
    assert [e.uid for c in "9b" if (e := index.find(WEB, container_id(c)))] == ["uid-web-1"] * 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"metadata":{"name":1}}', b"\xff", b"{" * 3000, b'{"a":"\xff"}'])
def test_what_is_no_object_is_counted(index: Index, body: bytes) -> None:
    assert index.put(body) is None
    assert index.unread == 1


def test_an_object_with_nothing_in_it_says_nothing() -> None:
    empty = {"name": "p", "namespace": "n", "labels": None, "annotations": None, "ownerReferences": None}
    entry = Entry(
        json.dumps({"metadata": empty, "spec": None, "status": {"containerStatuses": None}}).encode(), Wanted()
    )
    assert rendered({"pod_name": "p"}, entry) == b'"kubernetes":{"pod_name":"p"}'


def test_a_container_of_a_journal_has_its_id_from_the_status() -> None:
    made = rendered({"pod_name": "web-1", "container_name": "app"}, Entry(raw(), Wanted(labels=False)))
    assert json.loads(b"{" + made + b"}")["kubernetes"]["docker_id"] == container_id("a")
