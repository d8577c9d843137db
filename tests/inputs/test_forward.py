"""Input `forward`: with the library fluent-logger, with our own output, and byte by byte as the protocol says."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from fluent.sender import EventTime, FluentSender
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.contracts import Batch, Delivery, Taken
from kubewitness.errors import Retry, UsageError
from kubewitness.inputs.forward import Forward
from kubewitness.inputs.forward_messages import Broken, Frames, read
from kubewitness.journal import Journal
from kubewitness.outputs.forward import ForwardOutput
from kubewitness.pipeline.committer import Committer
from kubewitness.record import Note
from tests.inputs.certificates import Authority
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(90)

NS = 1_700_000_000_123_456_789
TIME = msgpack.ExtType(0, struct.pack(">II", NS // 10**9, NS % 10**9))


@contextlib.asynccontextmanager
async def listening(sink: Any, *, default_tag: str = "forward.0", **keys: str) -> AsyncIterator[Forward]:
    given = {"listen": "127.0.0.1", "port": "0", **{k.replace("__", "."): v for k, v in keys.items()}}
    source = Forward(given, default_tag=default_tag)
    async with running(source, sink) as (_, task):
        await until(lambda: task.done() or source.health()["listening"])
        if task.done():
            task.result()
        yield source


async def say(source: Forward, *messages: Any, answers: int = 0) -> list[Any]:
    """Sends messages (packed here, unless they are bytes) on one connection; the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
    unpacker = msgpack.Unpacker()
    found: list[Any] = []
    for message in messages:
        writer.write(message if isinstance(message, bytes) else msgpack.packb(message))
    writer.write_eof()
    async with asyncio.timeout(30):
        while data := await reader.read(65536):
            unpacker.feed(data)
            found += unpacker
    writer.close()
    assert len(found) == answers
    return found


def kept(sink: Kept) -> list[tuple[str, int, Any]]:
    """(tag, nanoseconds, record) of all records"""
    return [
        (chunk.tag, chunk.times[i] if chunk.times is not None else 0, json.loads(raw))
        for chunk in sink.chunks
        if chunk.table == "logs"
        for i, raw in enumerate(chunk.records())
    ]


def packed(*entries: Any) -> bytes:
    return b"".join(msgpack.packb(entry) for entry in entries)


# --- real peers ------------------------------------------------------------------------------------------------------


async def test_what_the_library_of_others_sends_arrives_with_its_times() -> None:
    sink = Kept()
    async with listening(sink) as source:

        def send() -> None:
            for exact in (False, True):
                sender = FluentSender("app", port=source.port, host="127.0.0.1", nanosecond_precision=exact)
                assert sender.emit_with_time(
                    "web", EventTime.from_unix_nano(NS) if exact else 1_700_000_000, {"é": "ü"}
                )
                assert sender.emit_with_time("", 1_700_000_001, {"n": 1, "deep": {"list": [1.5, None, True]}})
                sender.close()

        await asyncio.to_thread(send)
        await until(lambda: len(kept(sink)) == 4)
    deep = {"n": 1, "deep": {"list": [1.5, None, True]}}
    assert kept(sink) == [
        ("app.web", 1_700_000_000 * 10**9, {"é": "ü"}),
        ("app", 1_700_000_001 * 10**9, deep),
        ("app.web", NS, {"é": "ü"}),
        ("app", 1_700_000_001 * 10**9, deep),
    ]


@pytest.mark.parametrize(
    ("input_keys", "output_keys"),
    [
        ({}, {}),
        ({}, {"compress": "gzip"}),
        ({}, {"require_ack_response": "off"}),
        ({"shared_key": "s3cret", "self_hostname": "here"}, {"shared_key": "s3cret"}),
        (
            {"shared_key": "k", "security__users": "bob b\nalice p w"},
            {"shared_key": "k", "username": "alice", "password": "p w"},
        ),
        (
            {"empty_shared_key": "on", "security__users": "alice pw"},
            {"empty_shared_key": "on", "username": "alice", "password": "pw"},
        ),
    ],
    ids=["plain", "gzip", "unacknowledged", "shared key", "users", "users without a key"],
)
async def test_our_own_output_arrives(input_keys: dict[str, str], output_keys: dict[str, str]) -> None:
    sink = Kept()
    async with listening(sink, **input_keys) as source:
        output = ForwardOutput({"host": "127.0.0.1", "port": str(source.port), **output_keys})
        await output.write([Delivery(1, logs('{"n":1,"a":[true,null,"é"]}')), Delivery(2, logs('{"n":2}', tag="b"))])
        await output.close()
        await until(lambda: len(kept(sink)) == 2)
    assert kept(sink) == [("kube.shop", NS, {"n": 1, "a": [True, None, "é"]}), ("b", NS, {"n": 2})]


@pytest.mark.parametrize(
    ("keys", "arrives"),
    [({}, True), ({"retain_metadata_in_forward_mode": "off"}, False), ({"fluentd_compat": "on"}, False)],
)
async def test_metadata_of_a_record_goes_on_with_it(keys: dict[str, str], arrives: bool) -> None:
    sink = Kept()
    made = logs('{"n":1}', '{"n":2}')
    made.notes = {1: Note(metadata='{"k":"v"}'), 0: Note(redacted=True)}
    async with listening(sink) as source:
        output = ForwardOutput({"host": "127.0.0.1", "port": str(source.port), **keys})
        await output.write([Delivery(1, made)])
        await output.close()
    assert [fields for _, _, fields in kept(sink)] == [{"n": 1}, {"n": 2}]
    (chunk,) = sink.chunks
    assert {i: note.metadata for i, note in chunk.notes.items()} == ({1: '{"k":"v"}'} if arrives else {})


async def test_the_shared_key_may_be_in_a_file_that_is_read_at_each_handshake(tmp_path: Path) -> None:
    sink, file = Kept(), tmp_path / "key"
    file.write_text("first\n")
    async with listening(sink, shared_key_file=str(file)) as source:

        async def sent(key: str) -> None:
            output = ForwardOutput({"host": "127.0.0.1", "port": str(source.port), "shared_key": key})
            try:
                await output.write([Delivery(1, logs(f'{{"key":"{key}"}}'))])
            finally:
                await output.close()

        await sent("first")
        file.write_text("second\n")
        with pytest.raises(Retry, match="shared_key mismatch"):
            await sent("first")
        await sent("second")
        file.write_text("")
        with pytest.raises(Retry):
            await sent("second")
        assert source.health()["refused_unauthorized"] == 2
    assert [record["key"] for _, _, record in kept(sink)] == ["first", "second"]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"shared_key": "wrong"}, "shared_key mismatch"),
        ({"shared_key": "k", "username": "alice", "password": "wrong"}, "username/password mismatch"),
        ({"shared_key": "k", "username": "mallory", "password": "pw"}, "username/password mismatch"),
    ],
)
async def test_who_does_not_know_the_secrets_is_refused_and_nothing_of_his_is_kept(
    keys: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Kept()
    async with listening(sink, shared_key="k", security__users="alice pw") as source:
        output = ForwardOutput({"host": "127.0.0.1", "port": str(source.port), **keys})
        with pytest.raises(Retry, match=reason):
            await output.write([Delivery(1, logs('{"n":1}'))])
        await output.close()
        await say(source, ["app", 1, {"n": 2}], answers=2)
        assert source.health()["refused_unauthorized"] == 2
    assert kept(sink) == []
    assert "pw" not in caplog.text


async def test_the_handshake_is_as_the_specification_says() -> None:
    async with listening(Kept(), shared_key="key", self_hostname="us") as source:
        reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
        kind, options = msgpack.unpackb(await reader.read(1000))
        assert (kind, options["keepalive"], options["auth"]) == ("HELO", True, b"")
        nonce = options["nonce"]
        digest = hashlib.sha512(b"salt" + b"them" + nonce + b"key").hexdigest()
        writer.write(msgpack.packb(["PING", "them", "salt", digest, "", ""]))
        pong = msgpack.unpackb(await reader.read(1000))
        assert pong == ["PONG", True, "", "us", hashlib.sha512(b"salt" + b"us" + nonce + b"key").hexdigest()]
        writer.close()


async def test_it_listens_on_a_unix_socket_with_the_permissions_asked_for(tmp_path: Path) -> None:
    sink = Kept()
    path = tmp_path / "forward.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with listening(sink, unix_path=str(path), unix_perm="0660"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        sender = FluentSender("app", host=f"unix://{path}")
        assert await asyncio.to_thread(sender.emit, "web", {"n": 1})
        await asyncio.to_thread(sender.close)
        output = ForwardOutput({"unix_path": str(path)})
        await output.write([Delivery(1, logs('{"n":2}'))])
        await output.close()
    assert [record for _, _, record in kept(sink)] == [{"n": 1}, {"n": 2}]
    assert not path.exists()


async def test_tls_with_a_client_certificate_and_one_that_is_replaced(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    (crt, key), (own, own_key) = ca.issue("server"), ca.issue("client")
    keys = {
        "tls": "on", "tls__crt_file": str(crt), "tls__key_file": str(key),
        "tls__verify_client_cert": "on", "tls__ca_file": str(ca.certificate), "tls__client_names": "client",
    }  # fmt: skip
    theirs = {"host": "127.0.0.1", "tls": "on", "tls.ca_file": str(ca.certificate)}
    sink = Kept()
    async with listening(sink, **keys) as source:
        theirs["port"] = str(source.port)
        shown = {"tls.crt_file": str(own), "tls.key_file": str(own_key)}
        await ForwardOutput(theirs | shown).write([Delivery(1, logs('{"n":1}'))])
        with pytest.raises(Retry):
            await ForwardOutput(theirs).write([Delivery(1, logs('{"n":2}'))])
        other, other_key = ca.issue("mallory")
        wrong = {"tls.crt_file": str(other), "tls.key_file": str(other_key)}
        with pytest.raises(Retry):
            await ForwardOutput(theirs | wrong).write([Delivery(1, logs('{"n":3}'))])
        assert source.health()["refused_unauthorized"] == 1
        replaced = Authority(tmp_path, "new-ca").issue("server2")
        key.write_bytes(replaced[1].read_bytes())
        crt.write_bytes(replaced[0].read_bytes())
        renewed = theirs | shown | {"tls.ca_file": str(tmp_path / "new-ca.crt")}
        async with asyncio.timeout(30):
            while len(kept(sink)) < 2:
                with contextlib.suppress(Retry):
                    await ForwardOutput(renewed).write([Delivery(1, logs('{"n":4}'))])
    assert [record["n"] for _, _, record in kept(sink)] == [1, 4]


# --- modes -----------------------------------------------------------------------------------------------------------

ENTRIES = [[TIME, {"n": 1}], [[TIME, {"k": "v"}], {"n": 2}], [1_700_000_000, {"n": 3}], [[TIME, {}], {"n": 4}]]


@pytest.mark.parametrize(
    "message",
    [
        ["app", ENTRIES],
        ["app", ENTRIES, {"size": 4}],
        ["app", ENTRIES, None],
        ["app", packed(*ENTRIES)],
        ["app", packed(*ENTRIES), {"size": 4, "compressed": "text"}],
        ["app", packed(*ENTRIES), {"size": 99}],
        ["app", gzip.compress(packed(*ENTRIES)), {"compressed": "gzip"}],
        ["app", gzip.compress(packed(*ENTRIES[:2])) + gzip.compress(packed(*ENTRIES[2:])), {"compressed": "gzip"}],
        ["app", zstandard.compress(packed(*ENTRIES)), {"compressed": "zstd"}],
    ],
    ids=["Forward", "options", "nil options", "Packed", "text", "wrong size", "gzip", "two gzip members", "zstd"],
)
async def test_every_mode_gives_the_same_records(message: list[Any]) -> None:
    sink = Kept()
    async with listening(sink) as source:
        await say(source, message)
    assert kept(sink) == [("app", ns, {"n": n}) for n, ns in ((1, NS), (2, NS), (3, 1_700_000_000 * 10**9), (4, NS))]
    (chunk,) = sink.chunks
    assert {i: note.metadata for i, note in chunk.notes.items()} == {1: '{"k":"v"}'}


async def test_entries_that_are_all_usual_are_the_same_as_looked_at_one_by_one() -> None:
    usual = [[TIME, {"n": 1, "é": {"a": [1, 2.5, None, {"b": "c"}]}}], [[TIME, {"m": 1}], {"n": -(2**63)}]]
    odd = [*usual, [TIME, {"n": 3, "raw": b"\xff"}]]
    sink = Kept()
    async with listening(sink) as source:
        await say(source, ["usual", packed(*usual)], ["odd", packed(*odd)])
    one, two = sink.chunks
    assert list(one.records()) == list(two.records())[:2]
    assert one.times == two.times[:2] if two.times is not None else False
    assert one.notes == two.notes
    assert list(two.records())[2] == b'{"n":3,"raw":"\\\\xff"}'


async def test_message_mode_and_its_options() -> None:
    sink = Kept()
    async with listening(sink) as source:
        answers = await say(
            source,
            ["a", 1_700_000_000, {"n": 1}],
            ["a", 1_700_000_000.5, {"n": 2}, {}],
            ["a", TIME, {"n": 3}, {"chunk": "id-3", "metadata": {"k": "v"}}],
            None,
            answers=1,
        )
    assert answers == [{"ack": "id-3"}]
    assert kept(sink) == [
        ("a", 1_700_000_000 * 10**9, {"n": 1}),
        ("a", 1_700_000_000 * 10**9 + 500_000_000, {"n": 2}),
        ("a", NS, {"n": 3}),
    ]
    assert sink.chunks[-1].notes[0].metadata == '{"k":"v"}'


@pytest.mark.parametrize(
    ("keys", "tag"),
    [
        ({}, "app"),
        ({"tag": "mine"}, "mine"),
        ({"tag_prefix": "x."}, "x.app"),
        ({"tag": "mine", "tag_prefix": "x."}, "x.app"),
    ],
)
async def test_the_tag_is_the_senders_unless_the_section_says_otherwise(keys: dict[str, str], tag: str) -> None:
    sink = Kept()
    async with listening(sink, **keys) as source:
        await say(source, ["app", 1_700_000_000, {"n": 1}])
    assert [t for t, _, _ in kept(sink)] == [tag]


async def test_a_record_of_values_that_json_does_not_know_is_kept_as_text() -> None:
    record = {"bytes": b"a\xff", 7: "seven", b"k": [b"v", {"x": b"y"}], "time": TIME, "f": float("inf"), "é": "\udcff"}
    data = msgpack.packb(["app", TIME, record], unicode_errors="surrogateescape")
    sink = Kept()
    async with listening(sink) as source:
        await say(source, data)
    assert kept(sink)[0][2] == {
        "bytes": "a\\xff", "7": "seven", "k": ["v", {"x": "y"}], "time": "1700000000.123456789", "f": None,
        "é": "\\xff",
    }  # fmt: skip


async def test_a_time_that_is_none_is_the_arrivals_and_flagged() -> None:
    sink = Kept()
    async with listening(sink) as source:
        await say(source, ["app", [["yesterday", {"n": 1}], [-5, {"n": 2}], [0, {"n": 3}]]])
    (chunk,) = sink.chunks
    assert list(chunk.times or []) == [0, 0, 0]
    assert [chunk.notes[i].flags for i in range(3)] == [("time-from-arrival",)] * 3


# --- acknowledgement -------------------------------------------------------------------------------------------------


async def test_several_messages_are_acknowledged_in_order_when_all_of_each_is_durable() -> None:
    sink = Kept()
    async with listening(sink) as source:
        messages = [["app", packed([TIME, {"n": n}]), {"chunk": f"id-{n}"}] for n in range(5)]
        answers = await say(source, *messages, answers=5)
    assert answers == [{"ack": f"id-{n}"} for n in range(5)]


async def test_a_message_that_comes_again_is_acknowledged_again_and_kept_once(tmp_path: Path) -> None:
    """Its acknowledgement was lost; a journal as in production knows it, also after a restart of the input."""
    message = ["app", packed(*([TIME, {"n": n}] for n in range(3))), {"chunk": "id-1"}]
    with Journal(tmp_path / "journal.db") as journal:
        journal.register("out")
        committer = Committer(journal)
        for _ in range(2):
            async with listening(committer) as source:
                assert await say(source, message, answers=1) == [{"ack": "id-1"}]
                assert await say(source, ["other", *message[1:]], answers=1) == [{"ack": "id-1"}]
        assert source.health()["duplicates"] == 6
        await committer.close()
        records = [r for d in journal.deliveries(0) for r in d.chunk.records()]
    assert records == [b'{"n":0}', b'{"n":1}', b'{"n":2}'] * 2


async def test_equal_messages_without_exact_times_are_several() -> None:
    """Fluent Bit's id is a digest of the content: two equal ones of one second have the same."""
    message = ["app", packed([1_700_000_000, {"n": 1}]), {"chunk": "id-1"}]
    sink = Kept()
    async with listening(sink) as source:
        await say(source, message, message, answers=2)
    assert len(kept(sink)) == 2


async def test_what_cannot_be_stored_is_not_acknowledged() -> None:
    class Failing(Kept):
        async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
            raise Retry("no")

    async with listening(Failing()) as source:
        await say(source, ["app", TIME, {"n": 1}, {"chunk": "x"}], answers=0)
        assert source.health()["errors"] == 1


# --- what is broken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
        msgpack.packb([1, 2, 3]),
        msgpack.packb(["app"]),
        msgpack.packb(["app", 5]),
        msgpack.packb(["app", [], 7]),
        msgpack.packb(["app", packed([TIME, {"n": 1}])[:-1]]),
        msgpack.packb(["app", b"\xc1"]),
        msgpack.packb(["app", b"no gzip", {"compressed": "gzip"}]),
        msgpack.packb(["app", gzip.compress(b"x", mtime=0)[:-3], {"compressed": "gzip"}]),
        msgpack.packb(["app", b"x", {"compressed": "lz4"}]),
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
    ],
)
async def test_a_broken_message_ends_its_connection_is_counted_and_kept_aside(data: bytes) -> None:
    sink = Kept()
    async with listening(sink) as source:
        good = ["app", TIME, {"n": 1}, {"chunk": "x"}]
        await say(source, good, answers=1)
        await say(source, data)
        assert source.health()["broken"] == 1
        assert await say(source, good, answers=1) == [{"ack": "x"}]
        before = ["app", TIME, {"n": 2}]
        await say(source, msgpack.packb(before) + data)
        assert source.health()["broken"] == 2
    assert len(sink.records("rejects")) == 2
    # what came before is kept
    assert [record for _, _, record in kept(sink)] == [{"n": 1}, {"n": 2}]


async def test_entries_that_are_no_records_are_kept_aside_and_the_others_taken() -> None:
    sink = Kept()
    async with listening(sink) as source:
        await say(
            source, ["app", [[TIME, {"n": 1}], 5, [TIME, "text"], [TIME], [TIME, {"n": 2}]], {"chunk": "x"}], answers=1
        )
        assert source.health()["rejected"] == 3
        assert source.health()["records"] == 2
    assert [record for _, _, record in kept(sink)] == [{"n": 1}, {"n": 2}]
    assert sink.records("rejects")[0][0] == b'{"entry":5}'


async def test_metrics_of_fluent_bit_are_acknowledged_and_kept_aside_and_marks_of_groups_are_no_records() -> None:
    begin = msgpack.ExtType(0, struct.pack(">II", 0xFFFFFFFF, 0))
    sink = Kept()
    async with listening(sink) as source:
        await say(source, ["m", b"\x01\x02", {"fluent_signal": 1, "chunk": "x"}], answers=1)
        await say(source, ["app", packed([[begin, {"schema": "otlp"}], {}], [TIME, {"n": 1}])])
        assert source.health()["group_marks"] == 1
    assert "metrics" in sink.records("rejects")[0][1].reason
    assert [record for _, _, record in kept(sink)] == [{"n": 1}]


async def test_a_message_over_the_limit_is_refused_also_when_only_its_entries_are() -> None:
    sink = Kept()
    async with listening(sink, buffer_max_size="10k", buffer_total_size="100k") as source:
        await say(source, ["app", packed([TIME, {"n": "x" * 20_000}]), {"chunk": "x"}])
        bomb = gzip.compress(packed([TIME, {"n": "x" * 200_000}]))
        assert len(bomb) < 10_000
        await say(source, ["app", bomb, {"chunk": "x", "compressed": "gzip"}])
        assert source.health()["refused_large"] == 2
        assert source.health()["held_bytes"] == 0
        assert await say(source, ["app", TIME, {"n": 1}, {"chunk": "x"}], answers=1)
    assert len(kept(sink)) == 1


async def test_who_is_silent_in_the_handshake_is_given_up() -> None:
    async with listening(Kept(), shared_key="k", net__accept_timeout="200ms") as source:
        reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
        async with asyncio.timeout(30):
            await reader.read()
            assert await reader.read() == b""
        writer.close()
        assert source.health()["refused_slow"] == 1


@given(st.lists(st.binary(max_size=40), max_size=4))
@settings(max_examples=50)
def test_no_bytes_make_the_reader_fail_in_another_way(parts: list[bytes]) -> None:
    frames = Frames(1000)
    with contextlib.suppress(Broken):
        for part in parts:
            for found in frames.feed(part):
                read(found, lambda data, _: data)
            if frames.wrong is not None:
                raise frames.wrong


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"security.users": "alice pw"}, "shared_key"),
        ({"security.users": "alice", "shared_key": "k"}, "a user and a password"),
        ({"shared_key": "k", "shared_key_file": "/x"}, "both given"),
        ({"shared_key_file": "/absent"}, "'shared_key_file': /absent: No such file"),
        ({"shared_key_file": "/dev/null"}, "'shared_key_file': /dev/null: it is empty"),
        ({"unix_path": "/nowhere/at/all.sock"}, "does not exist"),
        ({"unix_path": "x.sock", "unix_perm": "9"}, "octal"),
        ({"buffer_max_sise": "1"}, "did you mean 'buffer_max_size'"),
    ],
)
def test_keys_that_cannot_be_are_told(keys: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Forward(keys)
