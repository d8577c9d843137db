"""`kubewitness record` as a whole process: what it says, what it stores, what it serves, how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_apiserver import FakeApiServer

LINE = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/pods/web-1",
    "verb": "delete",
    "user": {"username": "alice", "groups": ["ops"]},
    "sourceIPs": ["10.0.0.7"],
    "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1", "apiVersion": "v1"},
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": "2026-11-22T10:00:00.000001Z",
    "stageTimestamp": "2026-11-22T10:00:00.000002Z",
}


class Recorder:
    def __init__(self, tmp_path: Path, *args: str, name: str = "messages") -> None:
        self.messages = tmp_path / name
        env = {k: v for k, v in os.environ.items() if not k.startswith("KUBE")} | {"HOME": str(tmp_path)}
        with self.messages.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kubewitness", "record", "--state", str(tmp_path / "state"), *args],
                stdout=subprocess.DEVNULL,
                stderr=out,
                env=env,
            )

    def says(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = re.search(pattern, self.messages.read_text())
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"never said {pattern!r}: {self.messages.read_text()}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def recorder(tmp_path: Path, *args: str, name: str = "messages") -> Iterator[Recorder]:
    running = Recorder(tmp_path, *args, name=name)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def write(log: Path, *ids: str) -> None:
    with log.open("a") as f:
        for name in ids:
            f.write(json.dumps({**LINE, "auditID": name}) + "\n")


def count(tmp_path: Path, table: str) -> int:
    query = f"SELECT count(*) AS n FROM {table}"
    done = subprocess.run(
        [sys.executable, "-m", "kubewitness", "sql", "--state", str(tmp_path / "state"), "-o", "json", query],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(re.findall(r"\d+", done.stdout)[-1]) if done.returncode == 0 else 0


def reaches(tmp_path: Path, table: str, n: int, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while (got := count(tmp_path, table)) != n:
        assert time.monotonic() < until, f"{got} of {n} records in {table}"
        time.sleep(0.2)


def test_it_says_what_it_records_and_what_is_missing_serves_it_and_ends_cleanly(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, "a", "b")
    with recorder(tmp_path, "--audit-file", str(log), "--listen", "127.0.0.1:0") as running:
        address = running.says(r"answers +(http://\S+)")[1]
        text = running.messages.read_text()
        assert f"file {log}" in text
        assert "Events          not recorded: no cluster is known" in text
        reaches(tmp_path, "audit", 2)
        with urllib.request.urlopen(f"{address}api/v1/timeline?object=pod/web-1&namespace=shop") as answer:
            assert len(json.load(answer)) == 2
        assert running.stop() == 0
    assert count(tmp_path, "audit") == 2


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, "a")
    with recorder(tmp_path, "--audit-file", str(log), "--no-serve"):
        reaches(tmp_path, "audit", 1)
    write(log, "b")
    log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    write(log, "c")
    with recorder(tmp_path, "--audit-file", str(log), "--no-serve") as running:
        reaches(tmp_path, "audit", 3)
        assert running.stop() == 0


def test_a_second_recorder_of_the_state_joins_as_producer_and_takes_over(tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    write(one, "a")
    write(two, "b")
    with recorder(tmp_path, "--audit-file", str(one), "--no-serve", "--flush-seconds", "0.5") as first:
        reaches(tmp_path, "audit", 1)
        with recorder(tmp_path, "--audit-file", str(two), "--no-serve", "--flush-seconds", "0.5", name="2") as second:
            second.says("another process records into")
            reaches(tmp_path, "audit", 2)
            assert first.stop() == 0
            write(two, "c")
            reaches(tmp_path, "audit", 3)
            assert second.stop() == 0
    assert count(tmp_path, "audit") == 3


async def test_events_of_a_cluster_named_by_address_are_recorded_without_audit(tmp_path: Path) -> None:
    import asyncio

    async with FakeApiServer() as server:
        server.put("e1")
        with recorder(tmp_path, "--server", server.url, "--no-serve") as running:
            await asyncio.to_thread(running.says, "audit trail     not recorded")
            await asyncio.to_thread(reaches, tmp_path, "events", 1)
            server.put("e1")
            await asyncio.to_thread(reaches, tmp_path, "events", 2)
            assert await asyncio.to_thread(running.stop) == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "no cluster is known"),
        (["--kubeconfig", "nowhere"], "kubeconfig nowhere: No such file or directory"),
        (["--audit-cert-file", "x", "--server", "http://x"], "belong to --audit-listen"),
        (["--audit-file", "x", "--audit-listen", "127.0.0.1:port"], "is not a port"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tmp_path: Path, args: list[str], message: str) -> None:
    with recorder(tmp_path, "--no-serve", *args) as running:
        assert running.process.wait(30) == 2
        text = running.messages.read_text()
    assert message in text
    assert text.count("\n") == 1


async def test_versions_of_the_kinds_named_are_stored_beside_events(tmp_path: Path) -> None:
    import asyncio

    async with FakeApiServer() as server:
        server.put("e")
        server.put_thing("pods", "web-1")
        with recorder(tmp_path, "--server", server.url, "--resources", "pods,deploy", "--no-serve") as running:
            await asyncio.to_thread(running.says, "objects         pods, deploy of http://127")
            await asyncio.to_thread(reaches, tmp_path, "events", 1)
            server.put_thing("pods", "web-1")
            server.put_thing("deployments", "web")
            await asyncio.to_thread(reaches, tmp_path, "objects", 3)
            assert await asyncio.to_thread(running.stop) == 0


async def test_without_events_only_the_kinds_named_are_recorded(tmp_path: Path) -> None:
    import asyncio

    async with FakeApiServer() as server:
        server.put_thing("pods", "web-1")
        with recorder(tmp_path, "--server", server.url, "--resources", "po", "--no-events", "--no-serve") as running:
            await asyncio.to_thread(running.says, "objects         po of http://127")
            await asyncio.to_thread(reaches, tmp_path, "objects", 1)
            assert await asyncio.to_thread(running.stop) == 0
    assert not [1 for path, _ in server.requests if path.endswith("/events")]
