"""Output `splunk`: what each key makes of a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.splunk import SplunkOutput
from tests.outputs.far_side import FarSide
from tests.outputs.sides import SplunkSide
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)

RECORD = '{"n":1,"log":"hello","k":{"ns":"toys","node":"n1"},"st":"json"}'


async def event(**keys: str) -> dict[str, Any]:
    async with SplunkSide() as side:
        output = SplunkOutput({"port": str(side.port), **SplunkSide.keys, **keys})
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()
        assert side.wrong == []
        return side.events[0]


async def test_an_event_is_the_record_with_its_time() -> None:
    assert await event() == {
        "time": 1700000000.123457,
        "event": {"n": 1, "log": "hello", "k": {"ns": "toys", "node": "n1"}, "st": "json"},
    }


async def test_metadata_comes_from_accessors_or_is_what_the_keys_say() -> None:
    made = await event(
        event_host="$k['node']",
        event_source="from-$TAG",
        event_sourcetype="plain",
        event_sourcetype_key="$st",
        event_index="main",
        event_index_key="$absent",
        event_field="ns $k['ns']\nnothing $absent",
    )
    del made["event"], made["time"]
    assert made == {
        "host": "n1", "source": "from-kube.shop", "sourcetype": "json", "index": "main", "fields": {"ns": "toys"},
    }  # fmt: skip


class Raw(FarSide):
    def take(self, request: web.Request, body: bytes) -> web.Response:
        self.body = body
        return web.json_response({"text": "Success", "code": 0})


async def test_raw_is_the_records_alone_with_a_channel() -> None:
    async with Raw() as side:
        output = SplunkOutput({"port": str(side.port), "splunk_send_raw": "on", "channel": "c-1", "splunk_token": "t"})
        await output.write([Delivery(1, logs(RECORD, RECORD))])
        await output.close()
        request = side.requests[0]
        assert (request.path, request.headers["X-Splunk-Request-Channel"]) == ("/services/collector/raw", "c-1")
        assert side.body.decode() == f"{RECORD}\n{RECORD}\n"


async def test_one_key_may_be_the_event_and_splunk_may_find_the_time() -> None:
    async with Raw() as side:
        output = SplunkOutput({"port": str(side.port), "event_key": "$log", "auto_extract_timestamp": "on"})
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()
        assert (side.body, side.requests[0].query_string) == (b'{"event":"hello"}', "auto_extract_timestamp=true")


async def test_a_wrong_token_holds_records_back_and_a_new_one_in_the_file_is_used(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with SplunkSide() as side:
        output = SplunkOutput({"port": str(side.port), "splunk_token_file": str(token)})
        with pytest.raises(Retry, match="403"):
            await output.write([Delivery(1, logs(RECORD))])
        token.write_text("11111111-2222\n")
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()
        assert side.took == [1]


def test_a_field_needs_an_accessor() -> None:
    with pytest.raises(UsageError, match="'event_field' takes a name and an accessor"):
        SplunkOutput({"event_field": "alone"})
