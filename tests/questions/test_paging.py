"""Pages of search and timeline give every record once: also those that share a microsecond, an id, or both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.questions import search, timeline
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.paging import Place, place_of
from kubewitness.questions.targets import parse_target
from kubewitness.store import Session, Store
from tests.questions.builder import Trail, uid
from tests.questions.recordings import imported, written

#: what asks for one page: from a place on, so many rows
Ask = Callable[[Place | None, int], search.SearchAnswer | timeline.TimelineAnswer]
USERS = [f"user-{n}" for n in range(20)]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("paging")
    trail = Trail()
    for user in USERS:  # one auditID in one microsecond: only the records' keys tell them apart
        trail.add(1, user, "patch", "pods", "web-1", audit_id=uid(5))
    for n in range(700):  # an Event's time may be a whole second, in which much happens
        trail.event(2, "web-1", 1, f"Reason{n}", "said", "kubelet")
    begun = [{**watch(trail, n), "stage": "ResponseStarted"} for n in range(30)]
    trail.add(4, "alice", "get", "pods", "web-1")
    paths = imported(folder / "state", [written(folder / "audit", [*begun, *trail.events]), listed(folder, trail)])
    store = Store(paths)
    with store.session() as opened:
        yield opened
    store.close()


def watch(trail: Trail, n: int) -> dict[str, Any]:
    """A watch that begins in the third second and ends after everything else."""
    trail.add(60, "watcher", "watch", "pods", "", audit_id=uid(100 + n))
    ended = trail.events[-1]
    ended["requestReceivedTimestamp"] = "2026-03-01T10:00:03.000000Z"
    return {**ended, "stageTimestamp": f"2026-03-01T10:00:03.{n:06d}Z"}


def listed(folder: Path, trail: Trail) -> Path:
    file = folder / "events.json"
    file.write_text(json.dumps({"kind": "EventList", "apiVersion": "v1", "items": trail.core_events}))
    return file


def pages(ask: Ask, size: int) -> list[list[Any]]:
    found, place = [], None
    while True:
        answer = ask(place, size)
        found.append(answer.rows)
        if answer.next is None:
            assert not answer.more
            return found
        place = place_of(answer.next.text)


def searched(session: Session, *words: str) -> Ask:
    conditions, text = parse_words(words)
    return lambda place, limit: search.ask(
        session, search.SearchQuestion(Filter(conditions, text), limit=limit, place=place)
    )


def history(session: Session) -> Ask:
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    return lambda place, limit: timeline.ask(
        session, timeline.TimelineQuestion(ref, reads=True, limit=limit, place=place)
    )


@pytest.mark.parametrize("words", [("source=audit", "verb=patch"), ("audit_id=" + uid(5),)])
def test_records_of_one_id_and_one_microsecond_are_all_given(session: Session, words: tuple[str, ...]) -> None:
    found = [row for page in pages(searched(session, *words), 3) for row in page]
    assert {row.id for row in found} == {f"audit:default/{uid(5)}/ResponseComplete"}
    assert sorted(row.actor for row in found) == sorted(USERS)


def test_more_events_of_one_second_than_a_page_holds_are_all_given_once(session: Session) -> None:
    found = [row.action for page in pages(searched(session, "source=events"), 150) for row in page]
    assert sorted(found) == sorted(f"Reason{n}" for n in range(700))


def test_watches_that_ended_in_a_page_before_do_not_come_again_and_do_not_end_the_pages(session: Session) -> None:
    found = [row for page in pages(searched(session, "source=audit"), 8) for row in page]
    assert sorted(row.actor for row in found) == sorted([*USERS, "alice", *["watcher"] * 30])


def test_a_timelines_pages_give_each_row_once(session: Session) -> None:
    paged = pages(history(session), 64)
    whole = history(session)(None, 5000).rows
    assert len(whole) == 700 + len(USERS) + 1
    assert [row.when for page in reversed(paged) for row in page] == [row.when for row in whole]
    assert sorted((row.actor, row.action) for page in paged for row in page) == sorted(
        (row.actor, row.action) for row in whole
    )


@pytest.mark.parametrize("text", ["abc", "e30", "eyJhdCI6MSwiZ2l2ZW4iOltdfQ", "!"])
def test_a_cursor_that_no_answer_gave_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cursor: not one"):
        place_of(text)
