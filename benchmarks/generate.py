"""Audit lines for benchmarks, as many as wanted, made from the bundled recording.

The recording (one *episode*: deployments, a rollout, a drain, ...) is cut into a template once and played again
and again: every episode has its own namespaces, uids, auditIDs and times, and takes turns on 300 nodes, so that names,
cardinalities and causal structure stay those of a real cluster. Deterministic for a seed.

    python -m benchmarks.generate --records 1000000 [--hours 24] > audit.jsonl
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import zstandard

DATA = Path(__file__).parent.parent / "src" / "kubewitness" / "demo" / "data" / "audit.jsonl.zst"

_SLOT = re.compile(
    rb"(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    rb"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"
    rb"|(?P<ns>\b(?:shop|payments|staging)\b)"
    rb"|(?P<node>\bworker-\d\b)"
)
#: every episode runs on three nodes of one of so many racks
_RACKS = 100
_READ = re.compile(rb'"verb":"(?:get|list|watch)"|"resource":"leases"')
_START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())


class Template:
    """The recording as literals and slots."""

    def __init__(self, lines: list[bytes], mean_bytes: int) -> None:
        lines = _weighted(lines, mean_bytes)
        self.records = len(lines)
        self._pieces: list[bytes] = []
        self._slots: list[int] = []
        names: dict[tuple[str, bytes], int] = {}
        for line in lines:
            self._cut(line + b"\n", names)
        self.uuids = [i for (kind, _), i in names.items() if kind == "uuid"]
        self.nodes = {i: value for (kind, value), i in names.items() if kind == "node"}
        self.namespaces = {i: value for (kind, value), i in names.items() if kind == "ns"}
        seconds = {i: _seconds(value) for (kind, value), i in names.items() if kind == "time"}
        first = min(seconds.values())
        self.times = {i: s - first for i, s in seconds.items()}
        self.count = len(names)

    def _cut(self, line: bytes, names: dict[tuple[str, bytes], int]) -> None:
        at = 0
        for match in _SLOT.finditer(line):
            self._pieces.append(line[at : match.start()])
            key = (match.lastgroup or "", match.group())
            self._slots.append(names.setdefault(key, len(names)))
            at = match.end()
        self._pieces.append(line[at:])
        self._slots.append(-1)

    def play(self, episode: int, start: int, rng: random.Random) -> bytes:
        """The whole episode's lines, its first record at `start` (seconds since 1970)."""
        values: list[bytes] = [b""] * (self.count + 1)
        for i in self.uuids:
            h = b"%032x" % rng.getrandbits(128)
            values[i] = b"-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
        for i, name in self.namespaces.items():
            values[i] = name + b"-%d" % episode
        for i, name in self.nodes.items():
            values[i] = name + b"-%d" % (episode % _RACKS)
        for i, offset in self.times.items():
            values[i] = datetime.fromtimestamp(start + offset, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        out = io.BytesIO()
        out.writelines(
            part for pair in zip(self._pieces, map(values.__getitem__, self._slots), strict=True) for part in pair
        )
        return out.getvalue()


def _weighted(lines: list[bytes], mean_bytes: int) -> list[bytes]:
    """Leaves out reads and heartbeats, evenly, until the mean size is at least `mean_bytes`; never a change."""
    small = [i for i, line in enumerate(lines) if len(line) < mean_bytes and _READ.search(line)]
    total, count = sum(map(len, lines)), len(lines)
    dropped: set[int] = set()
    random.Random(7).shuffle(small)
    for i in small:
        if total / count >= mean_bytes:
            break
        dropped.add(i)
        total, count = total - len(lines[i]), count - 1
    return [line for i, line in enumerate(lines) if i not in dropped]


def _seconds(text: bytes) -> int:
    return int(datetime.strptime(text.decode(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp())


def recording() -> list[bytes]:
    """The bundled recording's lines."""
    with zstandard.ZstdDecompressor().stream_reader(DATA.read_bytes()) as reader:
        return reader.read().splitlines()


def episodes(records: int, hours: float, mean_bytes: int = 2400, seed: int = 1) -> Iterator[bytes]:
    """Blocks of lines (one episode each) until at least `records`, spread over `hours`."""
    template = Template(recording(), mean_bytes)
    rng = random.Random(seed)
    wanted = -(-records // template.records)
    for n in range(wanted):
        yield template.play(n, _START + int(n * hours * 3600 / wanted), rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=0, help="stop at this size instead")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    limit = args.megabytes * 1_000_000
    records = limit // 2000 if limit else args.records
    written = 0
    for block in episodes(records, args.hours, seed=args.seed):
        sys.stdout.buffer.write(block)
        written += len(block)
        if limit and written >= limit:
            break


if __name__ == "__main__":
    main()
