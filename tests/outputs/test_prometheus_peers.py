"""Outputs `prometheus_remote_write` and `alertmanager` against the real Prometheus and the real Alertmanager."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kubewitness.contracts import Delivery
from kubewitness.errors import Refused
from kubewitness.outputs.alertmanager import AlertmanagerOutput
from kubewitness.outputs.prometheus_remote_write import PrometheusRemoteWriteOutput
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from tests.cluster.harness.ports import free_port
from tests.debian import at_its_place, program
from tests.journal.helpers import chunk
from tests.outputs.test_remote_write import TEXT, numbers
from tests.outputs.test_webhook import EVENT, FINDING

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@contextlib.asynccontextmanager
async def served(place: Path, *command: str, port: int) -> AsyncIterator[str]:
    """A server of Prometheus' family, once it says that it is ready; its address."""
    place.mkdir()
    with (place / "log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(*command, cwd=place, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            while not await answers(f"{address}/-/ready"):
                assert child.returncode is None, (place / "log").read_text()
                await asyncio.sleep(0.05)
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.wait()


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def asked(url: str, **parameters: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@contextlib.asynccontextmanager
async def prometheus(place: Path, port: int) -> AsyncIterator[str]:
    config = place.with_suffix(".yml")
    config.write_text("")
    command = (
        *(str(program("prometheus", "prometheus")), f"--config.file={config}", f"--storage.tsdb.path={place}/data"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"),
    )
    async with served(place, *command, port=port) as address:
        yield address


async def test_prometheus_has_the_numbers_with_their_labels_and_times(tmp_path: Path) -> None:
    port = free_port()
    output = PrometheusRemoteWriteOutput({"port": str(port), "uri": "/api/v1/write", "add_label": "cluster shop"})
    now = 1_700_000_000_000
    async with prometheus(tmp_path / "p", port) as address:
        await output.write([Delivery(1, numbers((now, TEXT), (now + 15_000, TEXT.replace("} 5", "} 7"))))])
        await output.write([Delivery(2, numbers((now + 15_000, TEXT.replace("} 5", "} 7"))))])  # again: no second one
        query = {"query": 'log_metric_counter_requests{cluster="shop",verb="get"}[1m]', "time": str(now / 1000 + 15)}
        (found,) = (await asked(f"{address}/api/v1/query", **query))["data"]["result"]
        assert found["values"] == [[now / 1000, "5"], [now / 1000 + 15, "7"]]
        assert found["metric"]["path"] == 'a "b" \\ c\n'
        buckets = {"query": "histogram_quantile(0.5, seconds_bucket)", "time": str(now / 1000)}
        assert (await asked(f"{address}/api/v1/query", **buckets))["data"]["result"][0]["value"][1] == "0.5"
        late = [Delivery(3, numbers((now, TEXT.replace("} 5", "} 6"))))]
        with pytest.raises(Refused, match="out of"):
            await output.write(late)
        await output.close()


async def test_a_prometheus_that_is_down_and_comes_back_has_what_was_counted_meanwhile(tmp_path: Path) -> None:
    port = free_port()
    output = PrometheusRemoteWriteOutput({"port": str(port), "uri": "/api/v1/write"})
    records = MemoryQueue()
    counted = 0

    def text() -> str:
        nonlocal counted
        counted += 1
        return f"looks {counted}"

    output._interval = 0.05
    output._numbers = text
    feed = output.feed(records)
    loop = DeliveryLoop(output, feed, "p", Backoff(0.05, 0.2))
    await loop.open()
    work = asyncio.create_task(loop.run())
    while counted < 5:
        await asyncio.sleep(0.01)
    async with prometheus(tmp_path / "p", port) as address:
        feed.finish()
        await work
        series = (await asked(f"{address}/api/v1/query", query="looks[1h]"))["data"]["result"]
    await loop.close()
    assert [value for _, value in series[0]["values"]] == [str(n + 1) for n in range(counted)]


async def test_alertmanager_has_an_alert_for_each_thing_that_was_said(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "am.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    command = (
        *(str(program("prometheus-alertmanager", "prometheus-alertmanager")), f"--config.file={config}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", f"--storage.path={tmp_path}/am/data"),
    )
    output = AlertmanagerOutput({"port": str(port), "annotation": "runbook https://r/{{ .Reason }}", "compress": ""})
    with at_its_place("prometheus-alertmanager", "usr/share/prometheus"):
        async with served(tmp_path / "am", *command, port=port) as address:
            for _ in range(2):
                await output.write(
                    [Delivery(1, chunk([EVENT, EVENT], "events")), Delivery(2, chunk([FINDING], "findings"))]
                )
            alerts = {a["labels"]["alertname"]: a for a in await asked(f"{address}/api/v2/alerts")}
            await output.close()
    assert set(alerts) == {"BackOff", "secret-read"}
    assert alerts["BackOff"]["annotations"] == {"summary": "Back-off", "runbook": "https://r/BackOff"}
    assert alerts["secret-read"]["labels"]["actor"] == "alice"
    assert alerts["secret-read"]["startsAt"].startswith("2026-11-22T19:26:05.5")
