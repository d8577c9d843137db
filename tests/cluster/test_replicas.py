"""Two elected recorders on a real cluster: the leader is killed or frozen under load, and the other goes on.

Against an independent watch: no version of an Event is lost, none is stored twice.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.demo_manifests import namespace
from tests.cluster.harness import Binaries, ControlPlane, Options, RawWatch, until
from tests.cluster.load import Load
from tests.cluster.recorder import Recorder
from tests.cluster.replica import Reader, Replica, SharedStore
from tests.faults import Fault
from tests.object_store import object_store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

_EVENTS = "select uid, resource_version, count(*) as n from events where change <> 'EXPIRED' group by 1, 2"
_KNOWN = "select count(*) from (select distinct uid, resource_version from events where change <> 'EXPIRED')"


@contextmanager
def replicas_of(
    binaries: Binaries, folders: Mapping[str, Path], store: SharedStore | None = None
) -> Iterator[tuple[ControlPlane, list[Replica]]]:
    """A cluster and its elected recorders, by name and the folder of their state."""
    with ControlPlane(Options(nodes=(), scheduler=False), binaries) as cluster:
        cluster.apply(namespace("load"))
        cluster.wait_namespace("load")
        replicas = [Replica(name, folder, admin(cluster), store) for name, folder in folders.items()]
        try:
            for replica in replicas:
                replica.start()
            yield cluster, replicas
        finally:
            for replica in replicas:
                replica.stop()


def admin(cluster: ControlPlane) -> list[str]:
    return ["--kubeconfig", str(cluster.pki.users["admin"].kubeconfig)]


def leader_of(replicas: Sequence[Replica], seconds: float = 60.0) -> Replica:
    """The one that takes records; waits for it."""

    def one() -> Replica | None:
        for replica in replicas:
            replica.check()
        ready = [r for r in replicas if not r.paused and r.ready]
        assert len(ready) < 2, "two replicas take records"
        return ready[0] if ready else None

    return until("a leader", one, seconds)


class Faults:
    """Takes the leader away, again and again; what it took until another one took records."""

    def __init__(self, replicas: Sequence[Replica], chance: random.Random, kinds: Sequence[str]) -> None:
        self._replicas = replicas
        self._chance = chance
        self._kinds = kinds
        #: in random order, each as often as the others
        self._next: list[str] = []
        self.seconds: dict[str, list[float]] = {kind: [] for kind in kinds}

    def strike(self) -> None:
        leader = leader_of(self._replicas)
        if not self._next:
            self._next = self._chance.sample(self._kinds, len(self._kinds))
        kind = self._next.pop()
        time.sleep(self._chance.uniform(0.5, 3.0))
        if kind == "killed":
            leader.kill()
        else:
            leader.pause()
        began = time.monotonic()
        following = leader_of([r for r in self._replicas if r is not leader])
        took = time.monotonic() - began
        self.seconds[kind].append(took)
        print(f"{leader.name} {kind}; {following.name} records {took:.1f} s later")
        time.sleep(self._chance.uniform(0.0, 1.5))
        if kind == "killed":
            leader.start()
        else:
            said = leader.log.stat().st_size
            leader.resume()
            until("the old leader to notice", lambda: b"not leading any more" in leader.log.read_bytes()[said:], 30)
            assert not leader.ready

    def __str__(self) -> str:
        return "; ".join(
            f"{kind} {len(s)} times, the next leader records after {min(s):.1f} to {max(s):.1f} s"
            for kind, s in self.seconds.items()
            if s
        )


@contextmanager
def shared_store(kind: str, folder: Path) -> Iterator[SharedStore]:
    if kind == "directory":
        yield SharedStore(("--store", str(folder / "store")))
        return
    with object_store(folder / "objects") as server:
        yield SharedStore(("--store", server.uri("replicas")), server.env)


def killed_and_frozen(binaries: Binaries, folder: Path, store: SharedStore, count: int) -> Proof:
    with replicas_of(binaries, {"a": folder / "a", "b": folder / "b"}, store) as (cluster, replicas):
        faults = Faults(replicas, chance(), ("killed", "frozen"))
        return prove(cluster, replicas, Reader(folder / "reader", store), faults, count)


def chance() -> random.Random:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nKUBEWITNESS_SEED={seed}")
    return random.Random(seed)


@dataclass(frozen=True)
class Proof:
    """Versions of Events that an independent watch saw, those of the tables, and how long there was no leader."""

    said: set[tuple[str, str]]
    kept: list[tuple[str, str]]
    seconds: Mapping[str, Sequence[float]]


def prove(cluster: ControlPlane, replicas: Sequence[Replica], reader: Recorder, faults: Faults, count: int) -> Proof:
    """Strikes `count` times under load, then compares the tables with what an independent watch saw."""
    leader_of(replicas)
    watch = RawWatch(cluster.api(), "/api/v1/events").start()
    load = Load(cluster.api("admin"), 10**9).start()
    try:
        for _ in range(count):
            faults.strike()
    finally:
        load.finish()
        load.join()
    until("the last Event in the watch", lambda: _quiet(watch), 30)
    watch.stop()
    seen = watch.versions()
    leader_of(replicas)
    try:
        until("all versions in the store", lambda: reader.count(_KNOWN) >= len(seen), 120, every=1)
    except TimeoutError:
        print("not all versions came")
    for replica in replicas:
        replica.stop(60)
    stored = Counter({(row["uid"], row["resource_version"]): row["n"] for row in reader.rows(_EVENTS)})
    terms = sum(len(re.findall(r"leading now, in term", replica.log.read_text())) for replica in replicas)
    print(f"{load.done} requests, {len(seen)} versions of Events, {len(stored)} stored, {terms} terms; {faults}")
    lost = seen - set(stored)
    assert not lost, (
        f"{len(lost)} of {len(seen)} versions that the independent watch saw are missing: {sorted(lost)[:3]}"
    )
    assert set(stored.values()) == {1}, f"{sum(n > 1 for n in stored.values())} versions are stored twice"
    assert terms > count
    return Proof(seen, [v for v in stored.elements() if v in seen], faults.seconds)


def test_a_warm_standby_on_the_same_state_goes_on_where_a_killed_leader_was(
    binaries: Binaries, tmp_path: Path, fault: Fault
) -> None:
    with replicas_of(binaries, {"a": tmp_path, "b": tmp_path}) as (cluster, replicas):
        leader = leader_of(replicas)
        (standby,) = (r for r in replicas if r is not leader)
        lease = cluster.api().get("/apis/coordination.k8s.io/v1/namespaces/default/leases/kubewitness")
        assert lease["spec"]["holderIdentity"].startswith(f"{leader.name}_")
        assert lease["spec"]["leaseDurationSeconds"] == 3
        assert standby.get("/readyz") == (503, f"standby; the leader is {lease['spec']['holderIdentity']}\n")
        assert standby.get("/healthz")[0] == 200
        assert standby.get("/audit", b"{}", port=standby.audit_port)[0] == 503
        assert (leader.election()["leading"], standby.election()["leading"]) == (True, False)
        assert "kubewitness_election_leading 1" in leader.get("/metrics")[1]
        assert "kubewitness_election_leading 0" in standby.get("/metrics")[1]
        # another process reads it from the status file, which is written every two seconds
        until("status tells who leads", lambda: "leading in term" in leader.ask("status").stdout, 15)
        proof = prove(cluster, replicas, leader, Faults(replicas, chance(), ("killed",)), 2)
        released = cluster.api().get("/apis/coordination.k8s.io/v1/namespaces/default/leases/kubewitness")
        assert released["spec"]["holderIdentity"] == ""
        assert released["spec"]["leaseTransitions"] >= 2
    longest = max(proof.seconds["killed"])
    fault(
        "leader killed -9 under load, standby on the same volume",
        said=proof.said, kept=proof.kept, on="real control plane", within=longest,
    )  # fmt: skip


def test_a_leader_that_is_killed_or_frozen_loses_no_version_and_stores_none_twice(
    binaries: Binaries, tmp_path: Path, fault: Fault
) -> None:
    with shared_store("object storage", tmp_path) as store:
        proof = killed_and_frozen(binaries, tmp_path, store, 4)
    said, kept, on = proof.said, proof.kept, "real control plane"
    killed, frozen = max(proof.seconds["killed"]), max(proof.seconds["frozen"])
    fault("leader killed -9 under load, two replicas", said=said, kept=kept, on=on, within=killed)
    fault("leader frozen (SIGSTOP) under load, two replicas", said=said, kept=kept, on=on, within=frozen)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["object storage", "directory"])
def test_twenty_times_over(binaries: Binaries, tmp_path: Path, kind: str) -> None:
    with shared_store(kind, tmp_path) as store:
        killed_and_frozen(binaries, tmp_path, store, 20)


def test_two_replicas_without_a_store_in_common_are_refused(binaries: Binaries, tmp_path: Path) -> None:
    with replicas_of(binaries, {"a": tmp_path / "a"}) as (cluster, (first,)):
        leader_of([first])
        second = Replica("b", tmp_path / "b", admin(cluster))
        second.start()
        until("the second one to end", lambda: not second.running, 30)
        assert "replicas need one store that all of them can reach (--store s3://...)" in second.log.read_text()
        assert first.ready


def _quiet(watch: RawWatch) -> int:
    """The number of messages once none has come for two seconds."""
    before = len(watch.lines)
    time.sleep(2)
    return before if len(watch.lines) == before else 0
