"""Output `syslog`: messages as the RFCs read them, over each transport. The far side is no real server."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.syslog import KEYS, SyslogOutput
from kubewitness.outputs.syslog_lines import SyslogLines
from tests.inputs.certificates import Authority
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)

#: RFC 5424, section 6: HEADER SP STRUCTURED-DATA [SP MSG]
RFC5424 = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) "
    r"(?P<proc>[!-~]{1,128}) (?P<id>[!-~]{1,32}) "
    r'(?P<sd>-|(?:\[[^ =\]"]{1,32}(?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])+)(?: \ufeff(?P<text>.*))?'
)
NS = 1_700_000_000_123_456_789


def message(record: str, **keys: str) -> str:
    return SyslogLines("syslog", Options("syslog", keys, KEYS)).of(record.encode(), NS).decode()


def parsed(record: str, **keys: str) -> dict[str, str]:
    found = RFC5424.fullmatch(message(record, **keys))
    assert found is not None, message(record, **keys)
    return found.groupdict()


def test_without_keys_the_record_is_the_message() -> None:
    assert parsed('{"log":"é"}') == {
        "pri": "14", "time": "2023-11-14T22:13:20.123456Z", "host": "-", "app": "-", "proc": "-", "id": "-", "sd": "-",
        "text": '{"log":"é"}',
    }  # fmt: skip


def test_fields_come_from_keys_and_else_from_presets_and_fit_the_rfc() -> None:
    record = '{"m":"two\\nlines\\n","sev":"WARN","fac":4,"h":"node 1","k":{"app":"%s"},"p":7}' % ("x" * 60)
    found = parsed(
        record,
        syslog_message_key="m", syslog_severity_key="sev", syslog_facility_key="fac", syslog_hostname_key="h",
        syslog_appname_key="$k['app']", syslog_procid_key="p", syslog_msgid_key="absent", syslog_msgid_preset="audit",
    )  # fmt: skip
    assert found == {
        "pri": str(4 * 8 + 4), "time": "2023-11-14T22:13:20.123456Z", "host": "node_1", "app": "x" * 48, "proc": "7",
        "id": "audit", "sd": "-", "text": "two#012lines",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "priority"), [("7", 15), ('"3"', 11), ("9", 14), ('"loud"', 14), ("true", 9), ("null", 14)]
)
def test_a_severity_that_is_none_is_the_preset(severity: str, priority: int) -> None:
    assert parsed(f'{{"s":{severity}}}', syslog_severity_key="s")["pri"] == str(priority)


def test_a_facility_that_is_none_is_the_preset() -> None:
    assert parsed("{}", syslog_facility_preset="16")["pri"] == str(16 * 8 + 6)
    keys = {"syslog_facility_preset": "16", "syslog_facility_key": "f"}
    assert parsed('{"f":99}', **keys)["pri"] == str(16 * 8 + 6)
    assert parsed('{"f":2}', **keys)["pri"] == str(2 * 8 + 6)


def test_structured_data_is_escaped_and_its_names_are_names() -> None:
    record = '{"a":{"x":"q\\"b\\\\c]","bad name=":1},"b":{},"%s":{"k":"v"},"no":1}' % ("n" * 40)
    found = parsed(record, syslog_sd_key=f"a\nb\n{'n' * 40}\nno\nabsent", syslog_message_key="no")
    assert found["sd"] == '[a x="q\\"b\\\\c\\]" bad_name_="1"][b][' + "n" * 32 + ' k="v"]'
    assert f"[{'n' * 40} " in message(record, syslog_sd_key="n" * 40, allow_longer_sd_id="on")


def test_the_old_form_has_local_time_and_a_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    keys = {"syslog_format": "rfc3164", "syslog_message_key": "m", "syslog_hostname_preset": "n1"}
    assert message('{"m":"hi"}', **keys) == "<14>Nov 14 22:13:20 n1 hi"
    named = {**keys, "syslog_appname_preset": "app", "syslog_procid_preset": "7"}
    assert message('{"m":"hi"}', **named) == "<14>Nov 14 22:13:20 n1 app[7]: hi"
    assert message('{"m":"ééé"}', **keys, syslog_maxsize="28") == "<14>Nov 14 22:13:20 n1 éé"


# --- transports ------------------------------------------------------------------------------------------------------


class Lines:
    """A syslog server on a stream: its lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def start(self, context: ssl.SSLContext | None = None) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            self.lines.append(line)
        writer.close()

    async def until(self, count: int) -> None:
        while len(self.lines) < count:
            await asyncio.sleep(0.01)


def keys_of(port: int, **more: str) -> dict[str, str]:
    return {"host": "127.0.0.1", "port": str(port), "syslog_message_key": "m", "net.connect_timeout": "1s", **more}


async def test_over_tcp_messages_are_lines_and_a_broken_connection_is_opened_again() -> None:
    side = Lines()
    server = await side.start()
    output = SyslogOutput(keys_of(side.port, mode="tcp"))
    await output.write([Delivery(1, logs('{"m":"a\\nb"}', '{"m":"c"}'))])
    await side.until(2)
    side.writers[0].close()
    await asyncio.sleep(0.05)
    await output.write([Delivery(2, logs('{"m":"d"}'))])
    await side.until(3)
    assert [line.decode().partition("\ufeff")[2] for line in side.lines] == ["a#012b\n", "c\n", "d\n"]
    await output.close()
    server.close()
    with pytest.raises(Retry, match="connect"):
        await output.write([Delivery(3, logs("{}"))])


async def test_over_tls_the_certificate_is_checked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, authority.issue("logs.example")))
    side = Lines()
    server = await side.start(context)
    output = SyslogOutput(keys_of(side.port, mode="tls", **{"tls.ca_file": str(authority.certificate)}))
    await output.write([Delivery(1, logs('{"m":"a"}'))])
    await side.until(1)
    await output.close()
    stranger = SyslogOutput(keys_of(side.port, mode="tls"))
    with pytest.raises(Retry, match="certificate"):
        await stranger.write([Delivery(1, logs('{"m":"a"}'))])
    await stranger.close()
    server.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.found: list[bytes] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.found.append(data)


async def test_over_udp_each_message_is_a_datagram_and_one_that_fits_none_is_refused() -> None:
    loop = asyncio.get_running_loop()
    transport, side = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    output = SyslogOutput(keys_of(transport.get_extra_info("sockname")[1]))
    with pytest.raises(Partly, match="more than a datagram holds") as told:
        await output.write([Delivery(1, logs('{"m":"a"}', '{"m":"%s"}' % ("x" * 70_000), '{"m":"b"}'))])
    while len(side.found) < 2:
        await asyncio.sleep(0.01)
    assert [d.decode().partition("\ufeff")[2] for d in side.found] == ["a", "b"]
    assert (len(told.value.left), len(told.value.refused)) == (0, 1)
    await output.close()
    transport.close()


def test_presets_have_limits() -> None:
    with pytest.raises(UsageError, match="'syslog_severity_preset' goes up to 7"):
        SyslogOutput({"syslog_severity_preset": "8"})
