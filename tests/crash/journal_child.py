"""The processes that the crash tests kill. Each is `python -m tests.crash.journal_child ROLE DIRECTORY [NAME] [SEED]`.

producer NAME  appends the numbers 0, 1, 2, ... in batches, each with the position after it; after every append that
               returned it writes the position to DIRECTORY/NAME.acked (no fsync: only processes die here)
drainer        delivers to DIRECTORY/delivered and advances its cursor
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from kubewitness.contracts import Batch
from kubewitness.errors import Full
from kubewitness.journal import Journal
from tests.journal.helpers import chunk

#: Small, so that producers also meet the limit and the drainer's deletions matter.
SIZE_LIMIT = 400_000


def record(name: str, n: int) -> bytes:
    return b'{"from":"%s","n":%d,"pad":"%s"}' % (name.encode(), n, random.Random(n).randbytes(40).hex().encode())


def produce(directory: Path, name: str, seed: int, *, limit: int) -> None:
    rng = random.Random(seed)
    acked = os.open(directory / f"{name}.acked", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with Journal(directory / "journal.db", size_limit=limit) as journal:
        n = int(journal.position(name) or b"0")
        while True:
            # A source that is asked again repeats what it was not told to forget: start a little before the position.
            start = max(0, n - rng.choice((0, 0, 0, 5)))
            batches = []
            for _ in range(rng.randint(1, 3)):
                end = max(start, n) + rng.randint(1, 40)
                batches.append(Batch([chunk([record(name, i) for i in range(start, end)])], {name: b"%d" % end}))
                start = n = end
            while True:
                try:
                    journal.append(batches)
                    break
                except Full:
                    time.sleep(0.002)
            os.write(acked, b"%d\n" % n)


def drain(directory: Path) -> None:
    path = directory / "delivered"
    delivered = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a kill may cut a write short
    with Journal(directory / "journal.db") as journal:
        journal.register("out")
        while True:
            deliveries = journal.deliveries(journal.cursor("out"), max_bytes=200_000)
            for d in deliveries:
                # Each line carries the sequence, by which the far side recognises what it is given twice.
                os.write(delivered, b"".join(b"%d %s\n" % (d.seq, r) for r in d.chunk.records()))
                journal.advance("out", d.seq)
            if not deliveries:
                time.sleep(0.001)


def main() -> None:
    role, directory, *rest = sys.argv[1:]
    if role == "drainer":
        drain(Path(directory))
    else:
        produce(Path(directory), rest[0], int(rest[1]), limit=SIZE_LIMIT if role == "bounded" else 1 << 30)


if __name__ == "__main__":
    main()
