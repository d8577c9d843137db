"""Output `prometheus_exporter` in a pipeline: what a filter counts, asked for as Prometheus does."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from kubewitness.errors import UsageError
from kubewitness.outputs.prometheus_exporter import PrometheusExporterOutput
from tests.cluster.harness.ports import free_port
from tests.pipeline.test_run import event

pytestmark = pytest.mark.timeout(60)

#: counts requests by verb
COUNTING = """\
pipeline:
  inputs:
    - name: kubernetes_audit
      audit_file: {place}/audit.log
      tag: audit
  filters:
    - name: log_to_metrics
      match: audit
      tag: metrics
      metric_mode: counter
      metric_name: requests
      metric_description: requests by verb
      label_field: verb
"""
PIPELINE = f"""\
{COUNTING}  outputs:
    - name: prometheus_exporter
      match: metrics
      port: {{port}}
      add_label: cluster shop
    - name: "null"
      match: audit
"""


async def test_what_a_filter_counts_is_there_for_prometheus_with_the_labels_asked_for(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "audit.log").write_bytes(b"".join(event(n) + b"\n" for n in range(5)))
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(place=tmp_path, port=port))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubewitness", "run", "-c", str(tmp_path / "pipeline.yaml")),
        *("--state", str(tmp_path / "state")),
    )
    try:
        text = ""
        wanted = 'log_metric_counter_requests{cluster="shop",verb="get"} 5'
        async with aiohttp.ClientSession() as session:
            while wanted not in text:
                await asyncio.sleep(0.05)
                assert child.returncode is None
                try:
                    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                        text = await answer.text()
                except aiohttp.ClientConnectionError:
                    continue
        assert '{cluster="shop",name="outputs/null.0"}' in text
    finally:
        child.terminate()
        await child.wait()


async def test_it_listens_at_the_address_asked_for() -> None:
    port = free_port()
    output = PrometheusExporterOutput({"host": "127.0.0.2", "port": str(port)})
    await output.start()
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.2:{port}/metrics") as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(f"http://127.0.0.1:{port}/metrics")
    finally:
        await output.close()


async def test_an_address_that_is_taken_is_an_error_that_names_it() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        output = PrometheusExporterOutput({"port": str(s.getsockname()[1])})
        with pytest.raises(UsageError, match="output prometheus_exporter: host 127"):
            await output.start()
    with pytest.raises(UsageError, match="'add_label' takes a name and a value"):
        PrometheusExporterOutput({"add_label": "cluster"})
