"""Writes container logs as fast as they are read, and rotates each once a second as the kubelet does.

`python -m tests.crash.rotation_writer FOLDER CONTAINERS SECONDS SEED` writes under FOLDER/pods and FOLDER/containers,
obeys FOLDER/verified (how many lines have come out, see `Counts`) and leaves FOLDER/written.json.

A rotation is: rename; the runtime writes on to the old file for a moment; a new file is made. Then the file rotated
before that is compressed beside and takes its place, and of compressed ones all but the latest are removed, if they
have come out: what the kubelet removes before it is read nobody can read.
"""

from __future__ import annotations

import gzip
import json
import mmap
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

#: lines that may be written and not have come out yet
_AHEAD = 100_000
STREAMS = ("stdout", "stderr")
#: what the runtime splits lines at
_PART = 16_384
_FILLER = "".join(random.Random(7).choices('abcdefghijklmnopqrstuvwxyz ä\\"', k=140_000))
#: compressed files that are left for each container
_LEFT = 3


def text_of(name: str, stream: str, number: int) -> str:
    """The line of that number: most are short, one in 500 is longer than one part."""
    start = number * 13 % 70_000
    length = 20_000 + number * 31 % 40_000 if number % 500 == 499 else 20 + number * 7919 % 250
    return f"{name} {stream} {number} {_FILLER[start : start + length]}"


class Counts:
    """How many lines have come out of each container's streams, in memory that two processes share."""

    def __init__(self, path: Path, containers: int) -> None:
        size = 8 * len(STREAMS) * containers
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._shared = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")

    def set(self, container: int, stream: str, count: int) -> None:
        self._shared[len(STREAMS) * container + STREAMS.index(stream)] = count

    def of(self, container: int) -> tuple[int, int]:
        return self._shared[2 * container], self._shared[2 * container + 1]

    def total(self) -> int:
        return sum(self._shared)


@dataclass
class Container:
    """`numbers`: of the next line of each stream."""

    name: str
    index: int
    log: Path
    file: int = -1
    numbers: Counter[str] = field(default_factory=Counter)
    rotations: int = 0
    split: int = 0
    #: rotated files, and the numbers that had been written by then
    rotated: list[tuple[Path, tuple[int, int]]] = field(default_factory=list)
    #: parts of a line that stand behind the next other lines, or behind the next rotation
    rest: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def block(self, rng: random.Random) -> bytes:
        """Some lines; a long stdout line has stderr's between its parts."""
        stamp = time.time_ns()
        head = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp // 10**9)) + f".{stamp % 10**9:09d}Z "
        lines: list[str] = self.rest
        self.rest = []
        for _ in range(rng.randint(50, 250)):
            number = self.numbers["stdout"]
            self.numbers["stdout"] += 1
            text = text_of(self.name, "stdout", number)
            if len(text) <= _PART:
                lines.append(f"{head}stdout F {text}\n")
                continue
            self.split += 1
            parts = [text[at : at + _PART] for at in range(0, len(text), _PART)]
            lines += [f"{head}stdout P {part}\n{self._aside(head)}" for part in parts[:-1]]
            self.rest = [f"{head}stdout F {parts[-1]}\n"]
            break
        return "".join(lines).encode()

    def _aside(self, head: str) -> str:
        number = self.numbers["stderr"]
        self.numbers["stderr"] += 1
        return f"{head}stderr F {text_of(self.name, 'stderr', number)}\n"

    def write(self, data: bytes, rng: random.Random) -> None:
        """Not always at once, as a file shows what is being written."""
        torn = rng.randrange(len(data)) if rng.random() < 0.3 else 0
        if torn:
            os.write(self.file, data[:torn])
        os.write(self.file, data[torn:])

    def rotate(self, rng: random.Random) -> int:
        self.rotations += 1
        old = self.log.with_name(f"{self.log.name}.{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
        while old.exists():
            old = old.with_name(old.name + "0")
        self.log.rename(old)
        late = self.block(rng)
        self.write(late, rng)
        if rng.random() < 0.2:
            time.sleep(0.02)  # nothing has the log's name meanwhile
        os.close(self.file)
        self.rotated.append((old, (self.numbers["stdout"], self.numbers["stderr"])))
        self.open()
        return len(late)

    def compress(self, counts: Counts) -> None:
        """All rotated files but the latest; then removes the oldest."""
        for path, _ in self.rotated[:-1]:
            if not path.exists():
                continue
            temporary = path.with_name(path.name + ".tmp")
            with gzip.open(temporary, "wb", compresslevel=1) as file:
                file.write(path.read_bytes())
            temporary.rename(path.with_name(path.name + ".gz"))
            path.unlink()
        while len(self.rotated) > _LEFT + 1:
            path, numbers = self.rotated[0]
            out = counts.of(self.index)
            if out[0] < numbers[0] or out[1] < numbers[1]:
                break
            path.with_name(path.name + ".gz").unlink()
            del self.rotated[0]


def container(root: Path, number: int) -> Container:
    name = f"web-{number:02d}"
    log = root / "pods" / f"shop_{name}_0a1b2c3d-0000-4000-8000-{number:012d}" / "app" / "0.log"
    log.parent.mkdir(parents=True)
    made = Container(name, number, log)
    made.open()
    (root / "containers" / f"{name}_shop_app-{number:064x}.log").symlink_to(log)
    return made


def compressing(containers: list[Container], counts: Counts, stop: threading.Event) -> None:
    while not stop.wait(0.2):
        for one in containers:
            one.compress(counts)


def main(root: Path, count: int, seconds: float, seed: int) -> None:
    rng = random.Random(seed)
    (root / "containers").mkdir(parents=True)
    containers = [container(root, number) for number in range(count)]
    counts = Counts(root / "verified", count)
    stop = threading.Event()
    compressor = threading.Thread(target=compressing, args=(containers, counts, stop))
    compressor.start()
    written, waited = 0, 0.0
    begun = time.monotonic()
    rotate_at = begun + 1
    while (now := time.monotonic()) < begun + seconds:
        for one in containers:
            data = one.block(rng)
            one.write(data, rng)
            written += len(data)
        if now >= rotate_at:
            written += sum(one.rotate(rng) for one in containers)
            rotate_at = max(rotate_at + 1, now)
        # as fast as they are read; a rotation waits, too: the kubelet's limit is a size
        while sum(one.numbers.total() for one in containers) - counts.total() > _AHEAD and (
            time.monotonic() < begun + seconds
        ):
            time.sleep(0.005)
            waited += 0.005
    for one in containers:
        rest = "".join(one.rest).encode()
        if rest:
            one.write(rest, rng)
        written += len(rest)
        os.close(one.file)
    stop.set()
    compressor.join()
    report = {
        "bytes": written,
        "seconds": time.monotonic() - begun,
        "waited": waited,
        "rotations": sum(one.rotations for one in containers),
        "split": sum(one.split for one in containers),
        "lines": {f"{one.name} {stream}": n for one in containers for stream, n in one.numbers.items()},
    }
    (root / "written.tmp").write_text(json.dumps(report))
    (root / "written.tmp").rename(root / "written.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
