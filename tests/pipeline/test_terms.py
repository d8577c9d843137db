"""What runs only while this process leads: watches stop with the term, webhooks refuse outside of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

import aiohttp
import pytest

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import Full
from kubewitness.inputs.kubernetes_audit import KubernetesAudit
from kubewitness.kube.elector import Leadership
from kubewitness.pipeline.terms import LeaderSink, Terms, WhileLeading
from tests.faults import Fault
from tests.inputs.sinks import Kept


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Leader:
    """A leadership that the test gives and takes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.leadership = Leadership(self.clock)
        self.terms = Terms(self.leadership)

    def lead(self, term: int, *, ready: bool = True) -> None:
        self.leadership.extend(term, self.clock.now + 10)
        if ready:
            self.terms.begin(term)


class Counting:
    """An input that puts an empty batch again and again; what it began from, and how often it was stopped."""

    name = "counting"

    def __init__(self) -> None:
        self.began: list[bytes | None] = []
        self.stopped = 0
        self.fails = False

    async def run(self, sink: Sink) -> None:
        self.began.append(await sink.position("counting"))
        if self.fails:
            raise ValueError("broken")
        try:
            while True:
                await sink.put(Batch((), {"counting": b"%d" % len(self.began)}))
                await asyncio.sleep(0.01)
        finally:
            self.stopped += 1

    def health(self) -> Mapping[str, object]:
        return {"state": "watching", "dead_since_us": 5}


async def soon(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


async def test_an_input_runs_in_open_terms_only_and_each_begins_from_the_position_of_then() -> None:
    leader, kept, source = Leader(), Kept(), Counting()
    watch = WhileLeading(source, leader.terms)
    task = asyncio.create_task(watch.run(LeaderSink(kept, leader.terms)))
    leader.lead(3, ready=False)
    await asyncio.sleep(0.2)
    assert source.began == []
    assert watch.health() == {"state": "standby", "connected": False, "dead_since_us": 0}

    leader.lead(3)
    await soon(lambda: kept.puts > 2)
    assert watch.health()["state"] == "watching"
    leader.clock.now += 60  # frozen, or cut off: the term is over by the clock alone
    await soon(lambda: source.stopped)
    puts = kept.puts
    await asyncio.sleep(0.1)
    assert kept.puts == puts

    kept.positions["counting"] = b"what the store says"
    leader.lead(7)
    await soon(lambda: kept.puts > puts)
    assert source.began == [None, b"what the store says"]
    task.cancel()
    await asyncio.wait([task])
    assert source.stopped == 2


async def test_a_crash_of_an_input_is_its_supervisors_business_and_the_end_of_a_term_is_not() -> None:
    leader, source = Leader(), Counting()
    source.fails = True
    leader.lead(1)
    with pytest.raises(ValueError, match="broken"):
        await WhileLeading(source, leader.terms).run(LeaderSink(Kept(), leader.terms))
    async with asyncio.timeout(5):
        await leader.terms.ended()


async def test_a_term_has_ended_only_when_everything_in_it_has() -> None:
    leader, source = Leader(), Counting()
    task = asyncio.create_task(WhileLeading(source, leader.terms).run(LeaderSink(Kept(), leader.terms)))
    leader.lead(1)
    await soon(lambda: source.began)
    leader.terms.enter("store")
    leader.terms.give_up(1, outdone_by=4)
    assert leader.terms.open is None
    assert leader.leadership.term_above == 4
    await soon(lambda: source.stopped)
    ended = asyncio.create_task(leader.terms.ended())
    await asyncio.sleep(0.2)
    assert not ended.done()
    leader.terms.leave("store")
    await asyncio.wait_for(ended, 5)
    task.cancel()
    await asyncio.wait([task])


async def test_a_standbys_webhook_answers_503_and_takes_nothing_until_it_leads(fault: Fault) -> None:
    leader, kept = Leader(), Kept()
    webhook = KubernetesAudit({"listen": "127.0.0.1", "port": "0"})
    task = asyncio.create_task(webhook.run(LeaderSink(kept, leader.terms)))
    await soon(lambda: webhook.webhook is not None and webhook.webhook.port)
    assert webhook.webhook is not None
    url = f"http://127.0.0.1:{webhook.webhook.port}/audit"
    event = {"auditID": "1", "stage": "Panic", "level": "Metadata", "verb": "get", "user": {"username": "alice"}}
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event]}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=body) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]
        assert kept.puts == 0
        leader.lead(1)
        async with session.post(url, json=body) as answer:
            assert answer.status == 200
        assert kept.puts == 1
    task.cancel()
    await asyncio.wait([task])
    stored = [json.loads(raw)["auditID"] for raw, _ in kept.records("audit")]
    fault("audit batch sent to a standby: 503, and again once it leads", said=["1"], kept=stored, on="listener")


async def test_what_is_taken_as_the_term_ends_is_not_acknowledged() -> None:
    leader, kept = Leader(), Kept()
    leader.lead(1)
    kept.gate.clear()
    put = asyncio.create_task(LeaderSink(kept, leader.terms).put(Batch(()), wait=False))
    await soon(lambda: kept.puts)
    leader.clock.now += 60
    kept.gate.set()
    with pytest.raises(Full, match="standby"):
        await put
