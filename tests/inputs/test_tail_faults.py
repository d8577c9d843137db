"""One test for each fault of another collector's input for files (t1 to t8 in docs/tail.md): here no line is lost.

What it loses, it loses by its defaults: positions that run ahead of delivery, one retry, 32 KiB, a clock.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.inputs import tail as module
from kubewitness.inputs.tail import Tail
from kubewitness.pipeline import MemoryQueue, Supervisor
from tests.faults import Fault
from tests.inputs.running import until
from tests.inputs.sinks import Kept
from tests.inputs.test_tail import following, lines, write
from tests.pipeline.parts import Collecting
from tests.pipeline.test_run import Place, wait_for

ON = "file system"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(module, "_LOOK", 0.02)


async def test_t1_a_line_of_100_kb_is_a_line_and_the_file_goes_on(tmp_path: Path, fault: Fault) -> None:
    said = [f"{n}" if n != 11 else "x" * 100_000 for n in range(31)]
    write(tmp_path / "a.log", "".join(line + "\n" for line in said))
    sink = Kept()
    async with following(sink, tmp_path / "*.log"):
        await until(lambda: len(lines(sink)) == 31)
    fault("t1: line over 32 KiB", said=said, kept=lines(sink), on=ON)


PIPELINE = """\
service:
  flush: 0.05
  grace: 1
  storage.type: memory
pipeline:
  inputs:
    - name: tail
      path: {place}/*.log
      tag: kube
      read_from_head: on
  outputs:
    - name: file
      match: kube
      path: {place}/out
      file: lines.json
      format: plain
"""


class Down:
    """`run` with buffers in memory, a file to read, and an output that is down at first: its file is a folder."""

    def __init__(self, folder: Path, lines: int = 2000) -> None:
        self.place = Place(folder)
        self.place.write(PIPELINE)
        self.said = [f"line {n} über 日本" for n in range(lines)]
        write(folder / "a.log", "".join(line + "\n" for line in self.said))
        self._out = folder / "out" / "lines.json"
        self._out.mkdir(parents=True)
        self._log = folder / "run.messages"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until a delivery has failed: then everything has been read."""
        before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as messages:
            self.process = subprocess.Popen(self.place.command(), env=self.place.environment(), stderr=messages)
        wait_for(lambda: b"trying again" in self._log.read_bytes()[before:])

    def end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def up(self) -> None:
        self._out.rmdir()

    def written(self) -> bytes:
        return self._out.read_bytes() if self._out.is_file() else b""

    def kept(self) -> list[str]:
        """Once it has all."""
        wait_for(lambda: self.written().count(b"\n") >= len(self.said))
        return [json.loads(line)["log"] for line in self.written().splitlines()]


@pytest.fixture
def down(tmp_path: Path) -> Iterator[Down]:
    down = Down(tmp_path)
    yield down
    down.end(signal.SIGKILL)


def test_t2_a_kill_before_anything_was_delivered_from_memory_loses_nothing(down: Down, fault: Fault) -> None:
    down.start()
    down.end(signal.SIGKILL)
    down.start()
    down.up()
    fault("t2: kill -9 with buffers in memory", said=down.said, kept=down.kept(), on=ON)


def test_t3_a_stop_while_the_output_is_down_loses_nothing(down: Down, fault: Fault) -> None:
    down.start()
    down.end(signal.SIGTERM)
    assert down.written() == b""
    down.start()
    down.up()
    fault("t3: SIGTERM while the output is down", said=down.said, kept=down.kept(), on=ON)


def test_t4_an_output_that_was_down_gets_everything_as_it_was_written(down: Down, fault: Fault) -> None:
    down.start()
    time.sleep(2)  # several tries
    down.up()
    kept = down.kept()
    fault("t4: output down for a while", said=down.said, kept=kept, on=ON)
    assert b"\\u" not in down.written()
    fault("t7: text beyond ASCII", said=down.said, kept=kept, on=ON)


async def test_t5_little_memory_holds_the_input_back_and_drops_nothing(tmp_path: Path, fault: Fault) -> None:
    said = [f"line {n}" for n in range(5000)]
    write(tmp_path / "a.log", "".join(line + "\n" for line in said))
    queue, supervisor, output = MemoryQueue(limit=10_000), Supervisor(), Collecting("slow", delay=0.001)
    keys = {"path": str(tmp_path / "*.log"), "read_from_head": "on", "mem_buf_limit": "10k", "exit_on_eof": "on"}
    supervisor.add_input(Tail(keys), queue)
    supervisor.add_output(output, queue)
    await supervisor.run(until_inputs_end=True)
    fault("t5: small limit of memory", said=said, kept=[raw.decode() for raw in output.records], on=ON)


async def test_t6_no_clock_takes_the_parts_of_a_line_apart(tmp_path: Path, fault: Fault) -> None:
    sink = Kept()
    log = tmp_path / "a.log"
    async with following(sink, log, parser="cri") as source:
        write(log, "T stdout P the first part, \n")
        await until(lambda: source.health()["lag_bytes"] == 0 and source.health()["files"] == 1)
        for n in range(200):  # the reader comes by again and again, and only the other stream has something to say
            write(log, f"T stderr F {n}\n")
        await until(lambda: len(lines(sink)) == 200)
        write(log, "T stdout F and the last\n")
        await until(lambda: len(lines(sink)) == 201)
    said = [*(f"T stderr F {n}" for n in range(200)), "T stdout P the first part, \nT stdout F and the last"]
    fault("t6: last part of a line comes late", said=said, kept=lines(sink), on=ON)


@pytest.mark.parametrize("unfinished", ["keep", "deliver"])
async def test_t8_a_last_line_without_newline_is_delivered_at_the_end_or_when_it_has_one(
    tmp_path: Path, fault: Fault, unfinished: str
) -> None:
    sink = Kept()
    write(tmp_path / "a.log", "one\ntwo")
    async with following(sink, tmp_path / "*.log", unfinished_at_stop=unfinished):
        await until(lambda: lines(sink) == ["one"])
    if unfinished == "keep":
        assert lines(sink) == ["one"]
        async with following(sink, tmp_path / "*.log"):
            write(tmp_path / "a.log", "\n")
            await until(lambda: len(lines(sink)) == 2)
    fault("t8: last line without its newline", said=["one", "two"], kept=lines(sink), on=ON)
