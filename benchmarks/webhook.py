"""Audit webhook: EventLists as the API server sends them -> durable 200, CPU seconds of the receiving process.

    python -m benchmarks.webhook [--megabytes 300] [--items 400] [--runs 3] [--profile FILE]

The receiver is a process of its own with the journal that `record` uses (fsync on); nothing drains it, so that the
figure is the receiver's alone. The sender keeps four connections busy, as an API server with a full buffer does.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import resource
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, Queue

from benchmarks.generate import episodes

_CONNECTIONS = 4
_MEAN_BYTES = 2400


def receive(state: str, pipe: Connection, profile: str) -> None:
    """The receiving process: says its port, ends at the first message, and then says what it cost."""
    from kubewitness.inputs.audit_webhook import AuditWebhook, Listener
    from kubewitness.journal import Journal
    from kubewitness.pipeline.committer import Committer

    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def main() -> None:
        with Journal(Path(state) / "journal.db") as journal:
            committer = Committer(journal)
            webhook = AuditWebhook(Listener("127.0.0.1", 0), "bench")
            task = asyncio.create_task(webhook.run(committer))
            while not webhook.port:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            pipe.send(webhook.port)
            before = _cpu()
            await asyncio.to_thread(pipe.recv)
            cost = _cpu() - before
            health = webhook.health()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await committer.close()
            pipe.send((cost, health["records"], _peak_mb()))

    if profile:
        import cProfile

        with cProfile.Profile() as profiler:
            asyncio.run(main())
        profiler.dump_stats(profile)
    else:
        asyncio.run(main())


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mb() -> float:
    """Of this program alone: ru_maxrss begins with what the process was before its exec."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def bodies(megabytes: int, items: int) -> Iterator[bytes]:
    """EventLists of so many items, as the API server writes them: without kind and apiVersion in the items."""
    blocks = episodes(megabytes * 1_000_000 // _MEAN_BYTES, 24.0, _MEAN_BYTES)
    lines = (line for block in blocks for line in block.splitlines())
    while batch := list(islice(lines, items)):
        head = json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}})[:-1].encode()
        yield head + b',"items":[' + b",".join(batch) + b"]}"


def send(port: int, queue: Queue[bytes], took: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        try:
            body = queue.get_nowait()
        except Empty:
            return
        start = time.perf_counter()
        connection.request("POST", "/audit", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}")
        took.append(time.perf_counter() - start)


def one_run(all_bodies: list[bytes], profile: str) -> tuple[float, float, float, list[float]]:
    """(CPU s, wall s, peak MB of the receiver, seconds of each request)"""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with tempfile.TemporaryDirectory(dir=".") as state:
        process = spawn.Process(target=receive, args=(state, theirs, profile))
        process.start()
        port = ours.recv()
        queue: Queue[bytes] = Queue()
        for body in all_bodies:
            queue.put(body)
        took: list[float] = []
        threads = [threading.Thread(target=send, args=(port, queue, took)) for _ in range(_CONNECTIONS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.perf_counter() - start
        ours.send("end")
        cost, records, peak = ours.recv()
        process.join()
    if not records:
        raise RuntimeError("nothing was recorded")
    return cost, wall, peak, took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", default="", help="write cProfile's figures there")
    args = parser.parse_args()
    all_bodies = list(bodies(args.megabytes, args.items))
    size_mb = sum(map(len, all_bodies)) / 1e6
    print(f"{size_mb:.0f} MB in {len(all_bodies)} EventLists of {args.items} items")
    print("| MB per CPU s | CPU s | wall s | p50 ms | peak MB |\n|---|---|---|---|---|")
    for _ in range(args.runs):
        cpu, wall, peak, took = one_run(all_bodies, args.profile)
        p50 = statistics.median(took) * 1000
        print(f"| {size_mb / cpu:.0f} | {cpu:.2f} | {wall:.2f} | {p50:.0f} | {peak:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
