"""What a reload, and a restart, of a pipeline keep: what filters hold, and where inputs were."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kubewitness.cli.pipeline import Configuration, Pipeline
from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.config.load import load_pipeline
from kubewitness.config.peer import with_defaults
from kubewitness.config.state import state_paths
from kubewitness.config.tree import Tree

pytestmark = pytest.mark.timeout(60)

PIPELINE = """\
service:
  flush: 0.02
  hot_reload: on
multiline_parsers:
  - name: mine
    type: regex
    flush_timeout: 60000
    rules:
      - {{state: start_state, regex: '/^\\d/', next_state: cont}}
      - {{state: cont, regex: '/^ /', next_state: cont}}
pipeline:
  inputs:
    - name: tail
      path: {place}/*.log
      read_from_head: on
      tag: app
      {more}
  {filters}
  outputs:
    - name: file
      match: '*'
      path: {place}
      file: out.jsonl
      format: plain
"""
FILTERS = "filters: [{name: multiline, match: '*', multiline.parser: mine, multiline.key_content: log}]"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def lines(place: Path) -> list[str]:
    path = place / "out.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def write(place: Path, text: str) -> None:
    with (place / "app.log").open("a") as f:
        f.write(text)


@asynccontextmanager
async def running(place: Path, more: str = "", filters: str = "") -> AsyncIterator[Pipeline]:
    config = place / "pipeline.yaml"
    config.write_text(PIPELINE.format(place=place, more=more, filters=filters))
    paths = state_paths(str(place / "state"))

    def read() -> Tree:
        return with_defaults(load_pipeline(config, KNOWN, strict=False))

    def made(tree: Tree) -> Configuration:
        service = Service(tree.service)
        return Configuration(tree, service, Parts(tree, service, paths, strict=False, exit_on_eof=False, dry=False))

    pipeline = Pipeline(made(read()), read, made, paths)
    work = asyncio.create_task(pipeline.run())
    try:
        yield pipeline
        pipeline.stop()
        assert await asyncio.wait_for(work, 30) == 0
    finally:
        work.cancel()


async def reload(pipeline: Pipeline) -> None:
    count = pipeline.reloads
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: pipeline.reloads > count and not pipeline.reloading)


async def test_a_record_of_several_lines_is_not_cut_in_two_by_a_reload(tmp_path: Path) -> None:
    write(tmp_path, "1 one\n  and\n")
    async with running(tmp_path, filters=FILTERS) as pipeline:
        await until(lambda: pipeline.counts()["input"].get("tail.0", {}).get("records") == 2)
        await reload(pipeline)
        write(tmp_path, "  more\n2 two\n")
        await until(lambda: len(lines(tmp_path)) == 1)
        assert lines(tmp_path) == ['{"log":"1 one\\n  and\\n  more"}']
    assert lines(tmp_path)[1:] == ['{"log":"2 two"}']


async def test_what_a_filter_holds_is_let_go_when_a_reload_removes_it(tmp_path: Path) -> None:
    write(tmp_path, "1 one\n  and\n")
    async with running(tmp_path, filters=FILTERS) as pipeline:
        await until(lambda: pipeline.counts()["input"].get("tail.0", {}).get("records") == 2)
        (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(place=tmp_path, more="", filters=""))
        await reload(pipeline)
        await until(lambda: len(lines(tmp_path)) == 1)
        write(tmp_path, "  more\n")
        await until(lambda: len(lines(tmp_path)) == 2)
    assert lines(tmp_path) == ['{"log":"1 one\\n  and"}', '{"log":"  more"}']


async def test_with_a_db_a_restart_goes_on_where_it_was_though_records_are_in_memory(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path, f"line {n}\n")
        async with running(tmp_path, f"db: {tmp_path}/flb.db"):
            await until(lambda n=n: len(lines(tmp_path)) > n)  # type: ignore[misc]
    assert lines(tmp_path) == [f'{{"log":"line {n}"}}' for n in range(3)]
    assert [p.name for p in (tmp_path / "flb.db.kubewitness").iterdir()] == ["journal.db"]
    assert not (tmp_path / "state").exists()
