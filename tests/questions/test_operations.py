"""Stages of a request as one operation: merging in any order, and what `timeline`, `search` and `who` make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.formats.times import format_us, parse_us
from kubewitness.questions import search, timeline, top
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.model import TimelineRow, WhoAnswer
from kubewitness.questions.operations import COMPLETE, PANIC, RECEIVED, STARTED, course_of, merged, operation_of, told
from kubewitness.questions.targets import parse_target
from kubewitness.questions.times import Window
from kubewitness.store import Session
from tests.questions.builder import BEGIN, SECOND, Trail, uid

Opened = Callable[[Trail], Session]
Who = Callable[..., WhoAnswer]


class Said(msgspec.Struct, frozen=True):
    """One stage of one request."""

    ts: int
    received: int
    stage: str
    cluster: str = "default"
    audit_id: str = "a"
    verb: str = "get"
    user: str = "alice"
    uri: str = "/api/v1/namespaces/shop/pods/web-1"
    subresource: str = ""
    code: int = 200


@st.composite
def _trails(draw: st.DrawFn) -> tuple[list[Said], list[list[Said]]]:
    """Requests, some of which share an auditID with another, each with any of its stages; all stages in any order."""
    whole: list[list[Said]] = []
    marks = st.tuples(
        st.sampled_from("ab"), st.sampled_from(["alice", "bob"]), st.integers(1, 3), st.sampled_from("xy")
    )
    for audit_id, user, received, uri in draw(st.lists(marks, max_size=8, unique=True)):
        last = draw(st.sampled_from([COMPLETE, PANIC]))
        stages = draw(st.lists(st.sampled_from([RECEIVED, STARTED, last]), min_size=1, max_size=3, unique=True))
        stages.sort(key=[RECEIVED, STARTED, last].index)
        whole.append(
            [Said(received + i, received, s, audit_id=audit_id, user=user, uri=uri) for i, s in enumerate(stages)]
        )
    return draw(st.permutations([s for stages in whole for s in stages])), whole


@given(_trails())
def test_in_any_order_each_request_is_one_operation_with_all_its_stages(
    trail: tuple[list[Said], list[list[Said]]],
) -> None:
    records, whole = trail
    found = merged(records)
    assert sorted(found, key=lambda s: operation_of(s[0])) == sorted(whole, key=lambda s: operation_of(s[0]))
    assert [s[-1].ts for s in found] == sorted(s[-1].ts for s in whole)
    for stages in found:
        course = course_of(stages)
        assert course.stages == tuple(s.stage for s in stages)
        assert course.began == stages[0].received
        assert (course.ended is None) == (stages[-1].stage in (RECEIVED, STARTED))
        assert course.panicked == (stages[-1].stage == PANIC)


def test_a_failed_login_is_answered_although_only_its_beginning_is_recorded() -> None:
    course = course_of([Said(5, 1, STARTED, code=401)])
    assert (course.open, course.streams, course.ended) == (False, False, 5)
    assert told(course) == ""


@pytest.mark.parametrize(
    ("stages", "recorded", "words"),
    [
        ([Said(70 * SECOND, 0, COMPLETE, verb="watch")], None, " for 1 min 10 s"),
        ([Said(SECOND, 0, STARTED, code=101)], Window(0, 9 * SECOND), ", still open at 1970-01-01T00:00:09.000000Z"),
        ([Said(SECOND, 0, STARTED, code=101)], Window(1, 9 * SECOND), ", with no end recorded"),
        ([Said(SECOND, 0, STARTED, code=101)], None, ", with no end recorded"),
        ([Said(0, 0, RECEIVED)], Window(0, 9 * SECOND), ", with no answer recorded so far"),
        (
            [Said(SECOND, 0, STARTED, code=101), Said(3 * SECOND, 0, PANIC, code=500)],
            None,
            ", ended by a panic of the API server after 3.0 s",
        ),
        ([Said(2 * SECOND, 0, COMPLETE)], None, ", took 2.0 s"),
        ([Said(5000, 0, COMPLETE)], None, ""),
        ([Said(2 * SECOND, 0, COMPLETE, subresource="exec", code=403)], None, ", took 2.0 s"),
    ],
)
def test_how_it_went_is_told_in_words(stages: list[Said], recorded: Window | None, words: str) -> None:
    assert told(course_of(stages), recorded) == words


def stages(trail: Trail, **clocks: float) -> None:
    """The last request of the trail as these stages, seconds since the trail's beginning."""
    last = trail.events.pop()
    for stage, clock in clocks.items():
        event = {**last, "stage": stage, "stageTimestamp": format_us(BEGIN + int(clock * SECOND))}
        if stage == RECEIVED:
            del event["responseStatus"]
        if stage == PANIC:
            event["responseStatus"] = {"metadata": {}, "code": 500, "reason": "InternalError", "message": "panic'd"}
        trail.events.append(event)


def sessions() -> Trail:
    """An exec that ended after a minute, one that still goes on, and one that a panic ended."""
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    trail.add(
        10, "bob", "create", "pods", "web-1", sub="exec", code=101, query="command=sh&command=-c", audit_id=uid(1)
    )
    stages(trail, RequestReceived=10, ResponseStarted=10.1, ResponseComplete=70)
    trail.add(20, "carol", "get", "pods", "web-1", sub="exec", code=101, query="command=top", audit_id=uid(2))
    stages(trail, RequestReceived=20, ResponseStarted=20.1)
    trail.add(30, "bob", "create", "pods", "web-1", sub="portforward", code=101, audit_id=uid(3))
    stages(trail, ResponseStarted=30.1, Panic=33)
    trail.add(40, "alice", "patch", "pods", "web-1", audit_id=uid(4))
    stages(trail, RequestReceived=40)
    trail.add(90, "alice", "get", "pods", "web-2")
    return trail


def lines(session: Session, **rest: Any) -> list[TimelineRow]:
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    return timeline.ask(session, timeline.TimelineQuestion(ref, **rest)).rows


def test_a_timeline_has_one_row_for_each_request_with_its_beginning_its_end_and_its_duration(opened: Opened) -> None:
    rows = lines(opened(sessions()))
    assert [(r.summary, r.duration_ms) for r in rows] == [
        ("alice create Pod/shop/web-1", 4.0),
        ("bob create pods/exec Pod/shop/web-1 ('sh -c') for 1 min", 60_000.0),
        ("carol get pods/exec Pod/shop/web-1 ('top'), still open at 2026-03-01T10:01:30.004000Z", None),
        ("bob create pods/portforward Pod/shop/web-1, ended by a panic of the API server after 3.0 s", 3000.0),
        ("alice patch Pod/shop/web-1, with no answer recorded so far", None),
    ]
    exec_ = rows[1]
    assert (exec_.when, exec_.until) == ("2026-03-01T10:00:10.000000Z", "2026-03-01T10:01:10.000000Z")
    assert exec_.stages == [RECEIVED, STARTED, COMPLETE]
    assert exec_.id == f"audit:default/{uid(1)}/ResponseComplete"
    assert [r.count for r in rows] == [1] * 5


def test_each_stage_stays_a_record_that_search_finds(opened: Opened) -> None:
    session = opened(sessions())
    for stage in (RECEIVED, STARTED, COMPLETE):
        (row,) = looked_up(session, f"id=audit:default/{uid(1)}/{stage}")
        assert row.id == f"audit:default/{uid(1)}/{stage}"
    said = "bob create pods/exec Pod/shop/web-1 ('sh -c')"
    assert [(r.stages, r.summary) for r in looked_up(session, f"audit_id={uid(1)}", ascending=True)] == [
        ([RECEIVED], f"{said}, received"),
        ([STARTED], f"{said}, answer begun"),
        ([COMPLETE], f"{said} for 1 min"),
    ]
    assert len(looked_up(session, f"stage={STARTED}")) == 3


def looked_up(session: Session, *words: str, **rest: Any) -> list[TimelineRow]:
    conditions, text = parse_words(words)
    return search.ask(session, search.SearchQuestion(Filter(conditions, text), **rest)).rows


def test_search_and_top_take_a_request_for_one(opened: Opened) -> None:
    session = opened(sessions())
    rows = looked_up(session, "subresource=exec,portforward")
    assert [r.stages[-1] for r in rows] == [PANIC, STARTED, COMPLETE]
    conditions, _ = parse_words(["subresource=exec,portforward"])
    counted = top.ask(session, top.TopQuestion("user", Filter(conditions))).rows
    assert [(r.value, r.count) for r in counted] == [("bob", 2), ("carol", 1)]
    late = Filter(conditions, since=BEGIN + int(20.05 * SECOND))  # carol's began before that, bob's exec ended after
    counted = top.ask(session, top.TopQuestion("user", late)).rows
    assert [(r.value, r.count) for r in counted] == [("bob", 2)]


def test_a_session_that_a_filter_shows_the_beginning_of_is_not_called_open(opened: Opened) -> None:
    conditions, _ = parse_words(["subresource=exec", "user=bob"])
    asked = Filter(conditions, until=BEGIN + 15 * SECOND)
    (row,) = search.ask(opened(sessions()), search.SearchQuestion(asked)).rows
    assert row.summary.endswith("for 1 min")


def test_the_limit_counts_requests_not_records(opened: Opened) -> None:
    session = opened(sessions())
    for limit in range(1, 6):
        assert len(lines(session, limit=limit)) == limit
    answer = search.ask(session, search.SearchQuestion(Filter(parse_words(["name=web-1"])[0]), limit=4))
    assert (len(answer.rows), answer.more) == (4, False)  # the fifth has no answer
    answer = search.ask(session, search.SearchQuestion(Filter(parse_words(["name=web-1"])[0]), limit=3))
    assert (len(answer.rows), answer.more) == (3, True)


def test_sessions_that_go_on_through_the_time_asked_for_are_in_it(opened: Opened) -> None:
    session = opened(sessions())
    rows = lines(session, since=BEGIN + 50 * SECOND, until=BEGIN + 60 * SECOND)
    assert [r.summary.partition(" for ")[0].partition(",")[0] for r in rows] == [
        "bob create pods/exec Pod/shop/web-1 ('sh -c')",
        "carol get pods/exec Pod/shop/web-1 ('top')",
    ]
    assert rows[0].until == "2026-03-01T10:01:10.000000Z"
    (early,) = lines(session, since=BEGIN + 9 * SECOND, until=BEGIN + 12 * SECOND)
    assert early.until == "2026-03-01T10:01:10.000000Z"


def test_a_session_without_an_end_is_not_called_open_when_the_recording_had_stopped(opened: Opened) -> None:
    trail = sessions()
    trail.add(3600, "alice", "get", "pods", "web-2")
    assert any(r.summary.endswith("('top'), with no end recorded") for r in lines(opened(trail)))


def test_a_reused_audit_id_is_another_operation(opened: Opened) -> None:
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    for clock in (10, 20):
        trail.add(clock, "bob", "create", "pods", "web-1", sub="exec", code=101, audit_id=uid(1))
        stages(trail, ResponseStarted=clock + 0.1, ResponseComplete=clock + 5)
    rows = [r for r in lines(opened(trail)) if r.actor == "bob"]
    assert [(r.when[17:19], r.duration_ms) for r in rows] == [("10", 5000.0), ("20", 5000.0)]
    assert rows[1].summary.endswith("(auditID reused) for 5.0 s")


def test_who_finds_a_session_that_was_open_in_the_time_asked_for(who: Who) -> None:
    window = {"since": BEGIN + 50 * SECOND, "until": BEGIN + 60 * SECOND}
    answer = who(sessions(), "pod/web-1", "exec", **window)
    assert {(link.actor, link.sentence.rpartition("kubectl")[2]) for link in answer.chain} == {
        ("bob", " for 1 min."),
        ("carol", ", still open at 2026-03-01T10:01:30.004000Z."),
    }


def test_who_tells_the_same_of_the_same_sessions(who: Who) -> None:
    trail = sessions()
    answer = who(trail, "pod/web-1", "exec")
    assert {
        (link.actor, parse_us(link.when) - BEGIN, link.sentence.rpartition("kubectl")[2]) for link in answer.chain
    } == {
        ("bob", 10 * SECOND, " for 1 min."),
        ("carol", 20 * SECOND, ", still open at 2026-03-01T10:01:30.004000Z."),
        ("bob", 30 * SECOND, ", ended by a panic of the API server after 3.0 s."),
    }
