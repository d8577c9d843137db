"""Output `store`: the queryable record of a state directory.

`kubewitness record` writes to the state's journal itself and needs only the keeper (`store.keeper.StoreKeeper`). In
a pipeline file, which has a journal of its own, this output hands chunks on to the state's journal, where records
seen before are recognised; the keeper thread (ours, or that of a recorder already running there) brings them into
the tables.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.config.state import state_paths
from kubewitness.contracts import Batch, Delivery
from kubewitness.errors import Full, Retry, StateError
from kubewitness.journal import Journal
from kubewitness.store.keeper import KeeperOptions, StoreKeeper

#: What the journal takes in one transaction (bytes).
_PART = 4 * 1024**2


KEYS = (
    Key("state", doc="state directory, as `--state`"),
    Key("store", doc="where the tables are, as `--store`"),
    Key("flush_seconds", "float", "30", "tables are committed at least so often"),
    Key("flush_bytes", "size", "64M", "or at this much"),
    Key("max_age", "float", "0", "days that records are kept; 0: for ever"),
    Key("max_bytes", "size", "0", "size that the tables may have, the oldest days go; 0: any"),
)


class StoreOutput:
    """Hands on to the state's journal, and keeps the tables if nobody else does."""

    def __init__(self, keys: Mapping[str, str], name: str = "store") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._paths = state_paths(opts.text("state") or None, opts.text("store") or None)
        days = opts.real("max_age")
        self._options = KeeperOptions(
            flush_seconds=opts.real("flush_seconds"),
            flush_bytes=opts.number("flush_bytes"),
            max_age=days * 86_400 if days else None,
            max_bytes=opts.number("max_bytes") or None,
        )
        self._journal: Journal | None = None
        self._keeper: StoreKeeper | None = None
        #: held by the thread that works: it goes on when who waits for it is cancelled
        self._busy = threading.Lock()

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await asyncio.to_thread(self._write, deliveries)
        except (Full, StateError) as e:
            raise Retry(str(e)) from e

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        with self._busy:
            self._append(deliveries)

    def _append(self, deliveries: Sequence[Delivery]) -> None:
        if self._journal is None:
            self._journal = Journal(self._paths.create().journal)
            self._keeper = StoreKeeper(self._paths, self._journal, self._options)
            self._keeper.start()
        part: list[Delivery] = []
        held = 0
        for delivery in deliveries:
            part.append(delivery)
            held += len(delivery.chunk.data)
            if held >= _PART:
                self._journal.append([Batch([d.chunk for d in part])])
                part, held = [], 0
        if part:
            self._journal.append([Batch([d.chunk for d in part])])

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._busy:
            if self._keeper is not None:
                self._keeper.stop()
                self._keeper = None
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def health(self) -> Mapping[str, object]:
        return self._keeper.health() if self._keeper is not None else {"state": "starting"}
