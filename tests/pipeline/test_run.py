"""`kubewitness run` as a whole process: an audit file in, files and the store out."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kubewitness.journal import Journal

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]

PIPELINE = """\
service:
  flush: 0.05
  storage.type: {storage}
pipeline:
  inputs:
    - name: kubernetes_audit
      audit_file: {place}/audit.log
      refresh_interval: 20ms
      tag: kube.audit
  outputs:
    - name: file
      match: kube.*
      path: {place}
      file: out.json
      format: plain
"""


def event(n: int) -> bytes:
    return json.dumps(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": f"00000000-0000-4000-8000-{n:012d}",
            "stage": "ResponseComplete",
            "requestURI": f"/api/v1/namespaces/shop/pods/web-{n}",
            "verb": "get",
            "user": {"username": "alice", "groups": ["devs"]},
            "sourceIPs": ["10.0.0.7"],
            "objectRef": {"resource": "pods", "namespace": "shop", "name": f"web-{n}", "apiVersion": "v1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-11-22T19:26:05.038000Z",
            "stageTimestamp": "2026-11-22T19:26:05.040000Z",
        }
    ).encode()


def numbers(path: Path) -> list[int]:
    """The events in an output file, by number, in order."""
    return [int(json.loads(line)["auditID"][-12:]) for line in path.read_bytes().splitlines()]


class Place:
    """A directory with an audit file, a pipeline file and a state."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.audit = directory / "audit.log"
        self.out = directory / "out.json"
        self.pipeline = directory / "pipeline.yaml"

    def write(self, text: str = PIPELINE, storage: str = "filesystem") -> None:
        self.pipeline.write_text(text.format(place=self.directory, storage=storage))

    def add(self, events: Sequence[int]) -> None:
        with self.audit.open("ab") as f:
            f.write(b"".join(event(n) + b"\n" for n in events))

    def command(self, *flags: str) -> list[str]:
        state = str(self.directory / "state")
        return [sys.executable, "-m", "kubewitness", "run", "-c", str(self.pipeline), "--state", state, *flags]

    def run(self, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*flags), capture_output=True, text=True, timeout=60, env=self.environment())

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*flags), env=self.environment())

    @staticmethod
    def environment() -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def journal(self) -> Path:
        (path,) = (self.directory / "state" / "pipelines").glob("pipeline-*/journal.db")
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("storage", ["filesystem", "memory"])
def test_an_audit_file_comes_out_byte_for_byte(place: Place, storage: str) -> None:
    place.write(storage=storage)
    place.add(range(500))
    done = place.run("--exit-on-eof")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert place.out.read_bytes() == place.audit.read_bytes()


def test_in_memory_nothing_but_the_output_is_written(place: Place) -> None:
    place.write(storage="memory")
    place.add(range(3))
    assert place.run("--exit-on-eof").returncode == 0
    assert sorted(p.name for p in place.directory.iterdir()) == ["audit.log", "out.json", "pipeline.yaml"]


def test_a_run_goes_on_where_the_last_one_ended(place: Place) -> None:
    place.write()
    place.add(range(10))
    assert place.run("--exit-on-eof").returncode == 0
    place.add(range(10, 15))
    assert place.run("--exit-on-eof").returncode == 0
    assert numbers(place.out) == list(range(15))
    with Journal(place.journal()) as journal:
        assert not journal.was_unclean
        assert journal.stats().held.chunks == 0


def test_it_follows_the_file_until_it_is_told_to_stop(place: Place) -> None:
    place.write()
    place.add(range(5))
    process = place.start()
    try:
        wait_for(lambda: place.out.exists() and len(numbers(place.out)) == 5)
        place.add(range(5, 9))
        wait_for(lambda: len(numbers(place.out)) == 9)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert numbers(place.out) == list(range(9))


def test_a_line_that_is_no_record_is_in_the_output_with_its_reason(place: Place) -> None:
    place.write(storage="memory")
    place.add([1])
    with place.audit.open("ab") as f:
        f.write(b"half a li\n")
    place.add([2])
    assert place.run("--exit-on-eof").returncode == 0
    lines = [json.loads(line) for line in place.out.read_bytes().splitlines()]
    rejects = [line for line in lines if "reject" in line]
    assert len(lines) == 3
    assert (rejects[0]["raw"], rejects[0]["reject"]["file"]) == ("half a li", str(place.audit))


def test_the_store_is_an_output(place: Place) -> None:
    place.write(PIPELINE + "    - name: store\n")
    place.add(range(40))
    assert place.run("--exit-on-eof").returncode == 0
    query = ["sql", "select count(*) as n from audit", "-o", "json", "--state", str(place.directory / "state")]
    done = subprocess.run(
        [sys.executable, "-m", "kubewitness", *query],
        capture_output=True,
        text=True,
        env=place.environment(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"n": 40}]
    assert len(numbers(place.out)) == 40


def test_a_run_that_only_ships_loads_neither_store_nor_server(place: Place) -> None:
    place.write(storage="memory")
    place.add([1])
    code = (
        "import sys; from kubewitness.cli import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'duckdb', 'deltalake', 'lightkube', 'aiohttp', 'rich'} & set(sys.modules)))"
    )
    args = place.command("--exit-on-eof")[3:]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, env=place.environment())
    assert done.stdout.strip() == "0 []", done.stderr


def test_a_dry_run_checks_and_starts_nothing(place: Place) -> None:
    place.write()
    place.add([1])
    done = place.run("--dry-run")
    assert (done.returncode, done.stdout) == (0, f"{place.pipeline}: ok, 1 inputs, 1 outputs\n")
    assert not place.out.exists()
    assert not (place.directory / "state").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("refresh_interval: 20ms", "refresh_intervall: 1", ":8: kubernetes_audit: unknown key 'refresh_intervall'"),
        ("format: plain", "format: xml", ":15: output file.0: 'format' cannot be 'xml'"),
        (
            "match: kube.*",
            "match: cube.*",
            ":12: match 'cube.*' of output file fits no input's tag; there is kube.audit",
        ),
        ("name: file", "name: fil", ":11: unknown output 'fil'; did you mean 'file'?"),
        ("flush: 0.05", "flush: soon", ":2: service: 'flush' is 'soon'; it takes a time (10m)"),
        ("storage.type: filesystem", "storage.type: disk", ":3: service: 'storage.type' cannot be 'disk'"),
    ],
)
def test_a_mistake_is_told_with_its_place(place: Place, old: str, new: str, message: str) -> None:
    place.write(PIPELINE.replace("{storage}", "filesystem").replace(old, new))
    done = place.run("--dry-run")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.crash
def test_killed_at_any_moment_every_event_comes_out_and_none_is_torn(place: Place) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    place.write()
    total = 0
    for _ in range(8):
        process = place.start()
        until = time.monotonic() + rng.uniform(0.3, 1.2)
        while time.monotonic() < until:
            step = rng.randint(1, 30)
            place.add(range(total, total + step))
            total += step
            time.sleep(0.003)
        assert process.poll() is None
        process.kill()
        process.wait()
    assert place.run("--exit-on-eof").returncode == 0
    got = numbers(place.out)
    assert list(dict.fromkeys(got)) == list(range(total))
    with Journal(place.journal()) as journal:
        stored = sum(c.get("stored", 0) for c in journal.stats().counters.values())
    assert stored == total
    print(f"8 kills, {total} events: each captured once, {len(got) - total} written again")
