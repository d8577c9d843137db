"""The sender that outputs over HTTP share, and the formats of output `http`."""

from __future__ import annotations

import logging
from array import array
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Refused, Retry, UsageError
from kubewitness.outputs.http import HttpOutput
from kubewitness.outputs.http_sender import retry_after
from kubewitness.record import Chunk
from tests.inputs.certificates import Authority
from tests.journal.helpers import chunk, numbered
from tests.outputs.far_side import FarSide

pytestmark = pytest.mark.timeout(30)


class Plain(FarSide):
    """Keeps bodies as they come, and answers as it is told."""

    def __init__(self, *answers: web.Response) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.answers = list(answers)

    def take(self, request: web.Request, body: bytes) -> web.Response:
        self.bodies.append(body)
        return self.answers.pop(0) if self.answers else web.Response()


async def send(side: Plain, *chunks: Chunk, **keys: str) -> None:
    output = HttpOutput({"host": "127.0.0.1", "port": str(side.port), **keys})
    try:
        await output.write([Delivery(i + 1, c) for i, c in enumerate(chunks)])
    finally:
        await output.close()


def tagged(tag: str, *numbers: int) -> Chunk:
    made = numbered(*numbers)
    made.tag = tag
    return made


@pytest.mark.parametrize(
    ("form", "date"),
    [("epoch", 1700000000), ("epoch_ms", 1700000000123), ("iso8601_ns", "2023-11-14T22:13:20.123456789Z")],
)
async def test_the_time_has_the_form_asked_for(form: str, date: int | str) -> None:
    made = tagged("a", 1)
    made.times = array("q", [1_700_000_000_123_456_789])
    async with Plain() as side:
        await send(side, made, json_date_format=form, json_date_key="at", format="json")
        assert msgspec.json.decode(side.bodies[0]) == [{"at": date, "n": 1}]


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "kind", "body"),
    [
        ("json", "application/json", b'[{"n":1},{"n":2},{"n":3}]'),
        ("json_lines", "application/x-ndjson", b'{"n":1}\n{"n":2}\n{"n":3}\n'),
        ("json_stream", "application/json", b'{"n":1}{"n":2}{"n":3}'),
    ],
)
async def test_the_records_bytes_are_passed_through_in_each_format(form: str, kind: str, body: bytes) -> None:
    async with Plain() as side:
        await send(side, numbered(1, 2), numbered(3), format=form, json_date_key="false", uri="in?x=1")
        assert side.bodies == [body]
        assert (side.requests[0].content_type, side.requests[0].raw_path) == (kind, "/in?x=1")


async def test_msgpack_is_events_of_the_forward_protocol_with_whole_nanoseconds() -> None:
    async with Plain() as side:
        await send(side, chunk([b'{"n":1,"big":99999999999999999999}']), format="msgpack")
        event = msgspec.msgpack.decode(side.bodies[0])
        ((stamp, meta), record) = event
        assert (stamp.code, stamp.data) == (0, (1_700_000_000).to_bytes(4, "big") + bytes(4))
        assert (meta, record) == ({}, {"n": 1, "big": 1e20})


async def test_half_a_surrogate_is_a_question_mark_where_records_are_encoded_again() -> None:
    async with Plain() as side:
        await send(side, chunk([b'{"a":"x\\ud800y","b":1e400}']), format="msgpack")
        assert msgspec.msgpack.decode(side.bodies[0])[1] == {"a": "x?y", "b": float("inf")}


async def test_the_tag_goes_into_a_header_and_each_tag_has_its_own_requests() -> None:
    async with Plain() as side:
        await send(side, tagged("a", 1), tagged("a", 2), tagged("b", 3), header_tag="X-Tag", json_date_key="false")
        assert [(r.headers["X-Tag"], b) for r, b in zip(side.requests, side.bodies, strict=True)] == [
            ("a", b'[{"n":1},{"n":2}]'),
            ("b", b'[{"n":3}]'),
        ]


async def test_a_key_of_each_record_may_be_its_body_and_another_its_headers() -> None:
    record = b'{"payload":"hello","h":{"X-One":"1","n":2}}'
    async with Plain() as side:
        with pytest.raises(Partly, match="has no") as told:
            await send(side, chunk([record, b'{"other":1}']), body_key="$payload", headers_key="$h")
        assert (side.bodies, side.requests[0].headers["X-One"]) == ([b"hello"], "1")
        assert [list(r.delivery.chunk.records()) for r in told.value.refused] == [[b'{"other":1}']]


async def test_headers_users_and_method_are_as_the_keys_say() -> None:
    async with Plain() as side:
        keys = {
            "header": "X-Shop toys and more\nX-Two 2",
            "http_user": "alice",
            "http_passwd": "pa ss",
            "http_method": "PUT",
        }
        await send(side, numbered(1), **keys)
        headers = side.requests[0].headers
        assert (headers["X-Shop"], headers["X-Two"], side.requests[0].method) == ("toys and more", "2", "PUT")
        assert headers["Authorization"] == "Basic YWxpY2U6cGEgc3M="


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (413, Refused),
        (422, Refused),
        (401, Retry),
        (404, Retry),
        (408, Retry),
        (429, Retry),
        (503, Retry),
        (302, Retry),
    ],
)
async def test_what_an_answer_means(status: int, error: type[Exception]) -> None:
    async with Plain(web.Response(status=status, text="because\n of this")) as side:
        with pytest.raises(error, match=f"answered {status}: because of this"):
            await send(side, numbered(1))


async def test_what_the_far_side_says_is_not_told_if_it_shall_not_be_and_never_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kubewitness")
    token = tmp_path / "token"
    token.write_text("s3cret-token\n")
    async with Plain(
        web.Response(status=400, text="bad: s3cret-token"), web.Response(status=400, text="private")
    ) as side:
        with pytest.raises(Refused, match=r"bad: \*\*\*"):
            await send(side, numbered(1), bearer_token_file=str(token))
        assert side.requests[0].headers["Authorization"] == "Bearer s3cret-token"
        with pytest.raises(Refused, match=r"answered 400$"):
            await send(side, numbered(1), log_response_payload="off")
    assert "s3cret" not in caplog.text


def test_retry_after_is_seconds_or_a_date_and_nobody_waits_for_ever() -> None:
    assert retry_after({"Retry-After": "7"}) == 7.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (retry_after({"Retry-After": soon}) or 0) <= 30
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None
    assert retry_after({"Retry-After": "999999999"}) == 3600.0


async def test_what_a_429_asks_to_wait_is_told_to_the_engine() -> None:
    async with Plain(web.Response(status=429, headers={"Retry-After": "17"})) as side:
        with pytest.raises(Retry) as told:
            await send(side, numbered(1))
        assert told.value.after == 17.0


async def test_a_later_group_that_fails_does_not_bring_an_earlier_one_again() -> None:
    async with Plain(web.Response(), web.Response(status=503, headers={"Retry-After": "3"})) as side:
        with pytest.raises(Partly) as told:
            await send(side, tagged("a", 1), tagged("b", 2), tagged("c", 3), header_tag="X-Tag")
        assert ([d.chunk.tag for d in told.value.left], told.value.after) == (["b", "c"], 3.0)


# --- the connection --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


async def test_certificates_are_checked_with_the_name_and_shown_and_read_again_when_they_change(
    authority: Authority, tmp_path: Path
) -> None:
    import ssl

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*map(str, authority.issue("shop.example")))
    server.load_verify_locations(str(authority.certificate))
    server.verify_mode = ssl.CERT_REQUIRED
    crt, key = authority.issue("alice")
    side = Plain()
    await side.start(server)
    try:
        trusting = {"tls": "on", "tls.ca_file": str(authority.certificate)}
        shown = {"tls.crt_file": str(tmp_path / "c.crt"), "tls.key_file": str(tmp_path / "c.key")}
        other = Authority(tmp_path, "other")
        wrong = other.issue("mallory")
        for source, target in zip(wrong, shown.values(), strict=True):
            Path(target).write_bytes(source.read_bytes())
        output = HttpOutput({"host": "127.0.0.1", "port": str(side.port), **trusting, **shown, "net.keepalive": "off"})
        with pytest.raises(Retry):
            await output.write([Delivery(1, numbered(1))])
        for source, target in zip((crt, key), shown.values(), strict=True):
            Path(target).write_bytes(source.read_bytes())
        await output.write([Delivery(1, numbered(1))])
        await output.close()
        await send(side, numbered(2), **trusting, **shown, **{"tls.vhost": "shop.example"})
        with pytest.raises(Retry, match="certificate"):
            await send(side, numbered(3), **trusting, **shown, **{"tls.vhost": "bank.example"})
        with pytest.raises(Retry, match="certificate"):
            await send(side, numbered(3), tls="on", **shown)
        await send(side, numbered(4), tls="on", **shown, **{"tls.verify": "off"})
        assert len(side.bodies) == 3
    finally:
        await side.stop()


async def test_a_proxy_is_asked_for_the_far_side(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Plain() as proxy:
        output = HttpOutput({"host": "far.example", "port": "8080", "proxy": f"http://127.0.0.1:{proxy.port}"})
        await output.write([Delivery(1, numbered(1))])
        await output.close()
        assert str(proxy.requests[0].url) == "http://far.example:8080/"
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        await send(proxy, numbered(1), **{"net.proxy_env_ignore": "on"})
        output = HttpOutput({"host": "far.example"})
        await output.write([Delivery(1, numbered(1))])
        await output.close()
        assert [str(r.url) for r in proxy.requests[1:]][1] == "http://far.example/"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"format": "gelf"}, "'format' cannot be 'gelf'"),
        ({"port": "0"}, "'port' is 0"),
        ({"header": "X-Only"}, "'header' takes a name and a value"),
        ({"http_passwd": "a", "http_passwd_file": "b"}, "are both given"),
        ({"bearer_token_file": "/absent"}, "'bearer_token_file': /absent: No such file"),
        ({"tls": "on", "tls.ca_file": "/absent"}, "tls.ca_file"),
        ({"proxy": "socks5://x"}, "'proxy' is not an address"),
        ({"urii": "/"}, "unknown key 'urii'; did you mean 'uri'"),
    ],
)
def test_keys_are_checked_before_anything_runs(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        HttpOutput(keys)
