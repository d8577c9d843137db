"""What a reload, and a restart, of a pipeline keep: what filters hold, and where inputs were."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kubewitness.cli import early
from kubewitness.cli.pipeline import Pipeline
from tests.pipeline.whole import running, until

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


def lines(place: Path) -> list[str]:
    path = place / "out.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def write(place: Path, text: str) -> None:
    with (place / "app.log").open("a") as f:
        f.write(text)


def text(place: Path, more: str = "", filters: str = "") -> str:
    return PIPELINE.format(place=place, more=more, filters=filters)


async def reload(pipeline: Pipeline) -> None:
    count = pipeline.reloads
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: pipeline.reloads > count and not pipeline.reloading)


async def test_a_record_of_several_lines_is_not_cut_in_two_by_a_reload(tmp_path: Path) -> None:
    write(tmp_path, "1 one\n  and\n")
    async with running(tmp_path, text(tmp_path, filters=FILTERS), drop_in=True) as pipeline:
        await until(lambda: pipeline.counts()["input"].get("tail.0", {}).get("records") == 2)
        await reload(pipeline)
        write(tmp_path, "  more\n2 two\n")
        await until(lambda: len(lines(tmp_path)) == 1)
        assert lines(tmp_path) == ['{"log":"1 one\\n  and\\n  more"}']
    assert lines(tmp_path)[1:] == ['{"log":"2 two"}']


async def test_what_a_filter_holds_is_let_go_when_a_reload_removes_it(tmp_path: Path) -> None:
    write(tmp_path, "1 one\n  and\n")
    async with running(tmp_path, text(tmp_path, filters=FILTERS), drop_in=True) as pipeline:
        await until(lambda: pipeline.counts()["input"].get("tail.0", {}).get("records") == 2)
        (tmp_path / "pipeline.yaml").write_text(text(tmp_path))
        await reload(pipeline)
        await until(lambda: len(lines(tmp_path)) == 1)
        write(tmp_path, "  more\n")
        await until(lambda: len(lines(tmp_path)) == 2)
    assert lines(tmp_path) == ['{"log":"1 one\\n  and"}', '{"log":"  more"}']


async def test_a_reload_asked_for_before_anybody_could_obey_is_done_at_the_start(tmp_path: Path) -> None:
    early.note()
    os.kill(os.getpid(), signal.SIGHUP)
    write(tmp_path, "one\n")
    async with running(tmp_path, text(tmp_path), drop_in=True) as pipeline:
        await until(lambda: pipeline.reloads == 1 and not pipeline.reloading)
        await until(lambda: lines(tmp_path) == ['{"log":"one"}'])
    assert not early.came()


async def test_with_a_db_a_restart_goes_on_where_it_was_though_records_are_in_memory(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path, f"line {n}\n")
        async with running(tmp_path, text(tmp_path, f"db: {tmp_path}/flb.db"), drop_in=True):
            await until(lambda n=n: len(lines(tmp_path)) > n)  # type: ignore[misc]
    assert lines(tmp_path) == [f'{{"log":"line {n}"}}' for n in range(3)]
    assert [p.name for p in (tmp_path / "flb.db.kubewitness").iterdir()] == ["journal.db"]
    assert not (tmp_path / "state").exists()
