"""Log lines of an object, around a time and by pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kubewitness.errors import UsageError
from kubewitness.formats.times import format_us
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.logs import Edge, LogsAnswer, LogsQuestion, ask, edge_of
from kubewitness.questions.targets import parse_target
from kubewitness.store import Session, Store
from tests.questions.builder import BEGIN, SECOND, Trail
from tests.questions.recordings import imported, written

Asked = Callable[..., LogsAnswer]
_ID = "0123456789abcdef" * 4
#: lines of web-a, one a second; those of web-b all at one time
LINES = 25


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("logs")
    trail = Trail()
    for n, name in enumerate(("web-a", "web-b")):
        body = trail.pod(name, n + 1, owner=("ReplicaSet", "web", "rs-uid"))
        trail.add(n, "alice", "create", "pods", name, code=201, request=body, response=body)
    containers = folder / "containers"
    containers.mkdir()
    for name, step in (("web-a", SECOND), ("web-b", 0), ("other-c", SECOND)):
        lines = [f"{format_us(BEGIN + n * step)} {_stream(n)} F line {n} of {name}\n" for n in range(LINES)]
        (containers / f"{name}_shop_app-{_ID}.log").write_text("".join(lines))
    store = Store(imported(folder / "state", [written(folder / "audit", trail.events), containers]))
    with store.session() as opened:
        yield opened
    store.close()


def _stream(n: int) -> str:
    return "stderr" if n % 5 == 0 else "stdout"


@pytest.fixture
def asked(session: Session) -> Asked:
    def ask_(target: str, *words: str, **rest: object) -> LogsAnswer:
        ref = parse_target([target], namespace="shop", cluster="default")
        conditions, text = parse_words(words)
        question = LogsQuestion(ref, Filter(conditions, text), **rest)  # type: ignore[arg-type]
        return ask(session, question)

    return ask_


def said(answer: LogsAnswer) -> list[str]:
    return [row.summary for row in answer.rows]


def of(name: str, *numbers: int) -> list[str]:
    return [f"line {n} of {name}" for n in numbers]


def test_without_a_time_the_newest_lines_come_oldest_first(asked: Asked) -> None:
    answer = asked("pod/web-a", limit=4)
    assert said(answer) == of("web-a", 21, 22, 23, 24)
    assert answer.newer is None
    assert said(asked("pod/web-a", limit=4, older=edge_of(answer.older or ""))) == of("web-a", 17, 18, 19, 20)


def test_a_time_opens_in_the_middle_and_pages_go_on_to_both_sides(asked: Asked) -> None:
    answer = asked("pod/web-a", at=BEGIN + 10 * SECOND, limit=4)
    assert said(answer) == of("web-a", 8, 9, 10, 11)
    assert said(asked("pod/web-a", newer=edge_of(answer.newer or ""), limit=3)) == of("web-a", 12, 13, 14)
    assert said(asked("pod/web-a", older=edge_of(answer.older or ""), limit=3)) == of("web-a", 5, 6, 7)
    end = asked("pod/web-a", newer=edge_of(answer.newer or ""), limit=100)
    assert (len(end.rows), end.newer) == (13, None)


def test_lines_of_one_and_the_same_time_come_each_once_and_in_their_order(asked: Asked) -> None:
    found: list[str] = []
    page = asked("pod/web-b", at=BEGIN, limit=6)
    assert page.older is None
    while True:
        found += said(page)
        if page.newer is None:
            break
        page = asked("pod/web-b", newer=edge_of(page.newer), limit=7)
    assert found == of("web-b", *range(LINES))


def test_a_workload_has_the_lines_of_the_pods_that_it_owned(asked: Asked) -> None:
    answer = asked("rs/web", limit=1000)
    assert answer.pods == ["web-a", "web-b"]
    assert {row.object for row in answer.rows} == {"Pod/shop/web-a", "Pod/shop/web-b"}
    assert len(answer.rows) == 2 * LINES
    assert "pod=web-a,web-b" in answer.words
    assert len(asked("ns/shop", limit=1000).rows) == 3 * LINES


def test_lines_are_narrowed_by_text_and_by_their_fields(asked: Asked) -> None:
    assert said(asked("pod/web-a", "stream=stderr", "line")) == of("web-a", 0, 5, 10, 15, 20)
    with pytest.raises(UsageError, match="log lines can be narrowed by"):
        asked("pod/web-a", "verb=delete")


def test_what_would_tell_is_said_where_no_line_is_recorded(asked: Asked) -> None:
    answer = asked("pod/never-was")
    assert (answer.rows, answer.older, answer.newer) == ([], None, None)
    assert "pod shop/never-was" in answer.missing[0]


@pytest.mark.parametrize("text", ["x", "!!", Edge(-1).text, Edge(0, offset=-9).text])
def test_a_cursor_that_no_answer_gave_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a cursor"):
        edge_of(text)
