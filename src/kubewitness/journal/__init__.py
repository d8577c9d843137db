"""The durable queue between inputs and outputs.

    with Journal(paths.journal) as journal:
        journal.register("store/audit", {"audit"})
        journal.append([Batch([chunk], {"kubernetes_audit/file": b"..."})])     # durable when it returns
        for delivery in journal.deliveries(journal.cursor("store/audit"), tables={"audit"}):
            ...
            journal.advance("store/audit", delivery.seq)                        # forgets what every output has

Format and invariants: `schema.py`. Several processes may append to one journal at the same time.
"""

from kubewitness.journal.frames import Frame, unpack
from kubewitness.journal.journal import SIZE_LIMIT, WINDOW, Journal
from kubewitness.journal.view import After, Held, OutputStats, Stats, View

__all__ = [
    "SIZE_LIMIT",
    "WINDOW",
    "After",
    "Frame",
    "Held",
    "Journal",
    "OutputStats",
    "Stats",
    "View",
    "unpack",
]
