"""`kubewitness-fluent-bit` and `run` as processes: from the first line of the log to the last, and through reloads."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.harness.ports import free_port
from tests.pipeline.whole import far_side

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
FLUENT_BIT = "import sys; from kubewitness.cli import drop_in; sys.exit(drop_in())"
COMMANDS = {
    "run": [sys.executable, "-m", "kubewitness", "run"],
    "kubewitness-fluent-bit": [sys.executable, "-c", FLUENT_BIT],
}
PIPELINE = """\
[SERVICE]
    Flush          0.05
    Hot_Reload     on
    Storage.Type   {storage}
[INPUT]
    Name           tail
    Path           {place}/*.log
    Read_From_Head true
    Tag            app
[OUTPUT]
    Name           file
    Match          *
    Path           {place}
    File           {out}
    Format         template
    Template       {{log}}
"""
HTTP = """\
[OUTPUT]
    Name           http
    Match          *
    Host           127.0.0.1
    Port           {port}
    Format         json_lines
    Json_Date_Key  false
"""
STAMP = r"^\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{9}\] "


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Running:
    """A process, and its log as far as it is written."""

    def __init__(self, name: str, place: Path, *arguments: str) -> None:
        self._log = place / "stderr.txt"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "KUBEWITNESS_STATE": str(place / "state")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([*COMMANDS[name], *arguments], stderr=log, env=environment, cwd=place)

    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        wait_for(lambda: self.log().count(text) >= times or self.process.poll() is not None, text)
        assert self.log().count(text) >= times, self.log()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def running(name: str, place: Path, *arguments: str) -> Iterator[Running]:
    it = Running(name, place, *arguments)
    try:
        yield it
    finally:
        it.process.kill()
        it.process.wait()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_it_starts_works_and_stops_as_scripts_for_fluent_bit_expect(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("one\ntwo\n")
    config = tmp_path / "fluent-bit.conf"
    text = PIPELINE.format(place=tmp_path, storage="memory", out="out.txt")
    config.write_text(text.replace("Hot_Reload", "# Hot_Reload"))
    with running("kubewitness-fluent-bit", tmp_path, "-c", str(config)) as it:
        wait_for(lambda: lines(tmp_path / "out.txt") == ["one", "two"], "two lines")
        it.process.send_signal(signal.SIGHUP)
        it.wait_for("[ info] [engine] caught signal (SIGHUP)")
        it.wait_for("[ warn] [reload] hot reloading is not enabled")
        it.process.send_signal(signal.SIGCONT)
        it.wait_for("===== Storage Layer =====")
        assert it.stop() == 0
        log = it.log()
    assert log.startswith("Fluent Bit v")
    for said in (
        r"\[ info\] \[fluent bit\] version=\d+\.\d+\.\d+, commit=\S+, pid=\d+$",
        r"\[ info\] \[storage\] ver=\S+, type=memory, sync=normal, checksum=off, max_chunks_up=128$",
        r"\[ info\] \[input:tail:tail\.0\] initializing$",
        r"\[ info\] \[output:file:file\.0\] worker #0 started$",
        r"\[ info\] \[engine\] caught signal \(SIGTERM\)$",
        r"\[ warn\] \[engine\] service will shutdown in max 5 seconds$",
        r"\[ info\] \[engine\] service has stopped \(0 pending chunks\)$",
    ):
        assert re.search(STAMP + said, log, re.MULTILINE), said
    assert "tail.0\n" in log
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("name", "storage"), [("kubewitness-fluent-bit", "memory"), ("run", "filesystem")])
def test_five_reloads_while_lines_come_lose_none_and_repeat_none(tmp_path: Path, name: str, storage: str) -> None:
    source, out, config = tmp_path / "app.log", tmp_path / "out.txt", tmp_path / "fluent-bit.conf"
    written = 0
    with contextlib.ExitStack() as stack:
        port, given = stack.enter_context(far_side())
        text = PIPELINE.format(place=tmp_path, storage=storage, out="out.txt")
        config.write_text(text + HTTP.format(port=port))
        f = stack.enter_context(source.open("w"))
        it = stack.enter_context(running(name, tmp_path, "-c", str(config)))

        def write(count: int) -> None:
            nonlocal written
            f.write("".join(f"line {n}\n" for n in range(written, written + count)))
            f.flush()
            written += count

        write(1000)
        wait_for(lambda: bool(lines(out)), "the first line")
        for n in range(1, 6):
            write(2000)
            it.process.send_signal(signal.SIGHUP)
            while it.log().count("successful reload done.") < n:
                write(50)
                assert it.process.poll() is None, it.log()
                time.sleep(0.01)
        wait_for(lambda: len(lines(out)) >= written and len(given) >= written, "all lines")
        assert it.stop() == 0
    assert lines(out) == given == [f"line {n}" for n in range(written)]


def test_a_reload_takes_up_what_changed_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    source, config = tmp_path / "app.log", tmp_path / "fluent-bit.conf"
    text = PIPELINE.format(place=tmp_path, storage="memory", out="{out}")
    config.write_text(text.replace("{out}", "first.txt"))
    source.write_text("one\n")
    with running("kubewitness-fluent-bit", tmp_path, "-c", str(config)) as it, source.open("a") as f:
        wait_for(lambda: lines(tmp_path / "first.txt") == ["one"], "the first line")
        for wrong, said in (
            (text.replace("Read_From_Head", "Raed_From_Head"), "'raed_from_head'; did you mean 'read_from_head'?"),
            (text.replace("[OUTPUT]", "[INPUT]"), "unknown input 'file'"),
            (text.replace("memory", "filesystem"), "'storage.type' cannot be changed by a reload; restart"),
        ):
            config.write_text(wrong)
            it.process.send_signal(signal.SIGHUP)
            it.wait_for(said)
        assert it.log().count("[error] [reload] reloaded config is invalid. Reloading is halted: ") == 3
        f.write("two\n")
        f.flush()
        wait_for(lambda: lines(tmp_path / "first.txt") == ["one", "two"], "the second line, as before")
        config.write_text(text.replace("{out}", "second.txt"))
        it.process.send_signal(signal.SIGHUP)
        it.wait_for("[reload] successful reload done.")
        f.write("three\n")
        f.flush()
        wait_for(lambda: lines(tmp_path / "second.txt") == ["three"], "the third line, elsewhere")
        # one that can be read, but cannot start: the address is nobody's
        config.write_text(
            text.replace("{out}", "third.txt") + "[INPUT]\n    Name kubernetes_audit\n    Listen 192.0.2.1\n"
        )
        it.process.send_signal(signal.SIGHUP)
        it.wait_for("[error] [reload] the new configuration cannot run, the one before goes on: ")
        f.write("four\n")
        f.flush()
        wait_for(lambda: lines(tmp_path / "second.txt") == ["three", "four"], "the fourth line, as before")
        assert it.stop() == 0
    assert lines(tmp_path / "first.txt") == ["one", "two"]


def test_it_goes_on_in_the_background(tmp_path: Path) -> None:
    config, log = tmp_path / "fluent-bit.conf", (tmp_path / "log.txt").read_text
    (tmp_path / "app.log").write_text("one\n")
    text = PIPELINE.format(place=".", storage="memory", out="out.txt")
    config.write_text(text.replace("[INPUT]", "    Daemon on\n    Log_File log.txt\n    Log_Level debug\n[INPUT]", 1))
    with running("kubewitness-fluent-bit", tmp_path, "-w", str(tmp_path), "-c", str(config)) as it:
        assert it.process.wait(30) == 0
        assert it.log().endswith("in the place of Fluent Bit\n\n")
    wait_for(lambda: "switching to background mode (PID=" in log(), "the child")
    found = re.search(r"background mode \(PID=(\d+)\)", log())
    assert found is not None
    child = int(found[1])
    try:
        wait_for(lambda: lines(tmp_path / "out.txt") == ["one"], "what the child does")
    finally:
        os.kill(child, signal.SIGTERM)
    wait_for(lambda: "[engine] service has stopped" in log(), "its end")
    assert "[debug] " in log()


def test_the_monitoring_port_counts_and_reloads(tmp_path: Path) -> None:
    source, config, port = tmp_path / "app.log", tmp_path / "fluent-bit.conf", free_port()
    text = PIPELINE.format(place=tmp_path, storage="memory", out="out.txt")
    config.write_text(text.replace("[INPUT]", "    HC_Period 5\n[INPUT]", 1))
    source.write_text("one\ntwo\n")
    monitor = f"http://127.0.0.1:{port}"

    def got(path: str, data: bytes | None = None) -> str:
        with urllib.request.urlopen(monitor + path, data=data, timeout=10) as response:
            return str(response.read().decode())

    with running("kubewitness-fluent-bit", tmp_path, "-c", str(config), "-H", "-L", "127.0.0.1", "-P", str(port)) as it:
        it.wait_for(f"[http_server] listen iface=127.0.0.1 tcp_port={port}")
        wait_for(lambda: lines(tmp_path / "out.txt") == ["one", "two"], "two lines")
        wait_for(lambda: json.loads(got("/api/v1/metrics"))["output"]["file.0"]["proc_records"] == 2, "the count")
        files = {"files_opened": 1, "files_closed": 0, "files_rotated": 0, "long_line_skipped": 0}
        assert json.loads(got("/api/v1/metrics"))["input"] == {"tail.0": {"records": 2, "bytes": 8, **files}}
        assert 'fluentbit_logger_logs_total{message_type="error"} 0\n' in got("/api/v2/metrics/prometheus")
        assert 'fluentbit_output_proc_records_total{name="file.0"} 2\n' in got("/api/v2/metrics/prometheus")
        assert "kubewitness_pipeline_healthy 1\n" in got("/metrics")
        assert (got("/api/v1/health"), got("/healthz"), got("/readyz")) == ("ok\n",) * 3
        assert json.loads(got("/api/v1/storage"))["storage_layer"]["chunks"]["fs_chunks"] == 0
        assert json.loads(got("/api/v2/reload", b"{}")) == {"reload": "done", "status": 0}
        it.wait_for("[reload] successful reload done.")
        assert json.loads(got("/api/v2/reload")) == {"hot_reload_count": 1}
        assert it.stop() == 0


@pytest.mark.soak
@pytest.mark.parametrize(("name", "storage"), [("kubewitness-fluent-bit", "memory"), ("run", "filesystem")])
def test_many_reloads_and_a_far_side_that_comes_and_goes_lose_no_line_and_repeat_none(
    tmp_path: Path, name: str, storage: str
) -> None:
    config, out, begun, written, hangups = tmp_path / "fluent-bit.conf", tmp_path / "out.txt", time.monotonic(), 0, 0

    def passed() -> float:
        return time.monotonic() - begun

    def status() -> int:
        time.sleep(random.random() * 0.05)
        return 503 if passed() < 30 and (random.random() < 0.3 or int(passed() / 4) % 2 == 1) else 200

    with contextlib.ExitStack() as stack:
        port, given = stack.enter_context(far_side(status))
        text = PIPELINE.format(place=tmp_path, storage=storage, out="out.txt") + HTTP.format(port=port)
        config.write_text(
            text.replace("[INPUT]", "    scheduler.base 1\n    scheduler.cap 1\n[INPUT]")
            + "    Retry_Limit no_limits\n"
        )
        f = stack.enter_context((tmp_path / "app.log").open("w"))
        it = stack.enter_context(running(name, tmp_path, "-c", str(config)))
        wait_for(lambda: "worker #0 started" in it.log() or passed() > 3, "the start")
        while passed() < 30:
            count = random.randrange(1, 300)
            f.write("".join(f"line {n}\n" for n in range(written, written + count)))
            f.flush()
            written += count
            if passed() > 2 + 0.7 * hangups:
                it.process.send_signal(signal.SIGHUP)
                hangups += 1
            time.sleep(0.02)
        wait_for(lambda: len(lines(out)) >= written and len(given) >= written, "all lines")
        time.sleep(1)  # one that came twice would come now
        assert it.stop() == 0
        reloads = it.log().count("successful reload done.")
    print(f"{written} lines, {reloads} reloads")
    assert reloads > 5
    assert lines(out) == given == [f"line {n}" for n in range(written)]
