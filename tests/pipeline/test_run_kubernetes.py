"""Filter `kubernetes` in a configuration: wherever filters may stand, what it asks is asked beside the pipeline."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.cli import main
from tests.fake_apiserver import FakeApiServer
from tests.filters.pods import container_id, cri, pod
from tests.pipeline.whole import running, until


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    """In a thread of its own, since the pipeline has the main one."""
    fake, ready, end = FakeApiServer(), threading.Event(), asyncio.Event()
    fake.put_thing("pods", "web-1", **pod())
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with fake:
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield fake
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    loop.close()


@pytest.mark.parametrize("place", ["of all", "of the input", "of the output"])
def test_records_are_given_metadata_wherever_the_filter_stands(
    tmp_path: Path, server: FakeApiServer, place: str
) -> None:
    (tmp_path / f"web-1_shop_app-{container_id('a')}.log").write_text(cri("paid")[0] + "\n")
    filter_ = f"{{name: kubernetes, match: '*', kube_url: '{server.url}', kube_node_name: worker-1}}"
    processors = f"processors: {{logs: [{filter_}]}}".replace("match: '*', ", "")
    text = f"""\
pipeline:
  inputs:
  - name: tail
    path: {tmp_path}/*.log
    tag: kube.*
    multiline.parser: cri
    read_from_head: on
    {processors if place == "of the input" else ""}
  filters: [{filter_ if place == "of all" else ""}]
  outputs:
  - name: file
    match: '*'
    path: {tmp_path}
    file: out
    format: plain
    {processors if place == "of the output" else ""}
"""
    (tmp_path / "a.yaml").write_text(text)
    assert main(["run", "-c", str(tmp_path / "a.yaml"), "--exit-on-eof", "--state", str(tmp_path / "state")]) == 0
    (record,) = map(json.loads, (tmp_path / "out").read_text().splitlines())
    assert (record["log"], record["kubernetes"]["pod_id"]) == ("paid", "uid-web-1")


@pytest.mark.parametrize("storage", ["memory", "filesystem"])
async def test_events_go_through_memory_alone_where_that_is_asked_for(tmp_path: Path, storage: str) -> None:
    config = f"""\
pipeline:
  inputs:
  - name: kubernetes_events
    kube_url: {{url}}
    storage.type: {storage}
  outputs:
  - name: file
    match: '*'
    path: {tmp_path}
    file: out
    format: plain
"""
    async with FakeApiServer() as events:
        events.put("e")
        async with running(tmp_path, config.format(url=events.url)):
            await until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text().count("\n") == 1)
            assert bool(list((tmp_path / "state").rglob("journal.db"))) is (storage == "filesystem")
