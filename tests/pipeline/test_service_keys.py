"""What keys of section `service` do, in whole pipelines."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator, Sequence
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import monitoring
from kubewitness.cli.pipeline import Pipeline
from kubewitness.pipeline import counted, delivery
from tests.cluster.harness.ports import free_port
from tests.pipeline.whole import answered, far_side, running, until

pytestmark = pytest.mark.timeout(60)

PIPELINE = """\
service:
  flush: 0.02
  grace: 0
  {service}
pipeline:
  inputs:
    - name: tail
      alias: app
      storage.type: {storage}
      path: {place}/app.log
      read_from_head: on
      tag: app
  outputs:
    - name: http
      alias: far
      match: app
      host: 127.0.0.1
      port: {port}
      format: json_lines
      json_date_key: false
      retry_limit: {retry}
"""


def text(place: Path, port: int, service: str, *, storage: str = "memory", retry: str = "no_limits") -> str:
    return PIPELINE.format(place=place, port=port, service=service, storage=storage, retry=retry)


class Answers:
    """One after the other; then always the last."""

    def __init__(self, *status: int) -> None:
        self._next: Iterator[int] = chain(status, repeat(status[-1]))

    def __call__(self) -> int:
        return next(self._next)


def write(place: Path, lines: Sequence[str]) -> None:
    with (place / "app.log").open("a") as f:
        f.write("".join(f"{line}\n" for line in lines))


async def test_too_many_batches_that_fail_for_good_make_it_unhealthy_until_the_period_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "_EVERY", 0.02)
    port = free_port()
    service = f"http_server: on\n  http_port: {port}\n  hc_errors_count: 1\n  hc_period: 1"
    with far_side(lambda: 400) as (far, _):
        async with running(tmp_path, text(tmp_path, far, service)) as pipeline:
            write(tmp_path, ["one"])
            await until(lambda: pipeline.window.errors == 1)
            assert await answered(port, "/api/v1/health") == (200, "ok\n")
            write(tmp_path, ["two"])
            await until(lambda: pipeline.window.errors == 2)
            assert await answered(port, "/api/v1/health") == (500, "error\n")
            code, body = await answered(port, "/api/v2/health")
            assert (code, json.loads(body)["error_limit"], json.loads(body)["period_limit"]) == (500, 1, 1)
            await until(lambda: pipeline.window.errors == 0)
            assert await answered(port, "/api/v1/health") == (200, "ok\n")


async def test_so_do_batches_that_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "_EVERY", 0.02)
    port = free_port()
    service = f"http_server: on\n  http_port: {port}\n  hc_retry_failure_count: 0"
    with far_side(lambda: 503) as (far, _):
        async with running(tmp_path, text(tmp_path, far, service, retry="no_retries")) as pipeline:
            assert (await answered(port, "/api/v1/health"))[0] == 200
            write(tmp_path, ["one"])
            await until(lambda: pipeline.window.retries_failed == 1)
            assert (await answered(port, "/api/v1/health"))[0] == 500


async def test_what_is_refused_is_kept_where_the_file_says_or_dropped_and_counted(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    with far_side(lambda: 400) as (far, _):
        for keep, found in (("on", True), ("off", False)):
            service = f"storage.keep.rejected: {keep}\n  storage.rejected.path: {aside}/{keep}"
            async with running(tmp_path, text(tmp_path, far, service)) as pipeline:
                write(tmp_path, [keep])
                await until(lambda: pipeline.counts()["output"]["far"]["dropped_records"] > 0)
            assert (aside / keep / "far.jsonl").exists() is found
    kept = [json.loads(line) for line in (aside / "on" / "far.jsonl").read_text().splitlines()]
    assert [(record["output"], record["tag"], record["raw"]) for record in kept] == [("far", "app", "on")]


async def test_an_output_waits_where_there_is_no_room_for_what_was_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = f"storage.rejected.path: {tmp_path}/aside\n  storage.rejected.limit: 100"
    with far_side(lambda: 400) as (far, _):
        async with running(tmp_path, text(tmp_path, far, service)) as pipeline:
            write(tmp_path, ["one"])
            await until(lambda: "has reached storage.rejected.limit" in caplog.text)
            assert pipeline.counts()["output"]["far"]["dropped_records"] == 0


@pytest.mark.parametrize(
    ("service", "least", "most"),
    [("scheduler.base: 7\n  scheduler.cap: 7", 3.5, 7.0), ("scheduler.cap: 3000", 0.0, 0.5)],
)
async def test_the_first_wait_is_the_base_or_half_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, service: str, least: float, most: float
) -> None:
    with far_side(lambda: 503) as (far, _):
        async with running(tmp_path, text(tmp_path, far, service)):
            write(tmp_path, ["one"])
            await until(lambda: "trying again, next in" in caplog.text)
    found = re.search(r"next in ([\d.]+) s", caplog.text)
    assert found is not None
    assert least <= float(found[1]) <= most


async def test_inputs_wait_at_the_journals_limit_and_go_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted, "_PAUSE", 0.05)
    up = [503]
    lines = [f"{n:08} {hash(str(n)):x}" for n in range(120_000)]
    with far_side(lambda: up[0]) as (far, taken):
        service = "storage.total_limit_size: 400K"
        async with running(tmp_path, text(tmp_path, far, service, storage="filesystem")) as pipeline:
            write(tmp_path, lines)
            await until(lambda: pipeline.waiting()["bytes"] > 200_000 and pipeline.paused()["app"])
            assert pipeline.waiting()["limit"] == 400_000
            assert pipeline.counts()["input"]["app"]["records"] < len(lines)
            up[0] = 200
            await until(lambda: len(taken) >= len(lines))
        assert taken == lines


def over_limit(pipeline: Pipeline) -> int:
    health: Any = pipeline.health()
    return int(health["outputs"]["far"]["over_limit"])


async def test_an_output_that_may_let_only_so_much_wait_drops_its_oldest_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_LOOK_SECONDS", 0.05)
    up = [503]
    (tmp_path / "app.log").touch()
    with far_side(lambda: up[0]) as (far, taken):
        limited = text(tmp_path, far, "", storage="filesystem") + "      storage.total_limit_size: 2K\n"
        async with running(tmp_path, limited) as pipeline:
            for n in count():
                write(tmp_path, [f"{n} {random.Random(n).randbytes(100).hex()}"])
                if over_limit(pipeline):
                    break
                await asyncio.sleep(0.02)
            up[0], last = 200, f"{n} "
            await until(lambda: bool(taken) and taken[-1].startswith(last))
            dropped = over_limit(pipeline)
    assert dropped > 0
    assert [int(line.split()[0]) for line in taken] == list(range(dropped, n + 1))


async def test_one_input_that_wants_memory_needs_no_journal(tmp_path: Path) -> None:
    with far_side() as (far, taken):
        async with running(tmp_path, text(tmp_path, far, "storage.type: filesystem")) as pipeline:
            write(tmp_path, ["one"])
            await until(lambda: taken == ["one"])
            assert pipeline.waiting()["memory"] == 1
            assert pipeline.counts()["input"]["app"].items() >= {"records": 1, "bytes": 4}.items()
    assert not (tmp_path / "state").exists()


async def test_a_record_of_several_lines_is_given_in_pieces_of_the_limit(tmp_path: Path) -> None:
    with far_side() as (far, taken):
        base = text(tmp_path, far, "multiline_buffer_limit: 40")
        async with running(tmp_path, base.replace("tag: app\n", "tag: app\n      multiline.parser: java\n")):
            write(tmp_path, ["a.Exception: a", "\tat one.two.three", "\tat four.five.six", "\tat seven.eight", "end"])
            await until(lambda: len(taken) == 3)
    assert taken == [
        "a.Exception: a\n\tat one.two.three\n", "\tat four.five.six\n\tat seven.eight\n", "end\n"
    ]  # fmt: skip
