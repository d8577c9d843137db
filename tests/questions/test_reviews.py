"""Admission reviews and the audit trail: which review is of which request, and what the questions make of both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.formats.times import format_us
from kubewitness.questions import search, timeline, trace
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.model import TimelineRow, WhoAnswer
from kubewitness.questions.operations import Course
from kubewitness.questions.reviews import Review, join
from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Session, Store
from tests.questions.builder import BEGIN, SECOND, Trail, uid
from tests.questions.recordings import imported, written

MS = 1000


class Asked(msgspec.Struct, frozen=True):
    """A request as the audit trail tells it."""

    received: int
    ts: int
    verb: str = "patch"
    user: str = "alice"
    name: str = "web-1"
    resource_version: str = ""
    uid: str = ""
    subresource: str = ""
    acting_as: str = ""
    dry_run: bool = False
    code: int = 200
    stage: str = "ResponseComplete"
    namespace: str = "shop"
    cluster: str = "default"
    group: str = ""
    resource: str = "pods"
    course: Course | None = None


def review(ts: int, operation: str = "UPDATE", **rest: Any) -> Review:
    given_: dict[str, Any] = {
        "ts": ts,
        "cluster": "default",
        "review_uid": f"r{ts}",
        "operation": operation,
        "user": "alice",
        "user_kind": "human",
        "groups": (),
        "kind": "Pod",
        "group": "",
        "resource": "pods",
        "subresource": "",
        "namespace": "shop",
        "name": "web-1",
        "uid": "",
        "owner_kind": "",
        "owner_name": "",
        "owner_uid": "",
        "resource_version": "",
        "dry_run": False,
    }
    return Review(**{**given_, **rest})


def joined(requests: Sequence[Asked], reviews: Sequence[Review]) -> tuple[list[list[str]], dict[str, int]]:
    joins = join(requests, reviews)
    return [[v.review_uid for v in of] for of in joins.of], {v.review_uid: n for v, n in joins.alone}


@st.composite
def _deeds(draw: st.DrawFn) -> tuple[list[Asked], list[Review], list[int | None]]:
    """Writes of two objects by two users, one after another, each recorded by both, by one, or reviewed twice."""
    requests: list[Asked] = []
    reviews: list[Review] = []
    of: list[int | None] = []
    clock, version = BEGIN, 100
    for _ in range(draw(st.integers(0, 8))):
        clock += draw(st.integers(20, 5000)) * MS + 1  # no whole second
        took = draw(st.integers(5, 50)) * MS
        user, name = draw(st.sampled_from(["alice", "bob"])), draw(st.sampled_from(["web-1", "web-2"]))
        before, version = version, version + draw(st.integers(1, 3))
        for i in range(draw(st.integers(0, 2))):
            at = clock + (i + 1) * took // 3
            reviews.append(review(at, user=user, name=name, resource_version=str(before), review_uid=str(len(reviews))))
            of.append(len(requests))
        requests.append(Asked(clock, clock + took, user=user, name=name, resource_version=str(version)))
        clock += took
    order = draw(st.permutations(range(len(reviews))))
    return requests, [reviews[i] for i in order], [of[i] for i in order]


@given(_deeds())
def test_where_clocks_agree_each_review_is_joined_with_its_request_in_any_order(
    deeds: tuple[list[Asked], list[Review], list[int | None]],
) -> None:
    requests, reviews, of = deeds
    found, alone = joined(requests, reviews)
    assert alone == {}
    assert {v.review_uid: i for v, i in zip(reviews, of, strict=True)} == {
        ident: i for i, idents in enumerate(found) for ident in idents
    }


@given(_deeds(), st.integers(-3000, 3000), st.data())
def test_no_review_is_lost_joined_twice_or_joined_with_another_user_or_object(
    deeds: tuple[list[Asked], list[Review], list[int | None]], skew_ms: int, data: st.DataObject
) -> None:
    """Whatever the clocks say, and whichever requests were not recorded."""
    requests, reviews, _ = deeds
    requests = data.draw(st.lists(st.sampled_from(requests), unique=True)) if requests else []
    late = [msgspec.structs.replace(v, ts=v.ts + skew_ms * MS) for v in reviews]
    joins = join(requests, late)
    placed = [v.review_uid for of in joins.of for v in of] + [v.review_uid for v, _ in joins.alone]
    assert sorted(placed) == sorted(v.review_uid for v in late)
    for request, of in zip(requests, joins.of, strict=True):
        assert {(v.user, v.name) for v in of} <= {(request.user, request.name)}
        assert all(int(v.resource_version) <= int(request.resource_version) for v in of)
    assert all(n != 1 for _, n in joins.alone)


def test_a_review_that_fits_two_requests_is_joined_with_neither() -> None:
    two = [Asked(BEGIN + 1, BEGIN + 5 * MS), Asked(BEGIN + 400 * MS, BEGIN + 405 * MS)]
    whole_second = review(BEGIN)
    assert joined(two, [whole_second]) == ([[], []], {whole_second.review_uid: 2})


def test_versions_tell_what_whole_seconds_do_not() -> None:
    two = [
        Asked(BEGIN + 1, BEGIN + 5 * MS, resource_version="11"),
        Asked(BEGIN + 400 * MS, BEGIN + 405 * MS, resource_version="12"),
    ]
    first = review(BEGIN, resource_version="10", review_uid="first")
    second = review(BEGIN, resource_version="11", review_uid="second")
    # `second` may have been a write that changed nothing at version 11, but that one was answered with 11 for sure
    assert joined(two, [first]) == ([["first"], []], {})
    assert joined([two[1]], [second]) == ([["second"]], {})


def test_a_dry_run_is_not_joined_with_a_change() -> None:
    changed = [Asked(BEGIN + 1, BEGIN + 5 * MS)]
    assert joined(changed, [review(BEGIN + 2, dry_run=True)])[0] == [[]]
    hidden = [Asked(BEGIN + 1, BEGIN + 5 * MS, verb="delete")]  # says it in its body only
    assert joined(hidden, [review(BEGIN + 2, "DELETE", dry_run=True, review_uid="dry")])[0] == [["dry"]]


def test_whom_an_impersonated_request_plays_is_who_admission_sees() -> None:
    played = [Asked(BEGIN + 1, BEGIN + 5 * MS, user="carol", acting_as="alice")]
    assert joined(played, [review(BEGIN + 2, review_uid="played")]) == ([["played"]], {})
    assert joined(played, [review(BEGIN + 2, user="carol")])[0] == [[]]


def test_of_two_sessions_the_one_that_had_just_begun_was_reviewed() -> None:
    def session(at: int) -> Asked:
        course = Course(at, None, ("ResponseStarted",), streams=True, opened=at + 10 * MS)
        return Asked(at, at + 10 * MS, verb="create", subresource="exec", code=101, course=course)

    two = [session(BEGIN), session(BEGIN + 3 * SECOND)]
    connect = review(BEGIN + 3 * SECOND + 2 * MS, "CONNECT", subresource="exec", review_uid="c")
    assert joined(two, [connect]) == ([[], ["c"]], {})


# --- both sources in a store -----------------------------------------------------------------------------------------


def seen(clock: float, user: str, operation: str, number: int, **rest: Any) -> dict[str, Any]:
    """The AdmissionReview of a write of pod web-1, with the time at which the recorder got it."""
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1", "namespace": "shop", "uid": uid(1)}}
    request = {
        "uid": uid(number),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "web-1",
        "namespace": "shop",
        "operation": operation,
        "userInfo": {"username": user, "groups": ["devs"]},
        "object": None if operation == "DELETE" else pod,
        "oldObject": pod if operation == "DELETE" else None,
        **rest,
    }
    at = format_us(BEGIN + int(clock * SECOND))
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": request,
        "requestReceivedTimestamp": at,
    }


@contextmanager
def opened(folder: Path, trail: Trail, reviews: Sequence[dict[str, Any]]) -> Iterator[Session]:
    file = folder / "reviews.log"
    file.write_text("".join(json.dumps(r) + "\n" for r in reviews))
    store = Store(imported(folder / "state", [written(folder / "audit", trail.events), file]))
    with store.session() as session:
        yield session
    store.close()


def lines(session: Session, **rest: Any) -> list[TimelineRow]:
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    return timeline.ask(session, timeline.TimelineQuestion(ref, **rest)).rows


def who(session: Session, verb: str) -> WhoAnswer:
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    return ask(session, WhoQuestion(ref, verb))


def deleted_trail(level: str = "RequestResponse") -> Trail:
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    body = trail.pod("web-1", 1, **trail.going(9))
    trail.add(9, "bob", "delete", "pods", "web-1", response=body, level=level, audit_id=uid(70))
    return trail


def test_a_deed_seen_by_both_is_one_row_and_each_record_stays_findable(tmp_path: Path) -> None:
    reviews = [seen(0.001, "alice", "CREATE", 5), seen(9.001, "bob", "DELETE", 6), seen(9.002, "bob", "DELETE", 7)]
    with opened(tmp_path, deleted_trail(), reviews) as session:
        rows = lines(session)
        assert [(r.summary, r.count) for r in rows] == [
            ("alice create Pod/shop/web-1 (also seen at admission)", 1),
            ("bob delete Pod/shop/web-1 (also seen at admission)", 1),
        ]
        ids = [f"admission:default/{uid(n)}" for n in (6, 7)]
        assert [(j.id, j.certainty) for j in rows[1].joined] == [(i, "inferred") for i in ids]
        for ident in (rows[1].id, *ids):
            conditions, _ = parse_words([f"id={ident}"])
            assert [r.id for r in search.ask(session, search.SearchQuestion(Filter(conditions))).rows] == [ident]


def test_a_review_makes_an_answer_neither_surer_nor_less_sure(tmp_path: Path) -> None:
    for level, sure in (("RequestResponse", "proved"), ("Metadata", "inferred")):
        for reviews in ([], [seen(0.001, "alice", "CREATE", 5), seen(9.001, "bob", "DELETE", 6)]):
            folder = tmp_path / f"{level}{len(reviews)}"
            folder.mkdir()
            with opened(folder, deleted_trail(level), reviews) as session:
                answer = who(session, "deleted")
                (link,) = answer.chain
                assert (answer.certainty, link.certainty, answer.mechanism) == (sure, sure, "direct")
                also = [f"admission:default/{uid(6)}"] if reviews else []
                assert link.evidence == [f"audit:default/{uid(70)}/ResponseComplete", *also]
                assert [(j.id, j.certainty) for j in link.joined] == [(i, "inferred") for i in also]


def test_a_review_that_fits_two_requests_is_shown_and_says_so(tmp_path: Path) -> None:
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    for clock in (9.1, 9.6):
        trail.add(clock, "bob", "patch", "pods", "web-1", level="Metadata")
    with opened(tmp_path, trail, [seen(9, "bob", "UPDATE", 6)]) as session:
        rows = lines(session)
        assert [r.source for r in rows] == ["audit", "admission", "audit", "audit"]
        assert rows[1].summary == "bob update Pod/shop/web-1 (seen at admission) (2 audit records fit as well)"
        assert all(not link.joined for link in who(session, "changed").chain)


def test_a_dry_run_that_only_its_review_tells_of_is_called_one(tmp_path: Path) -> None:
    trail = deleted_trail("Metadata")
    with opened(tmp_path, trail, [seen(9.001, "bob", "DELETE", 6, dryRun=True)]) as session:
        assert lines(session)[-1].summary == (
            "bob delete Pod/shop/web-1 (dry run, says its admission review) (also seen at admission)"
        )


def test_a_collections_delete_is_joined_with_the_reviews_of_its_objects(tmp_path: Path) -> None:
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    gone = trail.pod("web-1", 1, **trail.going(9))
    answer = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [gone]}
    trail.add(9, "bob", "deletecollection", "pods", "", response=answer, audit_id=uid(70))
    with opened(tmp_path, trail, [seen(9.001, "bob", "DELETE", 6)]) as session:
        found = who(session, "deleted")
        assert (found.mechanism, found.certainty) == ("collection", "proved")
        assert [j.id for j in found.chain[0].joined] == [f"admission:default/{uid(6)}"]


def test_an_exec_is_one_row_with_its_review_as_evidence(tmp_path: Path) -> None:
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    trail.add(20, "bob", "create", "pods", "web-1", sub="exec", code=101, query="command=sh", audit_id=uid(70))
    connect = seen(20.001, "bob", "CONNECT", 6, subResource="exec", object={"kind": "PodExecOptions"})
    with opened(tmp_path, trail, [connect]) as session:
        rows = lines(session)
        assert [r.summary for r in rows[1:]] == [
            "bob create pods/exec Pod/shop/web-1 ('sh') (also seen at admission)",
        ]
        assert who(session, "exec").chain[0].evidence == [
            f"audit:default/{uid(70)}/ResponseComplete",
            f"admission:default/{uid(6)}",
        ]


def test_a_trace_shows_the_reviews_of_its_requests(tmp_path: Path) -> None:
    with opened(tmp_path, deleted_trail(), [seen(9.001, "bob", "DELETE", 6)]) as session:
        root = trace.ask(session, trace.TraceQuestion(uid(70))).root
        assert root is not None
        assert [j.id for j in root.joined] == [f"admission:default/{uid(6)}"]
        assert root.certainty == "proved"


def test_a_delete_that_the_audit_trail_lost_is_told_from_its_review(tmp_path: Path) -> None:
    trail = Trail()
    trail.create_pod(0, "alice", "web-1", 1)
    trail.kubelet_ends(12, 9, "web-1", 1)
    reviews = [
        seen(0.001, "alice", "CREATE", 5),
        seen(4, "carol", "DELETE", 8, dryRun=True),
        seen(9.001, "bob", "DELETE", 6),
        seen(12.001, "system:node:n1", "DELETE", 7),
    ]
    (tmp_path / "both").mkdir()
    with opened(tmp_path / "both", trail, reviews) as session:
        answer = who(session, "deleted")
        assert answer.root is not None
        assert (answer.root.user, answer.certainty) == ("bob", "inferred")
        assert answer.chain[0].evidence[0] == f"admission:default/{uid(6)}"
        assert "would have recorded it" in answer.missing[0]
    (tmp_path / "audit").mkdir()
    with opened(tmp_path / "audit", trail, reviews[:1]) as session:
        assert who(session, "deleted").root is None
