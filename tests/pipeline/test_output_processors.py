"""Processors of outputs: filters for what one output is given, between the journal and its far side."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main
from kubewitness.contracts import Batch
from kubewitness.errors import UsageError
from kubewitness.filters.expect import Expect
from kubewitness.filters.grep import Grep
from kubewitness.filters.log_to_metrics import LogToMetrics
from kubewitness.pipeline import MemoryQueue, Supervisor
from kubewitness.pipeline.filtering import Filters, Step
from kubewitness.record import Chunk
from tests.journal.helpers import numbered
from tests.pipeline.parts import Collecting, retry_until

pytestmark = pytest.mark.timeout(60)

YAML = """\
pipeline:
  inputs:
    - name: tail
      path: {place}/app.log
      parser: json
      tag: app
      read_from_head: on
  outputs:
    - name: file
      alias: team
      path: {place}
      file: team.jsonl
      format: plain
      processors:
        logs:
          - name: grep
            exclude: level debug
          - name: modify
            remove: card
    - name: file
      path: {place}
      file: all.jsonl
      format: plain
"""
RECORDS = [{"level": "info", "card": "4111"}, {"level": "debug", "card": "4222"}, {"level": "error"}]


def run(place: Path, text: str) -> int:
    (place / "a.yaml").write_text(text.replace("{place}", str(place)))
    return main(["run", "-c", str(place / "a.yaml"), "--exit-on-eof", "--state", str(place / "state")])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_they_are_for_one_output_only(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    assert run(tmp_path, YAML) == 0
    assert lines(tmp_path / "team.jsonl") == [{"level": "info"}, {"level": "error"}]
    assert lines(tmp_path / "all.jsonl") == RECORDS


@pytest.mark.parametrize(
    ("processor", "says"),
    [
        ("{name: throttle, rate: 1}", "come too fast, and be dropped; write it as a filter, or as a processor of the"),
        ("{name: dedupe}", "a.yaml:16: dedupe cannot be a processor of an output"),
        ("{name: rewrite_tag, rule: '$a ^b$ c false'}", "records have been routed by their tags already"),
        ("{name: multiline, multiline.parser: java}", "what it holds back would be lost with the process"),
        ("{name: grepp}", "unknown processor 'grepp'; did you mean 'grep'?"),
    ],
)
def test_what_makes_no_sense_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processor: str, says: str
) -> None:
    text = YAML.replace("          - name: grep\n            exclude: level debug", f"          - {processor}")
    assert run(tmp_path, text) == 2
    assert says in capsys.readouterr().err


class Faulty:
    """A filter with a mistake in it, for so many times."""

    name = "faulty"

    def __init__(self, times: int) -> None:
        self.left = times
        self.applied = 0

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        self.applied += 1
        if self.left:
            self.left -= 1
            raise KeyError("a mistake")
        return [chunk]

    def health(self) -> dict[str, object]:
        return {}


async def delivered(output: Collecting, *filters: Any) -> tuple[Supervisor, MemoryQueue]:
    """The numbers 0 to 9 through the filters to the output."""
    queue = MemoryQueue()
    supervisor = Supervisor(restart_first=0.001, restart_limit=0.001)
    steps = Filters([Step(one, lambda tag: True) for one in filters])
    supervisor.add_output(output, queue, filters=steps)
    await queue.open(output.name)
    for n in range(10):
        await queue.put(Batch([numbered(n)]))
    await supervisor.run(until_inputs_end=True)
    return supervisor, queue


async def test_what_they_drop_is_done_with_and_counted() -> None:
    output = Collecting()
    supervisor, queue = await delivered(output, Grep({"regex": "n ^[3-5]$"}, name="out/grep.0"))
    assert output.records == [b'{"n":3}', b'{"n":4}', b'{"n":5}']
    health: dict[str, Any] = supervisor.health()
    assert health["filters"]["out/grep.0"]["drop_records"] == 7
    assert health["outputs"]["collecting"]["cursor"] == 10
    assert queue.health()["held"] == 0


async def test_they_are_applied_once_however_often_it_is_tried() -> None:
    output, counting = Collecting(before=retry_until(4)), Faulty(0)
    await delivered(output, counting)
    assert (output.tries, counting.applied, len(output.records)) == (4, 10, 10)


async def test_a_mistake_in_one_of_them_holds_up_its_output_only_and_loses_nothing() -> None:
    output = Collecting()
    supervisor, _ = await delivered(output, Faulty(3))
    assert len(output.records) == 10
    health: dict[str, Any] = supervisor.health()
    assert health["outputs"]["collecting"]["errors"] == 3


async def test_what_counts_records_counts_each_once() -> None:
    counter = LogToMetrics({"metric_mode": "counter", "metric_name": "seen", "metric_description": "x", "tag": "m"})
    await delivered(Collecting(before=retry_until(3)), counter)
    assert re.search(r"^\S*seen\S* 10$", Filters([Step(counter, lambda tag: True)]).metrics(), re.MULTILINE)


async def test_a_filter_that_asks_for_a_person_stops_the_pipeline() -> None:
    with pytest.raises(UsageError, match="nothing"):
        await delivered(Collecting(), Expect({"key_exists": "nothing", "action": "exit"}))
