"""The queryable record. The only code that knows the tables.

store = Store(paths)
with store.session() as s:                                    # one moment of everything recorded
    s.query("SELECT count(*) FROM audit WHERE verb = ?", ["delete"])
with StoreWriter.acquire(paths) as w:                         # one process at a time
    w.drain(journal)
"""

from kubewitness.store.session import Session, Store
from kubewitness.store.writer import CommitResult, DrainResult, StoreWriter

__all__ = ["CommitResult", "DrainResult", "Session", "Store", "StoreWriter"]
