"""What a far side will never take: found by halves, set aside with its reason, counted; the rest goes through."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubewitness.contracts import Batch, Delivery, Partly, Refusal
from kubewitness.errors import Refused, Retry
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from kubewitness.pipeline.supervisor import Supervisor
from tests.journal.helpers import chunk, numbered

pytestmark = pytest.mark.timeout(30)


class Picky:
    """A far side with bad records in its eyes; `busy` tries fail before it looks at anything."""

    name = "picky"

    def __init__(self, *bad: bytes, busy: int = 0, itemwise: bool = False) -> None:
        self.took: list[bytes] = []
        self.tries = 0
        self._bad = set(bad)
        self._busy = busy
        self._itemwise = itemwise

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        self.tries += 1
        if self.tries <= self._busy:
            raise Retry("503 busy")
        refused = []
        for d in deliveries:
            for i, record in enumerate(d.chunk.records()):
                if record in self._bad:
                    refused.append(Refusal(Delivery(d.seq, d.chunk.select([i])), f"cannot map {record.decode()}"))
        if refused and not self._itemwise:
            raise Refused(refused[0].reason)
        good = [r for d in deliveries for r in d.chunk.records() if r not in self._bad]
        self.took += good
        if refused:
            raise Partly("some were refused", refused=refused)

    async def close(self) -> None:
        pass


async def deliver(output: Picky, rejected: Rejected | None, *, retry_limit: int | None = None) -> DeliveryLoop:
    """Through a loop, eight chunks of five records."""
    queue = MemoryQueue()
    loop = DeliveryLoop(output, queue, "picky", Backoff(0.001, 0.002), retry_limit=retry_limit, rejected=rejected)
    await loop.open()
    await queue.put(Batch([numbered(*range(n, n + 5)) for n in range(0, 40, 5)]))
    queue.finish()
    await loop.run()
    return loop


def aside(rejected: Rejected) -> list[dict[str, str]]:
    return [json.loads(line) for line in rejected.path("picky").read_text().splitlines()]


ALL = [b'{"n":%d}' % n for n in range(40)]


@pytest.mark.parametrize("itemwise", [False, True])
async def test_poison_records_are_set_aside_with_their_reason_and_the_others_go_through_once(
    tmp_path: Path, itemwise: bool
) -> None:
    output = Picky(ALL[3], ALL[4], ALL[39], busy=2, itemwise=itemwise)
    rejected = Rejected(tmp_path / "rejected")
    loop = await deliver(output, rejected)
    assert output.took == [r for r in ALL if r not in (ALL[3], ALL[4], ALL[39])]
    assert [(r["raw"], r["reason"], r["table"]) for r in aside(rejected)] == [
        (ALL[n].decode(), f"cannot map {ALL[n].decode()}", "audit") for n in (3, 4, 39)
    ]
    assert stat.S_IMODE(rejected.path("picky").stat().st_mode) == 0o600
    health = loop.health()
    assert (health["records"], health["refused"], health["set_aside"], health["dropped"]) == (37, 3, 3, 0)
    assert (health["state"], health["last_refusal"]) == ("ended", 'cannot map {"n":39}')


async def test_with_keep_rejected_off_they_are_dropped_and_counted_as_such(tmp_path: Path) -> None:
    rejected = Rejected(tmp_path / "rejected", keep=False)
    health = (await deliver(Picky(ALL[3]), rejected)).health()
    assert (health["refused"], health["set_aside"], health["dropped"]) == (1, 0, 1)
    assert not (tmp_path / "rejected").exists()


async def test_a_batch_beyond_its_retry_limit_is_set_aside_whole_and_the_next_begins_anew(tmp_path: Path) -> None:
    rejected = Rejected(tmp_path / "rejected")
    health = (await deliver(Picky(busy=10_000), rejected, retry_limit=3)).health()
    assert (health["retries"], health["given_up"], health["set_aside"], health["records"]) == (3, 40, 40, 0)
    assert {r["reason"] for r in aside(rejected)} == {"given up after 3 retries: 503 busy"}
    assert [r["raw"].encode() for r in aside(rejected)] == ALL


async def test_what_failed_is_counted_as_fluent_bit_counts_it(tmp_path: Path) -> None:
    rejected = Rejected(tmp_path / "rejected")
    given_up = (await deliver(Picky(busy=10_000), rejected, retry_limit=3)).delivered()
    assert given_up == {
        "proc_records": 0, "proc_bytes": 0, "errors": 0, "retries": 3, "retries_failed": 1, "dropped_records": 40,
        "retried_records": 120,
    }  # fmt: skip
    refused = (await deliver(Picky(ALL[3], ALL[39], itemwise=True), rejected)).delivered()
    assert (refused["proc_records"], refused["errors"], refused["dropped_records"]) == (38, 1, 2)


async def test_an_incident_ends_when_something_is_taken_and_not_when_all_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await deliver(Picky(busy=10_000), Rejected(tmp_path), retry_limit=1)
    assert "picky delivers again" not in caplog.messages
    await deliver(Picky(busy=2), Rejected(tmp_path), retry_limit=3)
    assert caplog.messages.count("picky delivers again") == 1


async def test_within_its_retry_limit_nothing_is_given_up(tmp_path: Path) -> None:
    output = Picky(busy=3)
    await deliver(output, Rejected(tmp_path), retry_limit=3)
    assert output.took == ALL


async def test_when_everything_is_refused_in_a_row_each_further_record_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubewitness.pipeline.delivery._STREAK", 10)
    output = Picky(*ALL)
    health = (await deliver(output, Rejected(tmp_path))).health()
    assert health["set_aside"] == 40
    # a tree of halves over 8 chunks of 5, and one more try for each of the 30 after the first 10
    assert output.tries > 30 + 40


async def test_a_full_place_for_rejects_holds_the_output_and_loses_nothing(tmp_path: Path) -> None:
    rejected = Rejected(tmp_path, limit=100)
    (refusal,) = [Refusal(Delivery(1, chunk([b"\xff" * 200])), "not UTF-8")]
    with pytest.raises(Retry, match=r"storage\.rejected\.limit"):
        rejected.keep("picky", [refusal])
    assert rejected.path("picky").stat().st_size == 0
    Rejected(tmp_path).keep("picky", [refusal])
    assert aside(rejected)[0]["raw_base64"].startswith("/////")


async def test_what_is_given_at_once_is_about_what_the_output_asks_for() -> None:
    class Sized(Picky):
        batch_bytes = 100

        def __init__(self) -> None:
            super().__init__()
            self.sizes: list[int] = []

        async def write(self, deliveries: Sequence[Delivery]) -> None:
            self.sizes.append(sum(len(d.chunk.data) for d in deliveries))
            await super().write(deliveries)

    output = Sized()
    await deliver(output, None)
    assert output.took == ALL
    assert max(output.sizes) <= 100
    assert len(output.sizes) < 8


async def test_when_it_is_stopped_what_was_through_does_not_come_again() -> None:
    class Stuck(Picky):
        batch_bytes = 50

        async def write(self, deliveries: Sequence[Delivery]) -> None:
            if len(self.took) == 10:
                await asyncio.Event().wait()
            await super().write(deliveries)

    queue = MemoryQueue()
    output = Stuck()
    loop = DeliveryLoop(output, queue, "stuck", Backoff(0.001, 0.002))
    await loop.open()
    await queue.put(Batch([numbered(*range(n, n + 5)) for n in range(0, 40, 5)]))
    task = asyncio.create_task(loop.run())
    while len(output.took) < 10:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert await queue.open("stuck") == loop.health()["cursor"] == 2


async def test_the_waits_are_those_that_the_service_asks_for() -> None:
    waits: list[float] = []

    class Away(Picky):
        async def write(self, deliveries: Sequence[Delivery]) -> None:
            waits.append(asyncio.get_running_loop().time())
            if len(waits) < 4:
                raise Retry("away", after=0.0)

    queue = MemoryQueue()
    supervisor = Supervisor(retry=(0.02, 0.04), restart_first=50.0)
    supervisor.add_output(Away(), queue)
    await queue.open("picky")
    await queue.put(Batch([numbered(1)]))
    await supervisor.run(until_inputs_end=True)
    assert len(waits) == 4
    assert waits[1] - waits[0] >= 0.01  # half of the first wait is the least that jitter leaves


async def test_what_was_said_of_a_record_beside_its_bytes_is_set_aside_with_it(tmp_path: Path) -> None:
    made = chunk([b'{"n":1}'], "logs")
    made.form, made.lines, made.also = "record", True, b'"kubernetes":{"pod_name":"web-1"}'
    rejected = Rejected(tmp_path)
    queue = MemoryQueue()
    loop = DeliveryLoop(Picky(b'{"n":1}'), queue, "picky", Backoff(0.001, 0.002), rejected=rejected)
    await loop.open()
    await queue.put(Batch([made]))
    queue.finish()
    await loop.run()
    assert [record["raw"] for record in aside(rejected)] == ['{"n":1,"kubernetes":{"pod_name":"web-1"}}']
