"""Inputs `http` and `forward`: container logs as agents send them -> acknowledged when durable, whole process.

    python -m benchmarks.network [http] [forward] [--megabytes 300] [--runs 3]

The receiver is `kubewitness run`, start-up and stop included, with the journal (fsync on) and an output that throws
away what it is given, so that the journal is read and emptied, too. Four senders keep a connection each busy and wait
for every answer: http with an object a line, forward with PackedForward messages as Fluent Bit sends them, a thousand
records each. The yardstick is `orjson.loads` + `orjson.dumps` of the same lines.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from queue import Empty, Queue

import msgpack

from benchmarks.measure import Cost, median, python, run

DATA = Path("bench-data")
_SENDERS = 4
_RECORDS = 1000
#: of the first record
_NS = 1_700_000_000_000_000_000

PIPELINE = """\
service:
  flush: 0.2
pipeline:
  inputs:
    - {{name: {plugin}, listen: 127.0.0.1, port: {port}, buffer_max_size: 16M}}
  outputs:
    - {{name: "null", match: "*"}}
"""


def lines_file(megabytes: int) -> Path:
    """Container logs with their pods' names and labels, 400 bytes a record."""
    path = DATA / f"container-logs-{megabytes}mb.jsonl"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        size, n = 0, 0
        with part.open("w") as file:
            while size < megabytes * 1_000_000:
                size += file.write(json.dumps(record(n)) + "\n")
                n += 1
        part.rename(path)
    return path


def record(n: int) -> dict[str, object]:
    pod = n % 40
    return {
        "time": f"2026-11-27T10:{n // 60_000 % 60:02d}:{n // 1000 % 60:02d}.{n % 1000:03d}000000Z",
        "stream": "stdout",
        "_p": "F",
        "log": f'10.0.{pod}.7 - "GET /cart/{n} HTTP/1.1" 200 {n % 9973} "-" "Mozilla/5.0 (X11; Linux)" {n % 700}',
        "kubernetes": {
            "pod_name": f"web-5ddfd84676-{pod:05d}",
            "namespace_name": "shop",
            "container_name": "web",
            "host": f"worker-{pod % 5}",
            "labels": {"app": "web", "pod-template-hash": "5ddfd84676"},
        },
    }


def bodies(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while lines := list(islice(file, _RECORDS)):
            yield b"".join(lines)


def messages(source: Path) -> Iterator[bytes]:
    n = 0
    for body in bodies(source):
        entries = []
        for line in body.splitlines():
            seconds, nanoseconds = divmod(_NS + n * 1_000_003, 10**9)
            stamp = msgpack.ExtType(0, seconds.to_bytes(4, "big") + nanoseconds.to_bytes(4, "big"))
            entries.append(msgpack.packb([[stamp, {}], json.loads(line)]))
            n += 1
        yield msgpack.packb(["kube.shop", b"".join(entries), {"chunk": f"{n:032x}", "size": len(entries)}])


def post(port: int, waiting: Queue[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while (body := _next(waiting)) is not None:
        connection.request("POST", "/kube.shop", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 503:
            waiting.put(body)
            time.sleep(0.05)
        elif answer.status != 201:
            raise RuntimeError(f"answered {answer.status}")


def forward(port: int, waiting: Queue[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while (message := _next(waiting)) is not None:
            connection.sendall(message)
            if b"ack" not in connection.recv(1000):
                raise RuntimeError("not acknowledged")


def _next(waiting: Queue[bytes]) -> bytes | None:
    try:
        return waiting.get_nowait()
    except Empty:
        return None


SENDERS: dict[str, tuple[Callable[[Path], Iterator[bytes]], Callable[[int, Queue[bytes]], None]]] = {
    "http": (bodies, post),
    "forward": (messages, forward),
}


def one_run(plugin: str, all_messages: list[bytes]) -> Cost:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        config = Path(folder) / "pipeline.yaml"
        config.write_text(PIPELINE.format(plugin=plugin, port=port))
        command = python("-m", "kubewitness", "run", "-c", str(config), "--state", f"{folder}/state")
        start = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not _listens(port):
            time.sleep(0.05)
        waiting: Queue[bytes] = Queue()
        for message in all_messages:
            waiting.put(message)
        threads = [threading.Thread(target=SENDERS[plugin][1], args=(port, waiting)) for _ in range(_SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not waiting.empty():
            raise RuntimeError("not everything was sent")
        peak = _peak_mb(process.pid)
        process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the receiver ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, peak)


def _peak_mb(pid: int) -> float:
    """Of this program alone: ru_maxrss begins with what the process was before its exec."""
    (line,) = (x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=list(SENDERS), help="http, forward")
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    source = lines_file(args.megabytes)
    size_mb = source.stat().st_size / 1e6
    records = sum(1 for _ in source.open("rb"))
    print(f"{source.name}: {size_mb:.0f} MB of JSON, {records} records of {size_mb * 1e6 / records:.0f} bytes\n")
    print("| workload | MB of JSON per CPU s | records per CPU s | x yardstick | CPU s | wall s | peak MB |")
    print("|---|---|---|---|---|---|---|")
    costs: dict[str, list[Cost]] = {"orjson loads + dumps (yardstick)": []}
    given = {plugin: list(SENDERS[plugin][0](source)) for plugin in args.which}
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            yard = run(python("-m", "benchmarks.yardstick", str(source), f"{folder}/out"))
        costs["orjson loads + dumps (yardstick)"].append(yard)
        for plugin, all_messages in given.items():
            costs.setdefault(f"input {plugin} -> journal -> null", []).append(one_run(plugin, all_messages))
    yardstick = median(costs["orjson loads + dumps (yardstick)"]).cpu_s
    for name, taken in costs.items():
        cost = median(taken)
        peak = f"{cost.peak_mb:.0f}" if name.startswith("input") else ""
        print(
            f"| {name} | {size_mb / cost.cpu_s:.0f} | {records / cost.cpu_s:,.0f} | {yardstick / cost.cpu_s:.2f} "
            f"| {cost.cpu_s:.2f} | {cost.wall_s:.2f} | {peak} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
