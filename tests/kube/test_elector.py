"""The loop of the election against an API server: who leads, who waits, and how soon a lost lease is noticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from kubewitness.errors import UsageError
from kubewitness.kube import KubeAccess, KubeClient
from kubewitness.kube.elector import Elector, Leadership
from kubewitness.kube.lease import Candidacy, Times, local_clock
from tests.fake_apiserver import FakeApiServer, status

TIMES = Times(duration=1.0, renew=0.7, retry=0.1)


class Replica:
    """One candidate with a clock that can be moved on, as if the process had been frozen."""

    def __init__(self, server: FakeApiServer, name: str, group: str = "") -> None:
        self.skipped = 0.0
        self.client = KubeClient(KubeAccess(url=server.url))
        self.candidacy = Candidacy(name, "default", "kubewitness", TIMES, group=group, clock=self.clock)
        self.leadership = Leadership(self.clock)
        self.elector = Elector(self.client, self.candidacy, self.leadership, self.lost, clock=self.clock)
        self.losses = 0
        self.task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        return local_clock() + self.skipped

    async def lost(self) -> None:
        self.losses += 1

    def start(self) -> Replica:
        self.task = asyncio.create_task(self.elector.run())
        return self

    async def kill(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    @property
    def leads(self) -> bool:
        return self.leadership.term is not None


@asynccontextmanager
async def cluster(*names: str) -> AsyncIterator[tuple[FakeApiServer, list[Replica]]]:
    async with FakeApiServer() as server:
        replicas = [Replica(server, name) for name in names]
        try:
            yield server, replicas
        finally:
            for replica in replicas:
                if replica.task is not None:
                    await replica.kill()
                await replica.client.close()


async def soon(what: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


async def test_one_leads_and_the_other_follows_when_it_dies_with_the_next_term() -> None:
    async with cluster("a", "b") as (server, (a, b)):
        a.start()
        await soon(lambda: a.leads)
        b.start()
        await asyncio.sleep(0.5)
        assert not b.leads
        assert (a.leadership.term, b.elector.health()["holder"]) == (0, "a")
        await a.kill()
        await soon(lambda: b.leads)
        assert b.leadership.term == 1
        assert server.leases.spec()["leaseTransitions"] == 1
        assert not a.leads or a.clock() < a.candidacy.leads_until


async def test_two_that_start_together_never_lead_together() -> None:
    async with cluster("a", "b", "c") as (_server, replicas):
        for replica in replicas:
            replica.start()
        for _ in range(100):
            assert sum(r.leads for r in replicas) <= 1
            await asyncio.sleep(0.01)
        assert sum(r.leads for r in replicas) == 1


async def test_a_clean_stop_gives_the_lease_back_and_nobody_waits_for_it_to_run_out() -> None:
    async with cluster("a", "b") as (server, (a, b)):
        a.start()
        await soon(lambda: a.leads)
        await a.kill()
        await a.elector.release()
        assert server.leases.spec()["holderIdentity"] == ""
        b.start()
        await soon(lambda: b.leads, 0.9)
        assert a.elector.health()["state"] == "released"


async def test_the_release_leaves_a_lease_alone_that_another_holds_by_now() -> None:
    async with cluster("a") as (server, (a,)):
        a.start()
        await soon(lambda: a.leads)
        await a.kill()
        lease = server.leases.objects["default", "kubewitness"]
        server.leases.put({**lease, "spec": {**lease["spec"], "holderIdentity": "b"}})
        await a.elector.release()
        assert server.leases.spec()["holderIdentity"] == "b"


async def test_an_api_server_that_is_away_ends_the_term_before_the_lease_runs_out() -> None:
    async with cluster("a") as (server, (a,)):
        a.start()
        await soon(lambda: a.leads)
        await server.stop()
        await soon(lambda: a.losses, TIMES.duration + 1)
        assert not a.leads
        assert a.elector.health()["last_error"]
        await server.start()
        await soon(lambda: a.leads)
        assert a.leadership.term == 0  # nobody else had it meanwhile


async def test_who_was_frozen_does_not_lead_from_the_first_moment_on() -> None:
    async with cluster("a", "b") as (_server, (a, b)):
        a.start()
        await soon(lambda: a.leads)
        term = a.leadership.term
        assert term is not None
        a.skipped += 60
        assert not a.leadership.holds(term)  # before its own loop could run
        b.start()
        await soon(lambda: b.leads or a.leads)
        await soon(lambda: a.losses)


async def test_a_lost_race_is_no_error_and_the_winner_is_respected() -> None:
    async with cluster("a") as (server, (a,)):

        async def faster(request: web.Request) -> web.StreamResponse | None:
            if request.method == "POST" and not server.leases.objects:
                theirs = await request.json()
                theirs["spec"]["holderIdentity"] = "b"
                server.leases.put(theirs)
            return None

        server.faults.append(faster)
        a.start()
        await soon(lambda: a.elector.health()["holder"] == "b")
        assert not a.leads
        assert a.elector.health()["errors"] == 0


async def test_a_lease_taken_by_another_ends_the_term_at_the_next_renewal() -> None:
    async with cluster("a") as (server, (a,)):
        a.start()
        await soon(lambda: a.leads)
        lease = server.leases.objects["default", "kubewitness"]
        spec = {**lease["spec"], "holderIdentity": "b", "leaseTransitions": 1}
        server.leases.put({**lease, "spec": spec})
        await soon(lambda: a.losses, 0.6)
        assert a.elector.health()["holder"] == "b"


async def test_a_term_given_up_is_not_prolonged_and_the_next_one_passes_what_the_store_knows() -> None:
    async with cluster("a") as (server, (a,)):
        a.start()
        await soon(lambda: a.leads)
        a.leadership.give_up(0, outdone_by=7)
        assert not a.leads
        await soon(lambda: a.losses)
        await soon(lambda: a.leads)
        assert a.leadership.term == 8
        assert server.leases.spec()["leaseTransitions"] == 8


async def test_a_term_whose_work_cannot_go_on_is_left_to_another(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("a", "b") as (server, (a, b)):
        a.start()
        await soon(lambda: a.leads)
        b.start()
        a.leadership.give_up(0)
        await soon(lambda: b.leads)
        assert server.leases.spec()["leaseTransitions"] == 1
        await asyncio.sleep(TIMES.duration)
        assert b.leads


@pytest.mark.parametrize(
    ("code", "said"),
    [(403, "not allowed to create leases.coordination.k8s.io 'kubewitness' in namespace 'default'"), (401, "401")],
)
async def test_a_refusal_says_which_right_is_missing_once(
    code: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster("a") as (server, (a,)):

        async def refuse(request: web.Request) -> web.StreamResponse | None:
            return status(code, "Refused") if request.method == "POST" else None

        server.faults.append(refuse)
        with caplog.at_level(logging.WARNING):
            a.start()
            await soon(lambda: a.elector.health()["errors"] == 2)
        assert said in str(a.elector.health()["last_error"])
        assert len([r for r in caplog.records if said in r.getMessage()]) == 1
        server.faults.clear()
        await soon(lambda: a.leads)
        assert a.elector.health()["last_error"] == ""


async def test_a_replica_with_another_store_is_refused_while_the_holder_lives() -> None:
    async with cluster() as (server, _):
        a, b = Replica(server, "a", "s3://one"), Replica(server, "b", "journal:two")
        a.start()
        await soon(lambda: a.leads)
        b.start()
        assert b.task is not None
        with pytest.raises(UsageError, match="need one store"):
            await asyncio.wait_for(b.task, 5)
        await a.kill()
        c = Replica(server, "c", "journal:two").start()
        await soon(lambda: c.leads)
        await c.kill()
        for replica in (a, b, c):
            await replica.client.close()


async def test_a_hanging_api_server_is_not_waited_for_beyond_the_deadline() -> None:
    async with cluster("a") as (server, (a,)):
        a.start()
        await soon(lambda: a.leads)
        hang = asyncio.Event()

        async def silent(_: web.Request) -> web.StreamResponse | None:
            await hang.wait()
            return None

        server.faults.append(silent)
        await soon(lambda: a.losses, TIMES.duration + 1)
        server.faults.clear()
        hang.set()
        await soon(lambda: a.leads)
