"""What every input that is sent to does when things go wrong: what it acknowledged is kept, once.

Where a protocol has no acknowledgement, the input reads on only when what came before is durable.
"""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from kubewitness.errors import UsageError
from kubewitness.journal import Journal
from kubewitness.pipeline.committer import Committer
from tests.faults import Fault
from tests.inputs.running import until
from tests.inputs.senders import SENDERS, STREAMS, Sender, numbers, numbers_of
from tests.inputs.sinks import Kept

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(params=STREAMS, ids=lambda sender: sender.name)
def sender(request: pytest.FixtureRequest, tmp_path: Path) -> Sender:
    """On connections."""
    made: Sender = request.param(tmp_path)
    return made


@pytest.fixture(params=SENDERS, ids=lambda sender: sender.name)
def any_sender(request: pytest.FixtureRequest, tmp_path: Path) -> Sender:
    made: Sender = request.param(tmp_path)
    return made


async def arrived(sink: Kept, count: int) -> None:
    await until(lambda: len(numbers(sink)) >= count)


async def test_what_is_sent_is_kept_once_and_in_order(any_sender: Sender) -> None:
    sink = Kept()
    async with any_sender.listening(sink, cluster="prod") as source:
        for start in range(0, 30, 10):
            await any_sender.send(source, range(start, start + 10))
        await arrived(sink, 30)
        await until(lambda: source.health()["records"] == 30)
    assert numbers(sink) == list(range(30))
    assert {chunk.cluster for chunk in sink.chunks} == {"prod"}
    keys = [chunk.key(i) for chunk in sink.chunks for i in range(len(chunk))]
    assert len(set(keys)) == 30


async def test_it_listens_at_the_host_that_the_keys_say(any_sender: Sender) -> None:
    sink = Kept()
    kind = socket.SOCK_STREAM if any_sender.connects else socket.SOCK_DGRAM
    async with any_sender.listening(sink, host="127.0.0.2") as source:
        with socket.socket(type=kind) as far:
            far.connect(("127.0.0.2", source.port))
            far.sendall(any_sender.message([7]))
            await arrived(sink, 1)
        assert _nobody_at("127.0.0.1", source.port, kind)
    assert numbers(sink) == [7]


def _nobody_at(host: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(type=kind) as there:
        there.settimeout(10)
        try:
            there.connect((host, port))
            there.send(b"x")
            there.recv(1)
        except ConnectionRefusedError:
            return True
    return False


async def test_nothing_is_acknowledged_before_it_is_durable(any_sender: Sender) -> None:
    sink = Kept()
    sink.gate.clear()
    async with any_sender.listening(sink) as source:
        sending = asyncio.create_task(any_sender.send(source, range(10)))
        await until(lambda: sink.puts)
        await asyncio.sleep(0.05)
        assert not sending.done() or not any_sender.acknowledged
        sink.gate.set()
        assert await sending
        await arrived(sink, 10)
    assert numbers(sink) == list(range(10))


async def test_a_full_journal_refuses_or_holds_back_and_loses_nothing(
    sender: Sender, tmp_path: Path, fault: Fault
) -> None:
    """The journal's own limit, with an output that delivers nothing, and then does."""
    with Journal(tmp_path / "journal.db", size_limit=20_000) as journal:
        journal.register("slow")
        committer = Committer(journal)
        said: list[int] = []
        delivered: list[int] = []
        async with sender.listening(committer) as source:
            for n in range(500):
                message = range(n * 50, n * 50 + 50)
                sending = asyncio.create_task(sender.send(source, message))
                said += message
                if not await _taken(sending, committer):
                    break
            else:
                raise AssertionError("the limit was never reached")
            delivering = asyncio.create_task(_deliver(journal, committer, delivered))
            if not await sending:
                assert source.health()["refused_full"] == 1
                assert await sender.send(source, message)
            await until(lambda: len(delivered) >= len(said))
            delivering.cancel()
        await committer.close()
    assert sorted(delivered) == said
    fault("inputs that are sent to: full journal", said=said, kept=delivered, on="listener")


async def _taken(sending: asyncio.Task[bool], committer: Committer) -> bool:
    """Whether what is being sent was taken, and nothing waits."""
    await until(lambda: sending.done() or committer.health()["waiting_for_room"])
    return sending.done() and sending.result() and not committer.health()["waiting_for_room"]


async def _deliver(journal: Journal, committer: Committer, delivered: list[int]) -> None:
    while True:
        for delivery in journal.deliveries(journal.stats().outputs["slow"].cursor):
            delivered += numbers_of(delivery.chunk)
            journal.advance("slow", delivery.seq)
        committer.room()
        await asyncio.sleep(0.01)


async def test_a_connection_that_is_cut_in_a_message_costs_nothing_but_what_was_not_whole(
    sender: Sender, fault: Fault
) -> None:
    sink = Kept()
    async with sender.listening(sink) as source:
        message = sender.message(range(10))
        for at in (1, len(message) // 2, len(message) - 1):
            _, writer = await sender.connect(source)
            writer.write(message[:at])
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.transport.abort()
        assert await sender.send(source, range(100, 110))
        await arrived(sink, 10)
        await until(lambda: source.health()["connections"] == 0)
    got = [n for n in numbers(sink) if n >= 100]
    assert got == list(range(100, 110))
    if sender.acknowledged:
        assert numbers(sink) == got, "a message is taken whole or not at all"
    fault("inputs that are sent to: cut in a message", said=range(100, 110), kept=got, on="listener")


async def test_a_client_that_hangs_in_a_message_is_given_up_and_others_are_served(sender: Sender, fault: Fault) -> None:
    sink = Kept()
    async with sender.listening(sink, **{"net.io_timeout": "300ms"}) as source:
        message = sender.message(range(10))
        _, writer = await sender.connect(source)
        writer.write(message[:-5])
        assert await sender.send(source, range(100, 110))
        await until(lambda: source.health()["refused_slow"] == 1)
        writer.close()
        await arrived(sink, 10)
    got = [n for n in numbers(sink) if n >= 100]
    assert got == list(range(100, 110))
    fault("inputs that are sent to: a client that hangs in a message", said=range(100, 110), kept=got, on="listener")


async def test_connections_beyond_the_limit_are_turned_away(sender: Sender) -> None:
    sink = Kept()
    async with sender.listening(sink, max_connections="2") as source:
        held = [await sender.connect(source) for _ in range(2)]
        await until(lambda: source.health()["connections"] == 2)
        reader, writer = await sender.connect(source)
        assert await reader.read() == b""
        writer.close()
        assert source.health()["refused_connections"] == 1
        assert source.health()["connections_limit"] == 2
        for _, writer in held:
            writer.close()
        await until(lambda: source.health()["connections"] == 0)
        assert await sender.send(source, range(10))
        await arrived(sink, 10)


async def test_a_clock_that_jumps_changes_times_and_nothing_else(
    any_sender: Sender, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    sink = Kept()
    clock = [1_700_000_000_000_000_000]
    async with any_sender.listening(sink) as source:
        monkeypatch.setattr(time, "time_ns", lambda: clock[0])
        for n, jump in enumerate((0, 86_400 * 10**9, -2 * 86_400 * 10**9)):
            clock[0] += jump
            assert await any_sender.send(source, range(n * 10, n * 10 + 10))
            await arrived(sink, n * 10 + 10)
            assert sink.chunks[-1].received_us == clock[0] // 1000
    assert numbers(sink) == list(range(30))
    fault("inputs that are sent to: the clock jumps", said=range(30), kept=numbers(sink), on="listener")


async def test_an_input_that_is_stopped_can_be_started_again_at_the_same_place(any_sender: Sender) -> None:
    sink = Kept()
    async with any_sender.listening(sink) as source:
        port = source.port
        assert await any_sender.send(source, range(10))
        await arrived(sink, 10)
        held = await any_sender.connect(source) if any_sender.connects else None
        with pytest.raises(UsageError, match="cannot listen"):
            await any_sender.source(port=str(port)).run(sink)
    assert source.health()["listening"] == 0
    if held is not None:
        held[1].close()
    async with any_sender.listening(sink, port=str(port)) as source:
        assert source.port == port
        assert await any_sender.send(source, range(10, 20))
        await arrived(sink, 20)
    assert numbers(sink) == list(range(20))
