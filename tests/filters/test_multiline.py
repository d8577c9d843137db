"""Filter `multiline`: the manual's examples, and nothing lost or doubled wherever batches, refusals and ends fall."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.cli import main
from kubewitness.contracts import Batch
from kubewitness.errors import Full, UsageError
from kubewitness.filters.multiline import MultilineFilter
from kubewitness.formats.recordform import CHANGED
from kubewitness.journal import Journal
from kubewitness.parsers.library import Library
from kubewitness.pipeline import Committer, MemoryQueue
from kubewitness.pipeline.filtering import Filters, FilterSink, Step
from kubewitness.record import Chunk
from tests.filters.samples import Pairs, chunk_of_json, chunk_of_lines, library_of, made
from tests.journal.helpers import contents, noise

pytestmark = pytest.mark.timeout(60)

PARSERS = r"""
[MULTILINE_PARSER]
    Name          multiline-regex-test
    Type          regex
    Flush_Timeout 1000
    Rule          "start_state"   "/([A-Za-z]+ \d+ \d+\:\d+\:\d+)(.*)/"  "cont"
    Rule          "cont"          "/^\s+at.*/"                     "cont"
"""
JAVA = [
    'Dec 14 06:41:08 Exception in thread "main" java.lang.RuntimeException: Something has gone wrong, aborting!',
    "    at com.myproject.module.MyProject.badMethod(MyProject.java:22)",
    "    at com.myproject.module.MyProject.main(MyProject.java:6)",
]
GO = ["panic: my panic", "", "goroutine 4 [running]:", "panic(0x45cb40, 0x47ad70)",
      "  /usr/local/go/src/runtime/panic.go:542 +0x46c fp=0xc42003f7b8", "main.main.func1(0xc420024120)",
      "  foo.go:6 +0x39 fp=0xc42003f7d8 sp=0xc42003f7b8 pc=0x451339"]  # fmt: skip
LINES = ["single line...", *JAVA, "another line...", *GO, "one more line, no multiline"]
RECORDS = ["single line...", "\n".join(JAVA), "another line...", "\n".join(GO), "one more line, no multiline"]
PAIRS = [("multiline.key_content", "log"), ("multiline.parser", "go, multiline-regex-test")]


@functools.cache
def library() -> Library:
    with tempfile.TemporaryDirectory() as directory:
        return library_of(Path(directory), PARSERS)


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def multiline(pairs: Pairs = PAIRS, clock: Clock | None = None) -> MultilineFilter:
    return MultilineFilter(pairs, library=library(), clock=clock or Clock())


def part(lines: Sequence[str], first: int = 0) -> Chunk:
    """Lines of one file, each with an identity of its own."""
    chunk = chunk_of_lines([line.encode() for line in lines])
    chunk.keys = b"".join((first + i).to_bytes(16, "big") for i in range(len(lines)))
    return chunk


def texts(chunks: Sequence[Chunk]) -> list[str]:
    return [t for c in chunks for t in (r.decode() if c.form == "text" else json.loads(r)["log"] for r in c.records())]


def test_the_example_of_the_manual() -> None:
    filter_ = multiline()
    left = [*filter_.apply(part(LINES)), *filter_.expire(everything=True)]
    assert texts(left) == RECORDS
    assert filter_.health() == {"joined": len(LINES) - len(RECORDS), "cut": 0, "unread": 0, "held": 0}


def test_a_joined_record_has_the_first_lines_identity_place_and_flag_and_single_lines_keep_theirs() -> None:
    filter_ = multiline()
    (left,) = filter_.apply(part(LINES[:5]))
    assert [int.from_bytes(left.key(i)) for i in range(3)] == [0, 1, 4]
    assert [left.notes[i].flags for i in range(3)] == [(), (CHANGED,), ()]
    assert left.place(1, 0)[1] == 100 + len(LINES[0]) + 1
    single = part(["a", "b", "c"])
    assert filter_.apply(single) == [single]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(LINES)), max_size=4))
def test_wherever_batches_end_the_records_are_the_same(cuts: list[int]) -> None:
    filter_ = multiline()
    places = [0, *sorted(cuts), len(LINES)]
    left: list[Chunk] = []
    for begin, end in itertools.pairwise(places):
        left += filter_.apply(part(LINES[begin:end], begin))
        # as after a crash: what is held comes back from its bytes
        held = filter_.held()
        filter_ = multiline()
        filter_.restore(held)
        assert filter_.held() == held
    left += filter_.expire(everything=True)
    assert texts(left) == RECORDS
    assert [int.from_bytes(c.key(i)) for c in left for i in range(len(c))] == [0, 1, 4, 5, 12]


def test_what_waits_too_long_goes_on() -> None:
    clock = Clock()
    filter_ = multiline([*PAIRS, ("flush_ms", "500")], clock)
    assert filter_.apply(part(JAVA)) == []
    clock.now += 0.4
    assert filter_.expire() == []
    clock.now += 0.1
    assert texts(filter_.expire()) == ["\n".join(JAVA)]
    assert filter_.held() == b""


def test_without_buffer_a_record_ends_with_its_batch() -> None:
    filter_ = multiline([*PAIRS, ("buffer", "off")])
    assert texts(filter_.apply(part(JAVA))) == ["\n".join(JAVA)]
    assert filter_.held() == b""


def test_files_do_not_mix() -> None:
    filter_ = multiline()
    one, two = part(JAVA[:1]), part(JAVA[:1])
    one.source, two.source = "one.log", "two.log"
    assert [*filter_.apply(one), *filter_.apply(two)] == []
    more = part(JAVA[1:])
    more.source = "one.log"
    assert filter_.apply(more) == []
    assert sorted(texts(filter_.expire(everything=True))) == sorted([JAVA[0], "\n".join(JAVA)])


OWN_KEYS = """
[MULTILINE_PARSER]
    Name          parts
    Type          equal
    Match_String  F
    Key_Content   said
    Key_Pattern   part
    Key_Group     of
"""


def test_a_parsers_keys_say_where_the_text_is_what_ends_it_and_what_belongs_together(tmp_path: Path) -> None:
    filter_ = MultilineFilter([("multiline.parser", "parts")], library=library_of(tmp_path, OWN_KEYS))
    records: list[Any] = [
        {"said": "a", "part": "P", "of": "one"},
        {"said": "x", "part": "P", "of": "two"},
        {"said": "b", "part": "F", "of": "one"},
        {"said": "F", "part": "P", "of": "two"},
        {"said": "y", "part": "F", "of": "two"},
    ]
    left = [json.loads(r) for c in filter_.apply(chunk_of_json(records)) for r in c.records()]
    assert left == [{"said": "ab", "part": "P", "of": "one"}, {"said": "xFy", "part": "P", "of": "two"}]


def test_parts_of_dockers_fluentd_driver_become_one() -> None:
    def message(text: str, ordinal: int, *, last: str = "false", id_: str = "dc37") -> dict[str, str]:
        return {"log": text, "source": "stdout", "partial_message": "true", "partial_id": id_,
                "partial_ordinal": str(ordinal), "partial_last": last}  # fmt: skip

    filter_ = multiline([("mode", "partial_message"), ("multiline.key_content", "log")])
    records: list[Any] = [
        message("a", 1),
        message("x", 1, id_="other"),
        {"log": "whole"},
        message("b", 2),
        message("c", 3, last="true"),
    ]
    left = [json.loads(r) for c in filter_.apply(chunk_of_json(records)) for r in c.records()]
    assert left == [{"log": "whole"}, {"log": "abc", "source": "stdout"}]
    assert filter_.health()["held"] == 1


@pytest.mark.parametrize("pairs", [[], [("multiline.parser", "nope")], [("mode", "parts")]])
def test_what_cannot_be_is_refused(pairs: Pairs) -> None:
    with pytest.raises(UsageError, match="filter multiline"):
        made("multiline", pairs)


# --- in the engine ----------------------------------------------------------------------------------------------------


def filters() -> Filters:
    return Filters([Step(multiline(), lambda tag: True), Step(made("modify", {"add": "late yes"}), lambda tag: True)])


def said(journal: Journal) -> list[str]:
    return [json.loads(record)["log"] for record in contents(journal)]


async def test_after_a_crash_what_was_held_goes_on_where_it_was(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        committer = Committer(journal)
        for i, line in enumerate(LINES):
            # a new process for every line: nothing of the one before is left but what is in the journal
            await FilterSink(committer, filters()).put(Batch([part([line], i)], {"tail": b"%d" % i}))
        sink = FilterSink(committer, filters())
        await sink.finish()
        await committer.close()
        assert said(journal) == RECORDS
        assert journal.position("tail") == b"%d" % (len(LINES) - 1)
        assert journal.position("filter/multiline") is None
        assert all(json.loads(record)["late"] == "yes" for record in contents(journal))


async def test_a_batch_that_was_refused_and_comes_again_is_not_joined_twice() -> None:
    queue = MemoryQueue(limit=2000)
    await queue.open("out")
    sink = FilterSink(queue, filters())
    await sink.put(Batch([part(JAVA[:2])]))
    await queue.put(Batch([noise(1900, 1)]))
    rest = Batch([part([JAVA[2], "end"], 2), noise(500, 2)])
    for _ in range(2):
        with pytest.raises(Full):
            await sink.put(rest, wait=False)
    await queue.take("out")
    await queue.done("out", 1)
    await sink.put(rest, wait=False)
    found = [d.chunk for d in await queue.take("out")]
    assert texts(found[:1]) == ["\n".join(JAVA), "end"]


async def test_what_the_journal_has_no_room_for_stays_held_at_the_end(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", size_limit=20_000, fsync=False) as journal:
        committer = Committer(journal)
        sink = FilterSink(committer, filters())
        await sink.put(Batch([part(JAVA)], {"tail": b"3"}))
        await committer.put(Batch([noise(20_000, 1)]))
        await sink.finish(grace=0.3)
        await committer.close()
        assert journal.position("tail") == b"3"
        again = multiline()
        again.restore(journal.position("filter/multiline") or b"")
        assert texts(again.expire(everything=True)) == ["\n".join(JAVA)]


async def test_at_the_end_there_is_time_for_outputs_to_make_room() -> None:
    queue = MemoryQueue(limit=1000)
    await queue.open("out")
    sink = FilterSink(queue, filters())
    await sink.put(Batch([part(JAVA)]))
    await queue.put(Batch([noise(900, 1)]))
    never = asyncio.Event()
    ending = asyncio.create_task(sink.finish(never.wait, 0))
    await asyncio.sleep(0.05)
    assert not ending.done()
    await queue.take("out")
    await queue.done("out", 1)
    await ending
    assert texts([d.chunk for d in await queue.take("out")]) == ["\n".join(JAVA)]


async def test_a_caller_that_is_cancelled_changes_nothing_of_what_is_held(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        committer = Committer(journal)
        sink = FilterSink(committer, filters())
        for i, line in enumerate(LINES):
            putting = asyncio.create_task(sink.put(Batch([part([line], i)], {"tail": b"%d" % i})))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            putting.cancel()
            await asyncio.wait([putting])
            if int(await sink.position("tail") or b"-1") < i:
                # as an input does that is started again: from its position
                await sink.put(Batch([part([line], i)], {"tail": b"%d" % i}))
        await sink.finish()
        await committer.close()
        assert said(journal) == RECORDS


PIPELINE = """\
multiline_parsers:
  - name: multiline-regex-test
    type: regex
    flush_timeout: 1000
    rules:
      - state: start_state
        regex: '/([a-zA-Z]+ \\d+ \\d+\\:\\d+\\:\\d+)(.*)/'
        next_state: cont
      - state: cont
        regex: '/^\\s+at.*/'
        next_state: cont
pipeline:
  inputs:
    - {name: tail, path: "{place}/test.log", read_from_head: true}
  filters:
    - name: multiline
      match: '*'
      multiline.key_content: log
      multiline.parser: go,multiline-regex-test
  outputs:
    - {name: file, match: '*', path: "{place}", file: out.jsonl, format: plain}
"""


def test_the_configuration_of_the_manual_runs(tmp_path: Path) -> None:
    (tmp_path / "test.log").write_text("\n".join(LINES) + "\n")
    (tmp_path / "a.yaml").write_text(PIPELINE.replace("{place}", str(tmp_path)))
    assert main(["run", "-c", str(tmp_path / "a.yaml"), "--exit-on-eof", "--state", str(tmp_path / "state")]) == 0
    left = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert left == [{"log": text} for text in RECORDS]
