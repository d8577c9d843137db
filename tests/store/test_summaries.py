"""Kept aggregates of files: the same answers as from the rows, also of what came since."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kubewitness.config.state import StatePaths, state_paths
from kubewitness.formats.scope import Scope
from kubewitness.questions import board, histogram
from kubewitness.questions.filters import Condition, Filter
from kubewitness.questions.marks import in_order, parts_of, prepare, window_of
from kubewitness.store import Session, Store
from kubewitness.store.summaries import Summaries
from tests.fixtures_demo import Demo
from tests.questions.builder import Trail
from tests.questions.recordings import imported, written

SELECT = "SELECT verb, count(*) AS n FROM {source} WHERE code < 300 GROUP BY 1"


def opened(paths: StatePaths) -> Store:
    """A store that summarises files of any size."""
    store = Store(paths)
    store.summaries = Summaries(paths.root / "tmp" / "summaries", large=1)
    return store


def counted(session: Session) -> dict[str, int]:
    view = session.summary("audit", SELECT)
    assert view is not None
    return dict(session.query(f"SELECT verb, sum(n)::BIGINT FROM {view} GROUP BY 1"))


def test_a_summary_is_kept_and_what_came_since_is_in_it(tmp_path: Path) -> None:
    trail = Trail()
    for n in range(5):
        trail.add(n, "alice", "update", "configmaps", f"c{n}")
    paths = imported(tmp_path / "state", [written(tmp_path / "one", trail.events)])
    store = opened(paths)
    with store.session() as session:
        assert counted(session) == {"update": 5}
    [kept] = (paths.root / "tmp" / "summaries").rglob("*.parquet")
    before = kept.stat().st_mtime_ns
    trail.add(10, "alice", "create", "configmaps", "d", code=201)
    imported(tmp_path / "state", [written(tmp_path / "two", trail.events[-1:])])
    with store.session() as session:
        assert counted(session) == {"update": 5, "create": 1}
    assert kept.stat().st_mtime_ns == before
    kept.unlink()
    with store.session() as session:
        assert counted(session) == {"update": 5, "create": 1}
    store.close()


def test_who_may_not_see_everything_gets_no_summary(tmp_path: Path) -> None:
    trail = Trail()
    trail.add(0, "alice", "update", "configmaps", "c")
    store = opened(imported(tmp_path / "state", [written(tmp_path / "one", trail.events)]))
    with store.session(scope=Scope("default")) as session:
        assert session.summary("audit", SELECT) is None
    with store.session(scope=Scope("default", everything=True)) as session:
        assert session.summary("audit", SELECT) is not None
    with store.session(scope=Scope("other", everything=True)) as session:
        assert session.summary("audit", SELECT) is None
    store.close()


def test_a_board_and_a_histogram_count_the_same_with_summaries_and_without(tmp_path: Path) -> None:
    paths = imported(tmp_path / "state", Demo().captures)
    plain = Store(state_paths(str(paths.root)))
    kept = opened(paths)
    question = board.BoardQuestion(Filter(), rows=100, marks=300, bins=2)
    with plain.session() as rows, kept.session() as summaries:
        expected, found = board.ask(rows, question), board.ask(summaries, question)
        assert (paths.root / "tmp" / "summaries").is_dir()
        assert expected.level == found.level == "bins"
        assert (found.total, found.objects, found.shown) == (expected.total, expected.objects, expected.shown)
        assert found.rows == expected.rows
        assert _counts(found) == _counts(expected)
        asked = histogram.HistogramQuestion(Filter(), bins=3)
        assert histogram.ask(summaries, asked).series == histogram.ask(rows, asked).series
    plain.close()
    kept.close()


def test_what_is_kept_for_windows_users_and_reads_tells_what_the_rows_tell(tmp_path: Path) -> None:
    paths = imported(tmp_path / "state", Demo().captures)
    plain = Store(state_paths(str(paths.root)))
    kept = opened(paths)
    with plain.session() as rows:
        since, until = window_of(rows, Filter()) or (0, 0)
    middle = Filter(since=since + (until - since) // 3, until=until - (until - since) // 3)
    shop = Filter([Condition("namespace", "=", "shop"), Condition("user", "!=", "bob")], since=middle.since)
    stages = Filter([Condition("stage", "=", "ResponseStarted")], since=since)
    questions = [
        board.BoardQuestion(Filter(), marks=200, bins=2, group="user"),
        board.BoardQuestion(Filter(), rows=100, marks=300, bins=2, reads=True),
        *(board.BoardQuestion(f, bins=60, marks=m) for f in (middle, shop, stages) for m in (900, 20_000)),
        board.BoardQuestion(middle, group="user"),
    ]
    with kept.session() as session:
        assert in_order(session, middle, parts_of(middle)) == parts_of(middle)
        prepare(session)
    with plain.session() as rows, kept.session() as summaries:
        assert in_order(summaries, middle, parts_of(middle)) != parts_of(middle)
        for question in questions:
            expected, found = board.ask(rows, question), board.ask(summaries, question)
            assert (found.level, found.bin_ms, found.total, found.objects) == (
                *(expected.level, expected.bin_ms),
                *(expected.total, expected.objects),
            )
            assert found.rows == expected.rows
            assert sorted(found.marks.id) == sorted(expected.marks.id)
            assert _counts(found) == _counts(expected)
            assert len(found.marks.t) <= question.marks
        for asked in (middle, shop):
            counted = histogram.HistogramQuestion(asked)
            assert histogram.ask(summaries, counted) == histogram.ask(rows, counted)
    plain.close()
    kept.close()


def _counts(answer: board.BoardAnswer) -> dict[tuple[int, ...], int]:
    m = answer.marks
    counted: Counter[tuple[int, ...]] = Counter()
    for row, at, kind, outcome, n in zip(m.row, m.t, m.type, m.outcome, m.n, strict=True):
        counted[row, at, kind, outcome] += n
    return counted
