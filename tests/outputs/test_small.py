"""Outputs `slack`, `counter` and `flowcounter`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.counter import CounterOutput
from kubewitness.outputs.flowcounter import FlowcounterOutput
from kubewitness.outputs.slack import SlackOutput
from tests.journal.helpers import numbered
from tests.outputs.far_side import FarSide
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)


class Channel(FarSide):
    """An incoming webhook: {"text"} as JSON, answered with `ok`."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.path, request.content_type) == ("/services/T0/B0/s3cret", "application/json")
        found = json.loads(body)
        assert list(found) == ["text"]
        self.texts.append(found["text"])
        return web.Response(text="ok")


async def test_slack_has_some_records_a_message_with_its_control_characters_escaped(tmp_path: Path) -> None:
    address = tmp_path / "webhook"
    async with Channel() as side:
        address.write_text(f"http://127.0.0.1:{side.port}/services/T0/B0/s3cret\n")
        output = SlackOutput({"webhook_file": str(address), "records_per_message": "2"})
        await output.write([Delivery(1, logs('{"n":"<&>"}', '{"n":2}', json.dumps({"n": "x" * 4000})))])
        side.faults.append("500")
        with pytest.raises(Retry) as told:
            await output.write([Delivery(2, logs("{}"))])
        await output.close()
        assert side.wrong == []
    assert side.texts[0] == 'kube.shop: {"n":"&lt;&amp;&gt;"}\nkube.shop: {"n":2}'
    assert side.texts[1].endswith("... (4009 characters)")
    assert "s3cret" not in str(told.value)


def test_slack_needs_an_address() -> None:
    with pytest.raises(UsageError, match="'webhook' is not an address"):
        SlackOutput({"webhook": "hooks.slack.com/services"})


async def test_counter_writes_how_many_came_and_how_many_in_all(capfd: pytest.CaptureFixture[str]) -> None:
    output = CounterOutput({})
    await output.write([Delivery(1, numbered(1, 2)), Delivery(2, numbered(3))])
    await output.write([Delivery(3, numbered(4))])
    await output.write([])
    lines = capfd.readouterr().out.splitlines()
    assert [re.sub(r"^\d+\.\d{6},", "", line) for line in lines] == ["3 (total = 3)", "1 (total = 4)"]


async def test_flowcounter_writes_each_unit_once_it_has_ended(capfd: pytest.CaptureFixture[str]) -> None:
    now = [1_700_000_040.0]
    output = FlowcounterOutput({"unit": "minute"}, clock=lambda: now[0])
    await output.write([Delivery(1, numbered(*range(100, 190)))])
    assert capfd.readouterr().out == ""
    now[0] += 60
    await output.write([Delivery(2, numbered(1))])
    await output.close()
    assert capfd.readouterr().out.splitlines() == [
        '[out_flowcounter] [1700000040, {"counts":90, "bytes":810, "counts/minute":1, "bytes/minute":13 }]',
        '[out_flowcounter] [1700000100, {"counts":1, "bytes":7, "counts/minute":0, "bytes/minute":0 }]',
    ]


async def test_flowcounter_goes_by_the_records_times_if_asked_to(capfd: pytest.CaptureFixture[str]) -> None:
    output = FlowcounterOutput({"unit": "second", "event_based": "on"}, clock=lambda: 0.0)
    await output.write([Delivery(1, logs("{}", ns=5_500_000_000)), Delivery(2, logs("{}", "{}", ns=7_000_000_000))])
    assert capfd.readouterr().out == (
        '[out_flowcounter] [5, {"counts":1, "bytes":2, "counts/second":1, "bytes/second":2 }]\n'
    )
    await output.close()
    assert '[7, {"counts":2' in capfd.readouterr().out
