"""Output `opentelemetry`: records -> bodies of OTLP requests (protobuf), in CPU seconds of one thread.

    python -m benchmarks.otlp [--records 12000] [--runs 3]

Audit events as the generator makes them; container logs with a pod's metadata, as filter `kubernetes` leaves them;
lines of text. The yardstick is `orjson.loads` + `orjson.dumps` of the same records.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from array import array
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

import orjson

from benchmarks.generate import episodes
from kubewitness.contracts import Delivery
from kubewitness.outputs.otlp_records import PLAIN, body_of
from kubewitness.record import Chunk

_T = TypeVar("_T")
#: log records a request
_BATCH = 1000
_TIME = 1_700_000_000_000_000_000


def _audit(count: int) -> list[bytes]:
    lines = (line for block in episodes(count, 24) for line in block.splitlines())
    return list(islice(lines, count))


def _pod(n: int) -> dict[str, object]:
    return {
        "pod_name": f"web-5d8f-{n:05x}",
        "namespace_name": "shop",
        "pod_id": f"{n:08x}-0000-4000-8000-000000000000",
        "labels": {"app": "web", "pod-template-hash": f"{n:x}abc", "tier": "front"},
        "annotations": {"prometheus.io/scrape": "true"},
        "host": f"worker-{n % 5}",
        "container_name": "web",
        "docker_id": f"{n:064x}",
        "container_image": "registry.example.com/shop/web:1.2",
    }


def _containers(count: int) -> list[bytes]:
    draw, pods = random.Random(1), [_pod(n) for n in range(60)]
    return [
        json.dumps(
            {
                "time": f"2026-11-27T10:00:{n % 60:02d}.{n:09d}Z",
                "stream": "stdout",
                "_p": "F",
                "log": f"GET /cart/{draw.randrange(10**6)} HTTP/1.1 200 in {draw.random():.6f} s",
                "kubernetes": pods[n % 60],
            },
            separators=(",", ":"),
        ).encode()
        for n in range(count)
    ]


def _texts(count: int) -> list[bytes]:
    draw = random.Random(1)
    return [b"%d GET /cart/%d HTTP/1.1 200, as lines of logs are" % (n, draw.randrange(10**6)) for n in range(count)]


def _deliveries(lines: list[bytes], form: str) -> list[Delivery]:
    made = []
    for start in range(0, len(lines), _BATCH):
        part = lines[start : start + _BATCH]
        ends, at = array("I"), 0
        for line in part:
            at += len(line)
            ends.append(at)
            at += 1
        times = array("q", range(_TIME + start, _TIME + start + len(part)))
        chunk = Chunk("logs", data=b"\n".join(part) + b"\n", ends=ends, times=times)
        chunk.form, chunk.lines = form, True
        made.append(Delivery(start + 1, chunk))
    return made


def _seconds(runs: int, what: Sequence[_T], work: Callable[[_T], bytes]) -> float:
    """CPU seconds of the fastest run."""
    found = []
    for _ in range(runs):
        begin = time.process_time()
        for one in what:
            work(one)
        found.append(time.process_time() - begin)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=12_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    workloads = {
        "audit": (_audit(args.records), "record"),
        "container logs with metadata": (_containers(args.records), "record"),
        "lines of text": (_texts(args.records), "text"),
    }
    for name, (lines, form) in workloads.items():
        deliveries = _deliveries(lines, form)
        ours = _seconds(args.runs, deliveries, lambda one: body_of([one], PLAIN))
        objects = lines if form == "record" else [orjson.dumps({"log": line.decode()}) for line in lines]
        yardstick = _seconds(args.runs, objects, lambda one: orjson.dumps(orjson.loads(one)))
        size = sum(map(len, lines))
        print(f"{name}: {len(lines)} records of {size // len(lines)} bytes: {size / ours / 1e6:.1f} MB/s, "
              f"{len(lines) / ours:.0f} records/s, x yardstick {yardstick / ours:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
