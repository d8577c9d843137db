"""The queryable record. The only code that knows the tables.

store = Store(paths)
with store.session() as s:                                    # one moment of everything recorded
    s.query("SELECT count(*) FROM audit WHERE verb = ?", ["delete"])
with StoreWriter.acquire(paths) as w:                         # one process at a time
    w.drain(journal)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubewitness.store.session import Session, Store
    from kubewitness.store.writer import CommitResult, DrainResult, StoreWriter

__all__ = ["CommitResult", "DrainResult", "Session", "Store", "StoreWriter"]


def __getattr__(name: str) -> Any:
    """Imports when used: the process that merges files needs neither the writer nor the reader."""
    if name in ("Session", "Store"):
        from kubewitness.store import session

        return getattr(session, name)
    if name in __all__:
        from kubewitness.store import writer

        return getattr(writer, name)
    raise AttributeError(name)
