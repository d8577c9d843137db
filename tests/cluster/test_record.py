"""`kubewitness record` on a real cluster: a drain is explained at once, and kill -9 loses and doubles nothing."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.demo_manifests import deployment, namespace, roles
from tests.cluster.harness import Binaries, RawWatch, until
from tests.cluster.load import Load
from tests.cluster.recorder import recorded_cluster
from tests.faults import Fault

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def test_a_drain_is_named_within_five_seconds_with_evidence_that_search_finds(
    binaries: Binaries, tmp_path: Path
) -> None:
    with recorded_cluster(binaries, tmp_path, file=False, webhook=True) as (cluster, recorder):
        cluster.apply(namespace("shop"), namespace("staging"), namespace("payments"), *roles())
        cluster.wait_namespace("shop")
        cluster.apply(deployment("shop", "web", 4))
        pods = cluster.wait_pods("shop", "app=web", 4)
        node, pod = pods[0]["spec"]["nodeName"], pods[0]["metadata"]["name"]

        kubectl = cluster.kubectl_of("alice").start("drain", node, "--ignore-daemonsets", "--delete-emptydir-data")
        question = ("who", "evicted", f"pod/{pod}", "-n", "shop")

        answers: list[dict[str, Any]] = []

        def proved() -> dict[str, Any] | None:
            """The batches of a webhook arrive in any order: an early answer may lack the cordon, and says less."""
            answers.append(recorder.answer(*question))
            return answers[-1] if answers[-1].get("certainty") == "proved" else None

        try:
            answer = until("a proved answer", proved, 20)
        except TimeoutError:
            pytest.fail(f"no proved answer within 20 s; the last one: {answers[-1]}")
        took = time.time() - datetime.fromisoformat(answer["when"]).timestamp()
        print(f"answered {took:.1f} s after the eviction")
        assert took < 5
        assert kubectl.wait(60) == 0
        assert answer["found"]
        assert answer["mechanism"] == "drain", answer
        root = answer["root"]
        assert (root["user"], root["kind"], root["object"]) == ("alice", "human", f"Node/{node}")
        evidence = [id_ for link in answer["chain"] for id_ in link["evidence"]]
        assert len(evidence) >= 2
        for id_ in evidence:
            (row,) = recorder.answer("search", f"id={id_}")
            assert row["id"] == id_


def test_sql_answers_while_the_recorder_writes(binaries: Binaries, tmp_path: Path) -> None:
    with recorded_cluster(binaries, tmp_path, file=True, webhook=False) as (cluster, recorder):
        cluster.apply(namespace("load"))
        cluster.wait_namespace("load")
        load = Load(cluster.api("admin"), 10**9).start()

        def counted() -> dict[str, int]:
            rows = recorder.rows("select source, count(*) as n from activity group by 1")
            return {row["source"]: row["n"] for row in rows}

        try:
            first = until("the first records", counted)
            until("more of them", lambda: counted().get("audit", 0) > first.get("audit", 0))
            until("Events", lambda: counted().get("event", 0) > 0)
        finally:
            load.finish()
            load.join()
        # What was answered is visible within a second (and the start of the command that asks).
        cluster.api("admin").request("GET", "/api/v1/namespaces/load/pods/visible-at-once")
        time.sleep(1)
        assert recorder.count("select count(*) from audit where name = 'visible-at-once'") > 0


@pytest.mark.crash
@pytest.mark.parametrize("way", ["file", "webhook", "both"])
def test_kill_9_at_random_moments_under_load_loses_nothing_and_stores_nothing_twice(
    binaries: Binaries, tmp_path: Path, way: str, fault: Fault
) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    chance = random.Random(seed)
    file, webhook = way in ("file", "both"), way in ("webhook", "both")
    with recorded_cluster(binaries, tmp_path, file=file, webhook=webhook) as (cluster, recorder):
        cluster.apply(namespace("load"))
        cluster.wait_namespace("load")
        watch = RawWatch(cluster.api(), "/api/v1/events").start()
        load = Load(cluster.api("admin"), 2000).start()
        kills, longest = 0, 0.0
        while load.running or kills < 3:
            time.sleep(chance.uniform(0.1, 2.5))
            recorder.kill()
            kills += 1
            time.sleep(chance.choice((0.0, 0.0, 0.5)))
            again = time.monotonic()
            recorder.start()
            longest = max(longest, time.monotonic() - again)
        load.join()
        last = until("the last Event in the watch", lambda: _quiet(watch), 30)
        watch.stop()
        # A recorder that was just started again on a busy machine may not have asked for the last ones yet.
        until(
            "all Events in the store",
            lambda: not watch.versions() - {(r["uid"], r["resource_version"]) for r in recorder.rows(_EVENT_KEYS)},
            120,
            every=1,
        )
        # Ends the audit trail, and sends what the webhook still holds.
        cluster.apiserver.stop(60)
        said = Counter((record["auditID"], record["stage"]) for record in cluster.audit_records())
        print(f"{kills} kills, {sum(said.values())} audit records, {last} watch messages")
        until(
            "all audit records in the store",
            lambda: recorder.count("select count(*) from audit") >= len(said),
            120,
            every=1,
        )
        recorder.stop()
        stored = Counter({(row["audit_id"], row["stage"]): row["n"] for row in recorder.rows(_AUDIT_KEYS)})
        assert stored == said
        versions = Counter({(row["uid"], row["resource_version"]): row["n"] for row in recorder.rows(_EVENT_KEYS)})
        seen = watch.versions()
        assert not seen - set(versions), "Event versions that the independent watch saw are missing"
        assert set(versions.values()) == {1}
    # both kinds of pairs are of one kind: (auditID, stage), (uid, resourceVersion)
    kept = [*stored.elements(), *(v for v in versions.elements() if v in seen)]
    fault(
        "recorder killed -9 under load (audit file, webhook, both; Events)",
        said=[*said, *seen], kept=kept, on="real control plane", within=longest,
    )  # fmt: skip


_AUDIT_KEYS = "select audit_id, stage, count(*) as n from audit group by 1, 2"
_EVENT_KEYS = "select uid, resource_version, count(*) as n from events where change <> 'EXPIRED' group by 1, 2"


def _quiet(watch: RawWatch) -> int:
    """The number of messages once none has come for two seconds."""
    before = len(watch.lines)
    time.sleep(2)
    return before if len(watch.lines) == before else 0
