"""timeline, search, top, show and tail on the demo recording and on small trails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.formats.times import parse_us
from kubewitness.questions import search, show, timeline, top
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.tail import Follower, TailQuestion
from kubewitness.questions.targets import parse_target
from kubewitness.store import Session, Store
from tests.questions.builder import BEGIN, CONTROLLERS, SECOND, Trail, uid
from tests.questions.recordings import imported, written

Opened = Callable[[Trail], Session]


def looked_up(session: Session, *words: str, **rest: Any) -> list[Any]:
    conditions, text = parse_words(words)
    return search.ask(session, search.SearchQuestion(Filter(conditions, text), **rest)).rows


def test_search_finds_refusals_by_user_and_code(demo_session: Session) -> None:
    rows = looked_up(demo_session, "user=bob", "code=403", "kind=secret")
    assert [(r.action, r.object, r.outcome) for r in rows] == [("list", "Secret/shop", "403 Forbidden")]


def test_search_is_newest_first_unless_asked_otherwise(demo_session: Session) -> None:
    newest = looked_up(demo_session, "ns=shop", limit=20)
    assert [r.when for r in newest] == sorted((r.when for r in newest), reverse=True)
    oldest = looked_up(demo_session, "ns=shop", limit=20, ascending=True)
    assert [r.when for r in oldest] == sorted(r.when for r in oldest)
    assert oldest[0].when < newest[-1].when


def test_patterns_lists_negations_and_regular_expressions_narrow(demo_session: Session) -> None:
    by_pattern = looked_up(demo_session, "verb=delete,deletecollection", "kind=pod", "user!=system:*", limit=500)
    assert {r.actor for r in by_pattern} <= {"alice", "bob", "carol", "admin"}
    by_regex = looked_up(demo_session, "reason~^scaling", limit=500)
    assert by_regex
    assert {r.action for r in by_regex} == {"ScalingReplicaSet"}


def test_text_is_found_in_messages_whatever_its_case(demo_session: Session) -> None:
    rows = looked_up(demo_session, "disruption BUDGET", limit=500)
    assert rows
    assert all("disruption budget" in r.summary.lower() for r in rows)


def test_raw_gives_the_original_records(demo_session: Session) -> None:
    conditions, _ = parse_words(["user=bob", "code=403", "kind=secret"])
    answer = search.ask(demo_session, search.SearchQuestion(Filter(conditions), raw=True))
    assert len(answer.raws) == len(answer.rows) == 1
    assert answer.raws[0].startswith(b"{")
    assert b'"code":403' in answer.raws[0]


def test_a_reused_audit_id_is_kept_and_found(trail: Trail, opened: Opened) -> None:
    body = trail.pod("web-1", 1)
    trail.add(0, "alice", "get", "pods", "web-1", audit_id=uid(5), response=body)
    trail.add(9, "bob", "delete", "pods", "web-1", audit_id=uid(5), response=body)
    session = opened(trail)
    rows = looked_up(session, f"audit_id={uid(5)}")
    assert {r.actor for r in rows} == {"alice", "bob"}
    assert len(looked_up(session, "flags~audit-id-reused")) == 1


def test_top_counts_the_values_of_a_field(demo_session: Session) -> None:
    conditions, _ = parse_words(["user=bob"])
    answer = top.ask(demo_session, top.TopQuestion("verb", Filter(conditions)))
    total = len(looked_up(demo_session, "user=bob", limit=5000))
    assert sum(r.count for r in answer.rows) == total
    assert answer.rows == sorted(answer.rows, key=lambda r: -r.count)


def test_top_of_kind_and_of_lists_reads_as_people_do(demo_session: Session) -> None:
    kinds = top.ask(demo_session, top.TopQuestion("kind", Filter()))
    assert "Pod" in [r.value for r in kinds.rows]
    groups = top.ask(demo_session, top.TopQuestion("group", Filter()))
    assert "system:authenticated" in [r.value for r in groups.rows]


def test_top_of_a_field_that_no_source_has_together_with_another_is_refused(demo_session: Session) -> None:
    conditions, _ = parse_words(["type=Warning"])
    with pytest.raises(UsageError, match="no source has"):
        top.ask(demo_session, top.TopQuestion("verb", Filter(conditions)))


def test_a_timeline_is_in_order_and_joins_audit_and_events(demo_session: Session) -> None:
    ref = parse_target(["deploy/web"], namespace="shop", cluster="default")
    rows = timeline.ask(demo_session, timeline.TimelineQuestion(ref)).rows
    assert [r.when for r in rows] == sorted(r.when for r in rows)
    assert {r.source for r in rows} == {"audit", "event"}
    assert {r.object for r in rows} == {"Deployment/shop/web"}


def test_a_related_timeline_reaches_the_pods_and_their_node(demo_session: Session, truth: dict[str, Any]) -> None:
    ref = parse_target(["deploy/web"], namespace="shop", cluster="default")
    rows = timeline.ask(demo_session, timeline.TimelineQuestion(ref, related=True)).rows
    pods = {
        f"Pod/shop/{v['name']}" for v in truth["vanished"] if v["name"].startswith("web-") and v["namespace"] == "shop"
    }
    assert pods <= {r.object for r in rows}


def test_a_timeline_of_nothing_says_what_was_recorded_and_near_names(demo_session: Session) -> None:
    ref = parse_target(["deploy/wep"], namespace="shop", cluster="default")
    answer = timeline.ask(demo_session, timeline.TimelineQuestion(ref))
    assert answer.rows == []
    assert "near names: web" in answer.hints


def test_show_gives_the_object_as_it_was(demo_session: Session, truth: dict[str, Any]) -> None:
    rollout = next(s for s in truth["steps"] if "set image" in s["command"])
    ref = parse_target(["deploy/web"], namespace="shop", cluster="default")
    before = show.ask(demo_session, show.ShowQuestion(ref, parse_us(rollout["started"])))
    after = show.ask(demo_session, show.ShowQuestion(ref, parse_us(rollout["ended"]) + SECOND))
    images = [a.object["spec"]["template"]["spec"]["containers"][0]["image"] for a in (before, after)]
    assert images == ["shop/web:1.0", "shop/web:1.1"]


def test_show_says_from_when_on_it_does_not_know(trail: Trail, opened: Opened) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    trail.add(60, "bob", "patch", "pods", "web-1", level="Metadata")
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    answer = show.ask(opened(trail), show.ShowQuestion(ref))
    assert answer.found
    assert not answer.exact
    assert answer.unknown_since == "2026-03-01T10:01:00.004000Z"
    assert any("bob" in n for n in answer.notes)


def test_show_tells_that_the_object_had_been_deleted(trail: Trail, opened: Opened) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    trail.add(60, "bob", "delete", "pods", "web-1", response=trail.pod("web-1", 1, **trail.going(60)))
    session = opened(trail)
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    assert show.ask(session, show.ShowQuestion(ref)).deleted == "2026-03-01T10:01:00.004000Z"
    assert show.ask(session, show.ShowQuestion(ref, BEGIN + 30 * SECOND)).deleted is None


def test_tail_shows_each_arrival_once(tmp_path: Path) -> None:
    first, second = Trail(), Trail()
    first.add(0, "alice", "get", "pods", "web-1")
    second.add(9, "bob", "get", "pods", "web-1")
    second.add(10, CONTROLLERS + "x", "get", "pods", "web-1")
    paths = imported(tmp_path / "state", [written(tmp_path / "a", first.events)])
    conditions, _ = parse_words(["user!=system:*"])
    follower = Follower(TailQuestion(Filter(conditions), since=0))
    store = Store(paths)
    with store.session() as session:
        assert [r.actor for r in follower.poll(session)] == ["alice"]
        assert follower.poll(session) == []
    imported(tmp_path / "state", [written(tmp_path / "b", second.events)])
    with store.session() as session:
        assert [r.actor for r in follower.poll(session)] == ["bob"]
    store.close()
