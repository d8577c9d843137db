"""Input `http`: bodies, tags, answers; what it shares with other inputs is in test_network_contract."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import ssl
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.contracts import Batch, Taken
from kubewitness.errors import Malformed, UsageError
from kubewitness.formats.record_times import times_ns
from kubewitness.inputs.http import Http
from kubewitness.inputs.http_bodies import records_of
from kubewitness.inputs.made_records import Maker
from kubewitness.journal import Journal
from kubewitness.outputs.lines import json_lines
from tests.inputs.certificates import Authority
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept

pytestmark = pytest.mark.timeout(90)

JSON = "application/json"


@contextlib.asynccontextmanager
async def listening(sink: Kept, **keys: str) -> AsyncIterator[Http]:
    source = Http({"listen": "127.0.0.1", "port": "0", **{k.replace("__", "."): v for k, v in keys.items()}})
    async with running(source, sink) as (_, task):
        await until(lambda: task.done() or source.port)
        if task.done():
            task.result()
        yield source


async def post(
    source: Http, body: bytes, path: str = "/app", *, kind: str = JSON, **headers: str
) -> tuple[int, Any, str]:
    """(status, headers, text)"""
    named = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://127.0.0.1:{source.port}{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=named) as answer:
        return answer.status, answer.headers, await answer.text()


def kept(sink: Kept) -> list[Any]:
    return [json.loads(raw) for raw, _ in sink.records("logs")]


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'[{"n":1},{"n":2,"b":"x"}]',
        b'{"n":1}{"n":2,"b":"x"}',
        b'{"n":1}\n{"n":2,"b":"x"}\n',
        b'\r\n{"n":1}\r\n\r\n{"n":2,"b":"x"}',
        b'[{"n":1}] [{"n":2,"b":"x"}]',
        b'{"n":1} [\n {"n":2,\n "b":"x"}]',
        b'{\n "n": 1\n}\n{\n "n": 2, "b": "x"\n}',
    ],
    ids=["array", "concatenated", "lines", "lines with CR", "arrays", "mixed", "pretty"],
)
def test_every_form_of_json_gives_its_objects(body: bytes) -> None:
    records = records_of(body, JSON)
    assert [json.loads(r) for r in records] == [{"n": 1}, {"n": 2, "b": "x"}]
    assert not any(b"\n" in r for r in records)


def test_an_objects_bytes_are_kept_as_sent() -> None:
    body = b'{"z": 1.0, "a":"\\u00e9", "big": 123456789012345678901234567890, "z2":[ ]}'
    assert records_of(body, JSON) == [body]
    assert records_of(b"[" + body + b"," + body + b"]", JSON) == [body, body]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "nothing in it"),
        (b" \n", "nothing in it"),
        (b"{", "value 1 is no JSON"),
        (b'{"n":1}\n{"n":', "value 2 is no JSON"),
        (b'{"n":1}\n[2]', "value 2 is no JSON object"),
        (b"[1]", "no JSON object"),
        (b"3", "value 1 is no JSON object"),
        (b'{"n":NaN}', "no JSON object"),
        (b'{"n":"\xff"}', "no UTF-8 at byte 6"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"n":1},{"n":2}', "value 1 is no JSON"),
    ],
)
def test_what_is_no_json_object_is_told_with_its_place(body: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        records_of(body, JSON)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.text(max_size=2), max_size=2)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=2), min_size=1, max_size=3)


@settings(max_examples=50)
@given(OBJECTS, st.sampled_from(["", "\n", " \r\n"]), st.sampled_from([None, 1]), st.booleans())
def test_whatever_objects_are_sent_these_are_the_records(
    objects: list[dict[str, Any]], between: str, indent: int | None, ascii_only: bool
) -> None:
    try:
        texts = [json.dumps(o, indent=indent, ensure_ascii=ascii_only) for o in objects]
        bodies = [between.join(texts).encode(), ("[" + (between + ",").join(texts) + "]").encode()]
    except UnicodeEncodeError:
        return  # half of a surrogate pair is nobody's UTF-8
    for body in bodies:
        assert [json.loads(r) for r in records_of(body, JSON)] == objects


async def test_a_form_is_one_record_of_its_fields() -> None:
    sink = Kept()
    async with listening(sink) as source:
        form = "application/x-www-form-urlencoded"
        assert (await post(source, b"a=1&b=x+y%26z&c=&no&a=2&%C3%A9=%C3%BC\n", kind=form))[0] == 201
        assert (await post(source, b"", kind=form))[0] == 400
    assert kept(sink) == [{"a": ["1", "2"], "b": "x y&z", "c": "", "no": "", "é": "ü"}]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress), ("identity", bytes)],
)
async def test_compressed_bodies_are_taken_and_broken_ones_refused(encoding: str, pack: Any) -> None:
    sink = Kept()
    body = json.dumps({"n": 1, "pad": "x" * 3000}).encode()
    async with listening(sink, buffer_max_size="8k") as source:
        assert (await post(source, pack(body), Content_Encoding=encoding))[0] == 201
        assert (await post(source, pack(b'{"n":"' + b"x" * 10_000 + b'"}'), Content_Encoding=encoding))[0] == 413
        status, _, text = await post(source, pack(body)[:-5], Content_Encoding=encoding)
        assert (status, text.startswith("error: ")) == (400, True)
        assert source.health()["in_flight_bytes"] == 0
        if encoding in ("gzip", "zstd"):
            assert (await post(source, pack(body) + pack(b"\n" + body), Content_Encoding=encoding))[0] == 201
    assert [record["n"] for record in kept(sink)] == ([1, 1, 1] if encoding in ("gzip", "zstd") else [1])


async def test_an_unknown_encoding_or_type_is_refused_and_says_what_is_taken() -> None:
    sink = Kept()
    async with listening(sink) as source:
        status, _, text = await post(source, b"{}", Content_Encoding="snappy")
        assert (status, "zstd" in text) == (415, True)
        for kind in ("text/plain", ""):
            status, _, text = await post(source, b"{}", kind=kind)
            assert (status, "application/json" in text) == (400, True)
        for kind in ("application/json; charset=utf-8", "Application/JSON", "application/x-ndjson"):
            assert (await post(source, b'{"n":1}', kind=kind))[0] == 201
        assert source.health()["refused_broken"] == 3
    assert len(kept(sink)) == 3


async def test_a_body_with_one_bad_value_is_refused_whole_so_that_its_sender_can_mend_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Kept()
    with caplog.at_level(logging.WARNING):
        async with listening(sink) as source:
            for _ in range(5):
                status, _, text = await post(source, b'{"n":1}\n{"n":}\n')
                assert (status, "value 2" in text) == (400, True)
    assert (kept(sink), sink.records("rejects")) == ([], [])
    assert len([r for r in caplog.records if "is refused" in r.message]) == 1


# --- tags and times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("/app.log", "app.log"),
        ("/a/b-c", "a_b_c"),
        ("/x?token=1", "x"),
        ("/%C3%A9%20y", "___y"),
        ("/", "http.0"),
        ("", "http.0"),
    ],
)
async def test_the_path_is_the_tag(path: str, tag: str) -> None:
    sink = Kept()
    async with listening(sink) as source:
        assert (await post(source, b'{"n":1}', path))[0] == 201
    assert [chunk.tag for chunk in sink.chunks] == [tag]


async def test_a_records_own_tag_wins_over_the_path_and_the_path_over_the_sections() -> None:
    sink = Kept()
    async with listening(sink, tag="mine", tag_key="$meta['tag']") as source:
        body = b'[{"n":1,"meta":{"tag":"shop/web"}},{"n":2},{"n":3,"meta":{"tag":"shop/web"}},{"n":4,"meta":{"tag":5}}]'
        await post(source, body, "/path")
        await post(source, b'{"n":5}', "/")
    found = [(chunk.tag, [json.loads(r)["n"] for r in chunk.records()]) for chunk in sink.chunks]
    assert found == [("shop_web", [1, 3]), ("path", [2, 4]), ("mine", [5])]


async def test_records_have_the_time_of_their_arrival_and_are_shown_as_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    sink = Kept()
    async with listening(sink) as source:
        await post(source, b'[{"n":1, "time":"2020-01-01T00:00:00Z"},\n{"n":2}]')
    (chunk,) = sink.chunks
    assert list(times_ns(chunk)) == [1_700_000_000_123_456_789] * 2
    assert json_lines(chunk) == b'{"n":1, "time":"2020-01-01T00:00:00Z"}\n{"n":2}\n'
    assert len({chunk.key(0), chunk.key(1)}) == 2


async def test_equal_records_are_several() -> None:
    sink = Kept()
    async with listening(sink) as source:
        for _ in range(3):
            await post(source, b'[{"n":1},{"n":1}]')
    assert len(kept(sink)) == 6


async def test_the_senders_address_is_put_into_records_and_cannot_be_forged_there() -> None:
    sink = Kept()
    async with listening(sink, add_remote_addr="on", remote_addr_key="from") as source:
        await post(source, b'[{"n":1},{ },{"n":2,"from":"mallory"},{"n":3,"fr\\u006fm":"mallory"}]')
        await post(source, b'{"n":4}', X_Forwarded_For="10.0.0.7, 10.1.1.1")
    assert [record["from"] for record in kept(sink)] == ["127.0.0.1"] * 4 + ["10.0.0.7"]
    assert [record.get("n") for record in kept(sink)] == [1, None, 2, 3, 4]


# --- answers ---------------------------------------------------------------------------------------------------------


async def test_the_answer_is_as_the_section_says() -> None:
    keys = {"successful_response_code": "204", "success_header": "X-Shop toys and more\nX-Other 1"}
    async with listening(Kept(), enable_health_endpoint="on", **keys) as source:
        status, headers, _ = await post(source, b"{}")
        assert (status, headers["X-Shop"], headers["X-Other"]) == (204, "toys and more", "1")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{source.port}/health") as answer:
                assert answer.status == 200
            async with session.get(f"http://127.0.0.1:{source.port}/app") as answer:
                assert answer.status == 405


async def test_several_requests_go_over_one_connection_unless_keepalive_is_off() -> None:
    for keys, closed in (({}, False), ({"net.keepalive": "off"}, True)):
        sink = Kept()
        async with listening(sink, **keys) as source:
            reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
            request = b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
            writer.write((request + b'{"n":1}') * (1 if closed else 3))
            for _ in range(1 if closed else 3):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
            if closed:
                assert await reader.read() == b""
            writer.close()
        assert len(kept(sink)) == (1 if closed else 3)


async def test_who_asks_first_is_told_to_go_on_or_that_the_body_is_too_large() -> None:
    sink = Kept()
    async with listening(sink, buffer_max_size="1k") as source:
        head = b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
        writer.write(head + b"Content-Length: 7\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"n":1}')
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
        writer.write(head + b"Content-Length: 5000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413")
        writer.write(b" " * 5000)  # and sends it all the same
        writer.close()
        assert source.health()["requests"] == 2
    assert len(kept(sink)) == 1


async def test_a_bearer_token_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    sink = Kept()
    async with listening(sink, token_file=str(tmp_path / "token")) as source:
        assert (await post(source, b"{}"))[0] == 401
        assert (await post(source, b'{"n":1}', Authorization="Bearer secret"))[0] == 201
    assert len(kept(sink)) == 1


async def test_tls_asks_for_client_certificates_only_when_told_to(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    (crt, key), known = ca.issue("server"), ca.issue("client")
    keys = {"tls": "on", "tls__crt_file": str(crt), "tls__key_file": str(key), "tls__ca_file": str(ca.certificate)}
    sink = Kept()
    for more, strangers in (({}, True), ({"tls__verify_client_cert": "on"}, False)):
        async with listening(sink, **keys, **more) as source:
            url = f"https://127.0.0.1:{source.port}/app"
            assert await status_of(url, ca.client_context(known)) == 201
            if strangers:
                assert await status_of(url, ca.client_context()) == 201
            else:
                with pytest.raises(aiohttp.ClientError):
                    await status_of(url, ca.client_context())


async def status_of(url: str, context: ssl.SSLContext) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=b"{}", headers={"Content-Type": JSON}, ssl=context) as answer,
    ):
        return answer.status


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"successful_response_code": "202"}, "200, 201 or 204"),
        ({"success_header": "X-Shop"}, "a name and a value"),
        ({"oauth2.validate": "on"}, "token_file"),
        ({"tls": "on"}, "tls.crt_file"),
        ({"tls": "on", "tls.crt_file": "x", "tls.verify_client_cert": "on"}, "tls.ca_file"),
        ({"tls": "on", "tls.crt_file": "x", "tls.client_names": "a"}, "tls.verify_client_cert"),
        ({"port": "99999"}, "ends at 65535"),
        ({"tag_key": "$a["}, "record accessor"),
        ({"buffer_max_sise": "1"}, "did you mean 'buffer_max_size'"),
    ],
)
def test_keys_that_cannot_be_are_told(keys: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Http(keys)


def test_the_longer_names_of_fluent_bits_server_keys_mean_the_same() -> None:
    longer = Http({"http_server.buffer_max_size": "9k", "http_server.max_connections": "3"}).health()
    assert (longer["body_limit_bytes"], longer["connections_limit"]) == (9000, 3)


def test_the_journal_need_not_remember_records_that_cannot_come_again(tmp_path: Path) -> None:
    """What it remembers is for those that can: thousands a second of these would drive them out."""
    maker = Maker("http", "default", b"", keyed=True)
    with Journal(tmp_path / "journal.db") as journal:
        journal.register("out")
        (chunk,) = maker.chunks("app", [b'{"n":1}', b'{"n":1}'])
        assert journal.append([Batch([chunk]), Batch([chunk.select([1])])]) == [Taken(2, 0), Taken(1, 0)]
        (named,) = maker.chunks("app", [b'{"n":1}'], identity=b"message1")
        assert journal.append([Batch([named]), Batch([named])]) == [Taken(1, 0), Taken(0, 1)]
