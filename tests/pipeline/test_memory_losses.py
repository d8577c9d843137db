"""What `storage.type: memory` may lose is said beforehand, in /metrics, and afterwards, in the log."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os
import re
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.harness.ports import free_port
from tests.pipeline.whole import answered, far_side, running

pytestmark = pytest.mark.timeout(90)

TEXT = """\
service:
  flush: 0.02
  grace: 0.3
  storage.type: memory
  http_server: on
  http_listen: 127.0.0.1
  http_port: {monitor}
pipeline:
  inputs:
    - name: http
      listen: 127.0.0.1
      port: {port}
  outputs:
    - name: http
      alias: far
      match: app
      port: {far}
      format: json_lines
    - name: 'null'
      match: '*'
"""


def post(port: int, *numbers: int) -> None:
    """Records that are acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = "".join(f'{{"log":"{n}"}}\n' for n in numbers)
    connection.request("POST", "/app", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()


async def listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)


def held(metrics: str) -> int:
    """Records that would be lost with the process now."""
    found = re.search(r'^kubewitness_pipeline_held_records{name="buffer"} (\d+)$', metrics, re.M)
    assert found is not None, metrics
    return int(found[1])


async def test_what_was_in_memory_at_a_stop_is_told_for_each_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, monitor, nobody = free_port(), free_port(), free_port()
    text = TEXT.format(port=port, monitor=monitor, far=nobody)
    with caplog.at_level(logging.ERROR, "kubewitness.run"):
        async with running(tmp_path, text):
            await listening(port)
            for n in range(5):
                await asyncio.to_thread(post, port, *range(n * 10, n * 10 + 10))
            assert held((await answered(monitor, "/metrics"))[1]) == 50
    (told,) = [r.getMessage() for r in caplog.records]
    assert told.startswith("far: 50 records were only in memory (storage.type) and are not delivered")


async def test_what_was_delivered_in_time_is_not_held_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, monitor = free_port(), free_port()
    with far_side() as (far, given), caplog.at_level(logging.ERROR, "kubewitness.run"):
        async with running(tmp_path, TEXT.format(port=port, monitor=monitor, far=far)):
            await listening(port)
            await asyncio.to_thread(post, port, *range(10))
            while held((await answered(monitor, "/metrics"))[1]):
                await asyncio.sleep(0.01)
            assert given == [str(n) for n in range(10)]
    assert caplog.records == []


@pytest.mark.crash
async def test_after_a_kill_exactly_what_was_held_is_lost_of_what_was_acknowledged(tmp_path: Path) -> None:
    port, monitor = free_port(), free_port()
    config = tmp_path / "pipeline.yaml"
    command = (sys.executable, "-m", "kubewitness", "run", "-c", str(config), "--state", str(tmp_path / "state"))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}

    def metrics() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    with far_side(lambda: 200 if len(given) < 20 else 503) as (far, given):
        config.write_text(TEXT.format(port=port, monitor=monitor, far=far))
        child = await asyncio.create_subprocess_exec(*command, env=env)
        await listening(port)
        for n in range(5):
            await asyncio.to_thread(post, port, *range(n * 10, n * 10 + 10))
            while n < 2 and len(given) < (n + 1) * 10:
                await asyncio.sleep(0.01)
        while (lost := held(await asyncio.to_thread(metrics))) > 30:
            await asyncio.sleep(0.01)  # the second ten are about to be noted
        child.kill()
        await child.wait()
    assert given == [str(n) for n in range(20)]
    assert lost == 50 - len(given)
