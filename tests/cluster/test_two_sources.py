"""The audit trail and admission reviews of a real cluster, recorded at once: every deed is one row, with both ids."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewitness.config.state import state_paths
from kubewitness.manifests import manifest
from kubewitness.questions import search
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.targets import parse_target
from kubewitness.questions.timeline import TimelineQuestion
from kubewitness.questions.timeline import ask as timeline
from kubewitness.questions.who import WhoQuestion
from kubewitness.questions.who import ask as who
from kubewitness.store import Session, Store
from tests.cluster.demo_manifests import Object, deployment, namespace, roles
from tests.cluster.harness import Binaries, ControlPlane, Options, until
from tests.cluster.harness.ports import free_port
from tests.cluster.recorder import Recorder, recorded_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_PEOPLE = ("alice", "bob")
_SESSION = ["RequestReceived", "ResponseStarted", "ResponseComplete"]


def webhook(address: str, ca: bytes) -> Object:
    """The manifest that we print, for a recorder outside of the cluster; patient, because this machine is busy."""
    configuration: Object = yaml.safe_load(manifest("admission"))
    (hook,) = configuration["webhooks"]
    hook["clientConfig"] = {"url": f"https://{address}/admission", "caBundle": base64.b64encode(ca).decode()}
    hook["timeoutSeconds"] = 10
    return configuration


@contextmanager
def asking(recorder: Recorder) -> Iterator[Session]:
    """The state as it is now: what is still in the recorder's journal too."""
    store = Store(state_paths(str(recorder.state)))
    with store.session() as session:
        yield session
    store.close()


def play(cluster: ControlPlane, pod: str) -> None:
    """Two changes by bob, his exec, and alice's delete, while alice watches."""
    watch = cluster.kubectl_of("alice").start("get", "pod", pod, "-n", "shop", "--watch")
    bob = cluster.kubectl_of("bob")
    bob("label", "pod", pod, "-n", "shop", "tier=front")
    bob("label", "pod", pod, "-n", "shop", "tier=back", "--overwrite")
    bob("exec", pod, "-n", "shop", "--", "cat", "/etc/hostname")
    cluster.kubectl_of("alice")("delete", "pod", pod, "-n", "shop", "--wait=false")
    assert watch.stdout is not None
    watch.stdout.readline()  # it has begun, if the delete was not faster
    watch.terminate()
    watch.communicate(timeout=30)


def test_a_deed_that_both_sources_saw_is_one_row_with_both_ids(binaries: Binaries, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    one = Options(nodes=("worker-1",))
    with recorded_cluster(binaries, tmp_path, file=False, webhook=True, admission=address, options=one) as both:
        cluster, recorder = both
        cluster.apply(namespace("shop"), namespace("staging"), namespace("payments"), *roles())
        cluster.wait_namespace("shop")
        cluster.apply(deployment("shop", "web", 1))
        (pod,) = (p["metadata"]["name"] for p in cluster.wait_pods("shop", "app=web", 1))
        cluster.apply(webhook(address, Path(cluster.pki.file("ca.crt")).read_bytes()))
        until("the API server to ask the webhook", lambda: _asked(cluster, recorder), 30)
        play(cluster, pod)
        ref = parse_target([f"pod/{pod}"], namespace="shop", cluster="default")

        def ended() -> list[TimelineRow]:
            """All deeds of people, once each has its answer, and alice's watch its end: batches come in any order."""
            with asking(recorder) as session:
                rows = timeline(session, TimelineQuestion(ref, reads=True)).rows
            deeds = [r for r in rows if r.source in ("audit", "admission") and r.actor in _PEOPLE]
            watches = [r for r in deeds if r.action == "watch" and r.outcome == "200"]
            answered = all(r.duration_ms is not None for r in deeds)
            return deeds if answered and any(r.action == "delete" for r in deeds) and watches else []

        deeds = until("all answers, and the end of the watch", ended, 60)
        for row in deeds:
            print(row.when, row.summary, row.stages, [j.id for j in row.joined])
        assert {r.source for r in deeds} == {"audit"}, "a review was left alone"
        writes = [r for r in deeds if r.action in ("patch", "delete")]
        assert [(r.actor, r.action) for r in writes] == [("bob", "patch"), ("bob", "patch"), ("alice", "delete")]
        sessions = [r for r in deeds if r.action.endswith("pods/exec")]
        assert sessions
        assert all(r.stages == _SESSION and r.until is not None and r.duration_ms for r in sessions)
        with asking(recorder) as session:
            _check(session, pod, writes, sessions)
            deleted, ran = who(session, WhoQuestion(ref, "deleted")), who(session, WhoQuestion(ref, "exec"))
        assert deleted.root is not None
        assert (deleted.certainty, deleted.root.user) == ("proved", "alice")
        assert {writes[-1].id, *(j.id for j in writes[-1].joined)} <= set(deleted.chain[0].evidence)
        assert {link.evidence[0] for link in ran.chain} == {r.id for r in sessions}
        assert all(link.joined for link in ran.chain)
        text = recorder.ask("timeline", f"pod/{pod}", "-n", "shop").stdout
        print(text)
        assert f"bob patch Pod/shop/{pod} (also seen at admission)  (x2)" in text


def _asked(cluster: ControlPlane, recorder: Recorder) -> bool:
    """Whether a change is reviewed by now."""
    cluster.kubectl_of("admin")("annotate", "namespace", "shop", "asked=yes", "--overwrite")
    cluster.kubectl_of("admin")("annotate", "namespace", "shop", "asked-")
    with asking(recorder) as session:
        return bool(session.query("SELECT 1 FROM admission LIMIT 1"))


def _check(session: Session, pod: str, writes: list[TimelineRow], sessions: list[TimelineRow]) -> None:
    """Nothing is missing or there twice, and each record is found by its id."""
    mine = "\"user\" IN ('alice', 'bob') AND name = ?"
    reviewed = "(verb IN ('patch', 'delete') OR subresource = 'exec')"
    requests: list[Any] = session.query(f"SELECT DISTINCT audit_id FROM audit WHERE {mine} AND {reviewed}", [pod])
    assert len(requests) == len(writes) + len(sessions)
    reviews = session.query(f"SELECT review_uid FROM admission WHERE {mine}", [pod])
    joined = [j for r in [*writes, *sessions] for j in r.joined]
    assert sorted(j.id for j in joined) == sorted(f"admission:default/{uid}" for (uid,) in reviews)
    assert {j.certainty for j in joined} == {"inferred"}
    for ident in [*(r.id for r in [*writes, *sessions]), *(j.id for j in joined)]:
        conditions, _ = parse_words([f"id={ident}"])
        assert [r.id for r in search.ask(session, search.SearchQuestion(Filter(conditions))).rows] == [ident]
