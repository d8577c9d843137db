"""Forty container logs, each rotated every second as the kubelet does, written as fast as `kubewitness run` reads them.

Each line that comes out is compared with what was written: the next of its container and stream, to the last byte.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.crash.burst import peak_mb
from tests.crash.rotation_writer import STREAMS, Counts, text_of
from tests.faults import Fault

ROOT = Path(__file__).parents[2]
CONTAINERS = 40
SOAK_SECONDS = float(os.environ.get("KUBEWITNESS_ROTATION_SECONDS", "600"))

PIPELINE = """\
service:
  flush: 0.2
pipeline:
  inputs:
    - name: tail
      path: {place}/containers/*.log
      tag: kube.*
      multiline.parser: docker, cri
      read_from_head: on
  outputs:
    - name: stdout
      match: kube.*
"""


class Line(msgspec.Struct):
    """What the output writes of a line."""

    stream: str
    log: str


class Verified:
    """Counts lines that are the next of their container and stream, and keeps the first that is not."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._decode = msgspec.json.Decoder(Line).decode
        self.lines: Counter[str] = Counter()
        self.wrong: list[str] = []

    def take(self, raw: bytes) -> None:
        line = self._decode(raw)
        name, stream, *_ = (*line.log.split(" ", 2), "")
        key = f"{name} {stream}"
        expected = self.lines[key]
        if stream not in STREAMS or stream != line.stream or line.log != text_of(name, stream, expected):
            self.wrong.append(f"{key} {expected} was to come, and {line.log[:60]!r} came")
            return
        self.lines[key] = expected + 1
        self._counts.set(int(name.removeprefix("web-")), stream, expected + 1)


def play(place: Path, seconds: float, seed: int) -> tuple[dict[str, object], Verified, float]:
    """(what the writer reports, what came out, peak memory of the reader in MB)."""
    place.mkdir(exist_ok=True)
    (place / "pipeline.yaml").write_text(PIPELINE.format(place=place))
    command = [sys.executable, "-m", "kubewitness", "run", "-c", f"{place}/pipeline.yaml", "--state", f"{place}/state"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    verified = Verified(Counts(place / "verified", CONTAINERS))
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.rotation_writer", str(place), str(CONTAINERS), str(seconds), str(seed)],
        cwd=ROOT, env=environment,
    )  # fmt: skip
    with (place / "run.log").open("wb") as log:
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
    try:
        peak = follow(place, reader, writer, verified, seconds)
        assert writer.wait(60) == 0
        assert reader.wait(60) == 0, (place / "run.log").read_text()[-3000:]
    finally:
        for process in (writer, reader):
            process.kill()
            process.wait()
    return json.loads((place / "written.json").read_text()), verified, peak


def follow(
    place: Path, reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], verified: Verified, seconds: float
) -> float:
    """Takes what comes until the reader ends; it is stopped when all is there, and may not bring a line more."""
    peak: list[float] = []

    def stop() -> None:
        if writer.wait() == 0:
            due = sum(json.loads((place / "written.json").read_text())["lines"].values())
            deadline = time.monotonic() + seconds + 120
            while verified.lines.total() < due and time.monotonic() < deadline and not verified.wrong:
                time.sleep(0.05)
        peak.append(peak_mb(reader.pid))
        reader.terminate()

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        assert reader.stdout is not None
        for raw in reader.stdout:
            verified.take(raw)
    finally:
        if verified.wrong:
            writer.kill()
        stopper.join()
    return peak[0]


def rotated(place: Path, seconds: float) -> tuple[int, int]:
    """(lines written, lines that came out), all of them checked."""
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    begun = time.monotonic()
    written, verified, peak = play(place, seconds, seed)
    took = time.monotonic() - begun
    lines: dict[str, int] = written["lines"]  # type: ignore[assignment]
    print(
        f"{CONTAINERS} containers, {written['rotations']} rotations, {sum(lines.values())} lines "
        f"({written['split']} of them in parts), {written['bytes'] / 1e6:.0f} MB in {written['seconds']:.0f} s "  # type: ignore[operator]
        f"(the writer waited {written['waited']:.0f} s for the reader), all out after {took:.0f} s; "
        f"{len(verified.wrong)} lines wrong, {sum(lines.values()) - verified.lines.total()} missing; "
        f"peak memory {peak:.0f} MB"
    )
    assert verified.wrong[:5] == []
    assert dict(verified.lines) == {key: n for key, n in lines.items() if n}
    return sum(lines.values()), verified.lines.total()


@pytest.mark.crash
@pytest.mark.timeout(240)
def test_forty_logs_rotated_every_second_come_out_whole(tmp_path: Path, fault: Fault) -> None:
    written, came = rotated(tmp_path / "node", 20)
    fault("40 container logs rotated every second at full speed, compressed and removed later",
          said=range(written), kept=range(came), on="file system")  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS * 2 + 300)
def test_forty_logs_rotated_every_second_for_a_long_time_come_out_whole(tmp_path: Path) -> None:
    rotated(tmp_path / "node", SOAK_SECONDS)
