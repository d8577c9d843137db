"""A recorder that can be killed at any moment: appends known records to the journal, drains, compacts.

python -m tests.crash.store_child STATE SEED [STORE]     after each append that returned, STATE/acked holds the next
number
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.record import Chunk, chunk_of
from kubewitness.store import StoreWriter
from tests.store.states import T0, audit_line, event

#: Every so many records one cannot be understood.
REJECT_EVERY = 17


def chunks(first: int, count: int) -> list[Chunk]:
    """Records number `first` and following: audit records, some of them broken, and Events."""
    lines = [b"broken %d" % n if n % REJECT_EVERY == 0 else audit_line(n) for n in range(first, first + count)]
    events = [event(f"u{n}", n, 1, us=T0) for n in range(first, first + count)]
    made = [chunk_of("audit", [(x, b"") for x in lines]), chunk_of("events", [(x, b"") for x in events])]
    for chunk in made:
        chunk.received_us = T0
    return made


def main() -> None:
    root, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    paths = StatePaths(root, sys.argv[3] if len(sys.argv) > 3 else str(root / "store")).create()
    with Journal(paths.journal) as journal:
        position = int(journal.position("child") or b"0")
        with StoreWriter.acquire(paths, wait=5) as writer:
            print("ready", flush=True)
            while True:
                for _ in range(rng.randint(1, 4)):
                    count = rng.randint(1, 60)
                    journal.append([Batch(chunks(position, count), {"child": b"%d" % (position + count)})])
                    position += count
                    acked = root / "acked"
                    acked.with_suffix(".new").write_text(str(position))
                    os.replace(acked.with_suffix(".new"), acked)
                writer.drain(journal)
                if rng.random() < 0.3:
                    writer.compact()
                    writer.vacuum(grace=0)


if __name__ == "__main__":
    main()
