"""Every input while the journal is full, the clock jumps, and what it is told breaks off or takes its time: all that
was said is kept, once (`input_fault`, docs/reliability.md)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from kubewitness.contracts import Batch, Input, Sink
from kubewitness.errors import Full
from kubewitness.inputs import INPUTS, systemd, tail
from kubewitness.journal import Journal
from kubewitness.parsers.library import Library
from kubewitness.pipeline.committer import Committer
from kubewitness.record import Chunk
from tests.faults import InputFault
from tests.inputs.fault_list import COMBINATIONS
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept
from tests.inputs.talkers import NUMBER, TALKERS, Exec, Stdin, Talker
from tests.journal.helpers import noise

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

BY_NAME = {kind.name: kind for kind in TALKERS}
#: a number that nobody says otherwise
ONE = 1_000_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_POLL", 0.01)
    monkeypatch.setattr(tail, "_LOOK", 0.02)
    monkeypatch.setattr(systemd, "_LOOK", 0.05)
    monkeypatch.setattr("kubewitness.kube.backoff.random.uniform", lambda a, b: 0.02)


@pytest.fixture
async def talker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Talker]:
    made = BY_NAME[request.param](tmp_path)
    await made.start()
    yield made
    await made.stop()


def source(talker: Talker) -> Input:
    module, name = INPUTS[talker.plugin]
    more: dict[str, Any] = {"fd": talker.reading} if isinstance(talker, Stdin) else {}
    if talker.plugin in ("tail", "stdin", "exec", "syslog"):
        more["library"] = Library([], [])
    tag = {} if talker.plugin in ("http", "forward") else {"tag": talker.tag}
    return cast(Input, getattr(importlib.import_module(module), name)({**talker.keys(), **tag}, **more))


def numbers_of(chunk: Chunk) -> list[int]:
    found = (NUMBER.search(raw) for raw in chunk.records()) if chunk.table != "rejects" else ()
    return [int(match[1]) for match in found if match is not None]


def kept(sink: Kept) -> list[int]:
    return [n for chunk in sink.chunks for n in numbers_of(chunk)]


@contextlib.asynccontextmanager
async def talking(talker: Talker, sink: Sink, got: Callable[[], list[int]]) -> AsyncIterator[None]:
    """The input runs, and is told things; at the end it has `got` all of them."""
    up, end = asyncio.Event(), asyncio.Event()
    async with running(source(talker), sink) as (made, task):
        await until(lambda: task.done() or getattr(made, "port", 1))
        up.set()
        work = asyncio.create_task(talker.talk(up, end))
        try:
            yield
            end.set()
            await work
            await talker.finish()
            await until(lambda: set(talker.said) <= set(got()), 20)
        finally:
            work.cancel()


def faulted(fault: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("talker", [name for name, f in COMBINATIONS if f == fault], indirect=True)


def result(talker: Talker, got: list[int]) -> tuple[list[int], list[int]]:
    """(said, kept); what was taken, and not acknowledged before the end, was not said."""
    return talker.said, [n for n in got if n in set(talker.said)]


@faulted("disk full")
async def test_without_room_in_the_journal_it_waits_or_refuses_and_goes_on_by_itself(
    talker: Talker, tmp_path: Path, input_fault: InputFault
) -> None:
    got: list[int] = []
    with Journal(tmp_path / "journal.db", size_limit=20_000) as journal:
        journal.register("slow")
        fill(journal)
        committer = Committer(journal)
        async with talking(talker, committer, lambda: got):
            await until(lambda: committer.health()["waiting_for_room"] or committer.health()["refused"])
            await asyncio.sleep(0.1)
            assert [d.chunk.source for d in journal.deliveries(0, max_bytes=None) if d.chunk.source != "test"] == []
            delivering = asyncio.create_task(deliver(journal, committer, got))
            await until(lambda: len(got) > 20)
        delivering.cancel()
        await committer.close()
    input_fault(talker.name, "disk full", *result(talker, got))


def fill(journal: Journal) -> None:
    """Until not even the smallest finds room."""
    for seed, size in enumerate([3000] * 10 + [300] * 10 + [30] * 20):
        with contextlib.suppress(Full):
            journal.append([Batch([noise(size, seed)])])


async def deliver(journal: Journal, committer: Committer, got: list[int]) -> None:
    while True:
        for delivery in journal.deliveries(journal.stats().outputs["slow"].cursor):
            got += numbers_of(delivery.chunk) if delivery.chunk.source != "test" else []
            journal.advance("slow", delivery.seq)
        committer.room()
        await asyncio.sleep(0.01)


@faulted("clock jump")
async def test_a_clock_that_jumps_changes_times_and_nothing_else(
    talker: Talker, monkeypatch: pytest.MonkeyPatch, input_fault: InputFault
) -> None:
    sink = Kept()
    real, real_ns = time.time, time.time_ns
    async with talking(talker, sink, lambda: kept(sink)):
        for shift in (0, 86_400, -86_400, 0):
            with monkeypatch.context() as patched:
                patched.setattr(time, "time", lambda s=shift: real() + s)
                patched.setattr(time, "time_ns", lambda s=shift: real_ns() + s * 10**9)
                await more(sink)
    input_fault(talker.name, "clock jump", *result(talker, kept(sink)))


async def more(sink: Kept) -> None:
    before = len(kept(sink))
    await until(lambda: len(kept(sink)) > before + 5)


@faulted("cut")
async def test_what_breaks_off_in_a_record_and_comes_again_is_kept_once(
    talker: Talker, input_fault: InputFault
) -> None:
    sink = Kept()
    async with talking(talker, sink, lambda: kept(sink)):
        await more(sink)
        await talker.halves(ONE, lambda: more(sink), cut=True)
        await more(sink)
    input_fault(talker.name, "cut", *result(talker, kept(sink)))


@faulted("slow")
async def test_a_record_that_takes_its_time_is_kept_once_and_the_others_meanwhile(
    talker: Talker, input_fault: InputFault
) -> None:
    sink = Kept()
    if isinstance(talker, Exec):
        talker.echo = "printf n; sleep 0.1; echo =$n"
    async with talking(talker, sink, lambda: kept(sink)):
        await more(sink)
        await talker.halves(ONE, lambda: more(sink), cut=False)
        await more(sink)
    input_fault(talker.name, "slow", *result(talker, kept(sink)))
