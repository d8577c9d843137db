"""Input `syslog`: with Python's own SysLogHandler, with rsyslog where it is installed, and with our own output.

rsyslog comes from Debian (.ci/run installs it by name). Where it is not there, SysLogHandler, which nobody of ours
wrote either, is the only foreign client; nothing is skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import logging.handlers
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.inputs.syslog import Syslog
from kubewitness.outputs.syslog import SyslogOutput
from tests.inputs.certificates import Authority
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(90)

RSYSLOGD = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
OLD = b"<34>Oct 11 22:14:15 web su[12]: 'su root' failed"
NEW = b'<165>1 2003-10-11T22:14:15.003Z host.example evntslog 111 ID47 [ex@32473 iut="3"] \xef\xbb\xbfsaid so'


@contextlib.asynccontextmanager
async def listening(sink: Kept, **keys: str) -> AsyncIterator[Syslog]:
    given = {"listen": "127.0.0.1", "port": "0", **{k.replace("__", "."): v for k, v in keys.items()}}
    source = Syslog(given)
    async with running(source, sink) as (_, task):
        await until(lambda: task.done() or source.health()["listening"])
        if task.done():
            task.result()
        yield source


async def say(source: Syslog, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
    writer.write(data)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


def kept(sink: Kept) -> list[Any]:
    return [json.loads(raw) for raw, _ in sink.records("logs")]


# --- foreign clients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["udp", "tcp", "unix_udp", "unix_tcp"])
async def test_pythons_own_handler_is_understood_in_every_mode(mode: str, tmp_path: Path) -> None:
    sink = Kept()
    path = str(tmp_path / "log")
    keys = {"path": path} if mode.startswith("unix") else {}
    parser = {"parser": "syslog-rfc3164-local"}
    async with listening(sink, mode=mode, raw_message_key="raw", **keys, **parser) as source:
        kind = socket.SOCK_DGRAM if mode.endswith("udp") else socket.SOCK_STREAM
        address = path if keys else ("127.0.0.1", source.port)

        def log() -> None:
            handler = logging.handlers.SysLogHandler(address, logging.handlers.SysLogHandler.LOG_LOCAL0, kind)
            stamp = "Nov 22 21:25:09"
            handler.setFormatter(logging.Formatter(f"{stamp} %(name)s[%(process)d]: %(message)s"))
            for n in range(3):
                handler.emit(logging.LogRecord("shop", logging.ERROR, "f", 1, f"n={n} é", None, None))
            handler.close()

        await asyncio.to_thread(log)
        await until(lambda: len(kept(sink)) == 3)
        assert source.health()["unparsed"] == 0
    records = kept(sink)
    assert [(r["pri"], r["ident"], r["message"]) for r in records] == [("131", "shop", f"n={n} é") for n in range(3)]
    assert records[0]["raw"].startswith("<131>Nov 22 21:25:09 shop[")
    assert not Path(path).exists()


RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/in" CreatePath="off")
{action}
"""
ACTIONS = {
    "udp": 'action(type="omfwd" Target="127.0.0.1" Port="{port}" Protocol="udp")',
    "tcp": 'action(type="omfwd" Target="127.0.0.1" Port="{port}" Protocol="tcp")',
    "tcp, RFC 5424": 'action(type="omfwd" Target="127.0.0.1" Port="{port}" Protocol="tcp" '
    'template="RSYSLOG_SyslogProtocol23Format")',
    "tcp, octets counted": 'action(type="omfwd" Target="127.0.0.1" Port="{port}" Protocol="tcp" '
    'TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")',
}


@contextlib.contextmanager
def rsyslog(folder: Path, action: str) -> Any:
    """The real one, sending on what comes to its socket."""
    assert RSYSLOGD is not None
    (folder / "rsyslog.conf").write_text(RSYSLOG.format(folder=folder, action=action))
    command = [RSYSLOGD, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (folder / "in").exists():
            assert process.poll() is None, "rsyslogd ended"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("how", sorted(ACTIONS) if RSYSLOGD else [])
async def test_what_rsyslog_sends_on_is_understood(how: str, tmp_path: Path) -> None:
    sink = Kept()
    new = "5424" in how or "octets" in how
    mode, parser = how[:3], "syslog-rfc5424" if new else "syslog-rfc3164"
    async with listening(sink, mode=mode, parser=parser) as source:
        with rsyslog(tmp_path, ACTIONS[how].format(port=source.port)):

            def log() -> None:
                handler = logging.handlers.SysLogHandler(str(tmp_path / "in"))
                handler.setFormatter(logging.Formatter("shop[7]: %(message)s"))
                for n in range(20):
                    handler.emit(logging.LogRecord("shop", logging.INFO, "f", 1, f"n={n}", None, None))
                handler.close()

            await asyncio.to_thread(log)
            await until(lambda: len(kept(sink)) >= 20)
        assert source.health()["unparsed"] == 0
    records = [r for r in kept(sink) if r["ident"] == "shop"]
    assert [r["message"].strip() for r in records] == [f"n={n}" for n in range(20)]
    assert {(r["pid"], r["host"]) for r in records} == {("7", socket.gethostname().partition(".")[0])}
    assert all(abs((sink.chunks[0].times or [0])[0] / 1e9 - time.time()) < 3600 for _ in records)


@pytest.mark.parametrize("form", ["rfc5424", "rfc3164"])
async def test_our_own_output_is_understood_over_tls(form: str, tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("server")
    sink = Kept()
    keys = {"tls": "on", "tls__crt_file": str(crt), "tls__key_file": str(key)}
    async with listening(sink, mode="tcp", parser=f"syslog-{form}", **keys) as source:
        output = SyslogOutput(
            {
                "host": "127.0.0.1", "port": str(source.port), "mode": "tls", "tls.ca_file": str(ca.certificate),
                "syslog_format": form, "syslog_message_key": "m", "syslog_hostname_key": "h", "syslog_appname_key": "a",
                "syslog_procid_key": "p",
            }
        )  # fmt: skip
        await output.write([Delivery(1, logs('{"m":"n=1 é","h":"web","a":"shop","p":"7"}'))])
        await output.close()
        await until(lambda: kept(sink))
    (record,) = kept(sink)
    assert (record["host"], record["ident"], record["pid"]) == ("web", "shop", "7")
    assert record["message"].lstrip("\ufeff") == "n=1 é"


# --- messages --------------------------------------------------------------------------------------------------------


async def test_both_forms_are_parsed_with_their_times() -> None:
    sink = Kept()
    async with listening(sink, mode="tcp", parser="syslog-rfc5424", source_address_key="from") as source:
        await say(source, NEW + b"\n")
    record = kept(sink)[0]
    assert record.pop("from").startswith("tcp://127.0.0.1:")
    assert record == {
        "pri": "165", "time": "2003-10-11T22:14:15.003Z", "host": "host.example", "ident": "evntslog", "pid": "111",
        "msgid": "ID47", "extradata": '[ex@32473 iut="3"]', "message": "\ufeffsaid so",
    }  # fmt: skip
    assert list(sink.chunks[0].times or []) == [1_065_910_455_003_000_000]
    sink = Kept()
    async with listening(sink, mode="tcp") as source:
        await say(source, OLD)
    assert kept(sink) == [
        {
            "pri": "34",
            "time": "Oct 11 22:14:15",
            "host": "web",
            "ident": "su",
            "pid": "12",
            "message": "'su root' failed",
        }
    ]


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (OLD + b"\n" + OLD + b"\r\n", "newline"),
        (OLD + b"\0" + OLD, "newline"),
        (b"%d %b%d %b" % (len(OLD), OLD, len(OLD), OLD), "octet_counting"),
        (b"%d %b\n%d %b\n" % (len(OLD), OLD, len(OLD), OLD), "octet_counting"),
        (b"%d %b%d %b" % (len(OLD), OLD, len(OLD), OLD), "newline"),
    ],
    ids=["lines", "zero bytes", "counted", "counted with newlines", "counted, not told so"],
)
async def test_every_framing_gives_the_same_messages(data: bytes, form: str) -> None:
    sink = Kept()
    async with listening(sink, mode="tcp", format=form) as source:
        await say(source, data)
    assert [record["message"] for record in kept(sink)] == ["'su root' failed"] * 2


async def test_a_counted_message_may_have_newlines_in_it() -> None:
    sink = Kept()
    message = OLD + b"\n\tat line 7"
    async with listening(sink, mode="tcp", format="octet_counting", raw_message_key="raw") as source:
        await say(source, b"%d %b" % (len(message), message))
    assert kept(sink)[0]["raw"] == message.decode()


async def test_what_the_parser_does_not_fit_is_kept_as_it_came_and_counted() -> None:
    sink = Kept()
    async with listening(sink, mode="tcp") as source:
        await say(source, b"no syslog at all\n" + OLD + b"\n<13>\xff\n")
        assert source.health()["unparsed"] == 2
        assert source.health()["records"] == 3
    assert [r.get("log") for r in kept(sink)] == ["no syslog at all", None, "<13>\\xff"]


async def test_a_count_that_is_none_ends_the_connection_and_is_kept_aside() -> None:
    sink = Kept()
    async with listening(sink, mode="tcp", format="octet_counting") as source:
        await say(source, b"%d %bx y" % (len(OLD), OLD))
        assert source.health()["broken"] == 1
    assert len(kept(sink)) + len(sink.records("rejects")) >= 1


async def test_a_message_longer_than_the_limit_is_cut_kept_and_flagged() -> None:
    sink = Kept()
    async with listening(sink, mode="tcp", buffer_max_size="100", raw_message_key="raw") as source:
        await say(source, OLD + b"x" * 500 + b"\n" + OLD + b"\n")
        assert source.health()["cut"] == 6
    assert "".join(r["raw"] for r in kept(sink)) == (OLD + b"x" * 500 + OLD).decode()


async def test_the_sockets_permissions_and_the_kernels_buffer_are_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with listening(Kept(), path=str(path), unix_perm="0622", receive_buffer_size="64k") as source:
        assert stat.S_IMODE(path.stat().st_mode) == 0o622
        assert source.health()["receive_buffer_bytes"] in (64_000, 128_000)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "set 'path'"),
        ({"mode": "tls"}, "'mode' cannot be"),
        ({"mode": "udp", "tls": "on"}, "needs mode: tcp"),
        ({"mode": "udp", "parser": "syslog-rfc5425"}, "did you mean 'syslog-rfc5424'"),
        ({"path": "/nowhere/at/all"}, "does not exist"),
        ({"mode": "tcp", "format": "counting"}, "'format' cannot be"),
    ],
)
def test_keys_that_cannot_be_are_told(keys: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Syslog(keys)
