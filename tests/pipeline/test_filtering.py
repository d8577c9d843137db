"""Filters between an input and the journal: order, tags, positions, what is counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from kubewitness.contracts import Batch
from kubewitness.errors import Full, UsageError
from kubewitness.formats.recordform import retagged
from kubewitness.journal import Journal
from kubewitness.pipeline import Committer, MemoryQueue
from kubewitness.pipeline.filtering import Filters, FilterSink, Step
from kubewitness.record import Chunk
from tests.filters.samples import chunk_of_json, made
from tests.journal.helpers import contents, noise, numbered
from tests.pipeline.parts import Counting

pytestmark = pytest.mark.timeout(30)


class Retag:
    """Gives every chunk the tag it had with `end` behind it, and remembers what it saw and what became of it."""

    def __init__(self, end: str, name: str = "retag") -> None:
        self.name = name
        self._end = end
        self.seen: list[str] = []
        self.settled: list[bool] = []

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        self.seen.append(chunk.tag)
        return [retagged(chunk, chunk.tag + self._end)]

    def settle(self) -> Callable[[bool], None]:
        return self.settled.append

    def health(self) -> Mapping[str, object]:
        return {"seen": len(self.seen)}


def everything(tag: str) -> bool:
    return True


def step(plugin: str, pairs: Sequence[tuple[str, str]], matches: Callable[[str], bool] = everything) -> Step:
    return Step(made(plugin, pairs), matches)


def test_filters_apply_in_the_order_of_the_file() -> None:
    filters = Filters(
        [
            step("modify", [("set", "k 1")]),
            step("grep", [("regex", "k ^1$")]),
            step("modify", [("hard_rename", "k renamed")]),
        ]
    )
    (left,) = filters.apply(chunk_of_json([{"a": 1}]))
    assert json.loads(left.data) == {"a": 1, "renamed": "1"}


def test_a_filter_sees_only_the_tags_that_match() -> None:
    filters = Filters([step("grep", [("regex", "nothing .")], lambda tag: tag.startswith("kube."))])
    other = chunk_of_json([{"a": 1}], tag="host.syslog")
    assert filters.apply(other) == [other]
    assert filters.apply(chunk_of_json([{"a": 1}], tag="kube.audit")) == []
    counts = filters.health()["grep"]
    assert (counts["records"], counts["drop_records"]) == (1, 1)


def test_a_retagged_chunk_starts_again_from_the_first_filter() -> None:
    early, late = Retag(".early", "early"), Retag(".late", "late")
    filters = Filters([Step(early, lambda tag: tag.endswith(".late")), Step(late, lambda tag: tag == "kube.audit")])
    (left,) = filters.apply(chunk_of_json([{"a": 1}]))
    assert left.tag == "kube.audit.late.early"
    assert (early.seen, late.seen) == (["kube.audit.late"], ["kube.audit"])


def test_two_filters_that_retag_each_others_records_make_no_loop() -> None:
    one, two = Retag("1", "one"), Retag("2", "two")
    (left,) = Filters([Step(one, everything), Step(two, everything)]).apply(chunk_of_json([{"a": 1}], tag="t"))
    assert left.tag == "t12"
    assert (one.seen, two.seen) == (["t"], ["t1"])


async def test_positions_are_committed_with_what_the_filters_left(tmp_path: Path) -> None:
    filters = Filters([step("grep", [("exclude", "n [13579]$")])])
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        committer = Committer(journal)
        source = Counting("numbers", 20)
        await source.run(FilterSink(committer, filters))
        await committer.close()
        assert list(contents(journal)) == [b'{"n":%d}' % n for n in range(0, 20, 2)]
        assert journal.position("numbers") == b"20"


async def test_a_batch_of_which_nothing_is_left_still_moves_the_position(tmp_path: Path) -> None:
    filters = Filters([step("grep", [("regex", "nothing .")])])
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        committer = Committer(journal)
        sink = FilterSink(committer, filters)
        taken = await sink.put(Batch([numbered(1, 2)], {"numbers": b"2"}))
        assert (taken.stored, await sink.position("numbers")) == (0, b"2")
        await committer.close()
        assert list(contents(journal)) == []


async def test_what_comes_twice_is_still_recognised_after_it_was_changed(tmp_path: Path) -> None:
    filters = Filters([step("modify", [("set", "cluster east")])])
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        committer = Committer(journal)
        sink = FilterSink(committer, filters)
        assert (await sink.put(Batch([numbered(1, 2)]))).stored == 2
        assert (await sink.put(Batch([numbered(2, 3)]))).duplicates == 1
        await committer.close()
        assert list(contents(journal)) == [b'{"n":%d,"cluster":"east"}' % n for n in (1, 2, 3)]


async def test_a_filter_with_state_learns_whether_a_batch_was_taken() -> None:
    retag = Retag("!")
    queue = MemoryQueue(limit=1000)
    await queue.open("out")
    sink = FilterSink(queue, Filters([Step(retag, everything)]))
    await sink.put(Batch([noise(900, 1)]))
    with pytest.raises(Full):
        await sink.put(Batch([noise(900, 2)]), wait=False)
    assert retag.settled == [True, False]


async def test_an_end_that_a_filter_asks_for_ends_the_pipeline_whoever_put_the_batch() -> None:
    failures: list[Exception] = []
    queue = MemoryQueue()
    sink = FilterSink(queue, Filters([step("expect", [("key_exists", "a"), ("action", "exit")])]), failures.append)
    with pytest.raises(UsageError, match="fails key_exists"):
        await sink.put(Batch([numbered(1)]))
    assert [type(e).__name__ for e in failures] == ["NotAsExpected"]
