"""The inputs' way into the journal: many small batches, one transaction, one fsync."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kubewitness.contracts import Batch, Taken
from kubewitness.errors import Full, KubewitnessError, StateError
from kubewitness.journal import Journal

#: Batches are committed together up to about this many bytes of data.
_GROUP_BYTES = 4 * 1024**2
#: Batches of callers that do not wait are refused when more than this many bytes are already queued.
_QUEUE_BYTES = 64 * 1024**2
#: Seconds after which waiting batches are tried again, whoever made room (it may be another process).
_TRY_AGAIN = 0.5


@dataclass(slots=True)
class _Item:
    batch: Batch
    size: int
    wait: bool
    future: asyncio.Future[Taken]
    loop: asyncio.AbstractEventLoop


class Committer:
    """A `contracts.Sink` over a journal. What queues up while one commit is written makes up the next.

    A `put` that is cancelled while it waits may or may not have been committed, as with any interrupted commit:
    the input finds out by its position.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._lock = threading.Condition()
        self._queue: deque[_Item] = deque()
        #: callers that wait for room, in order of arrival
        self._parked: deque[_Item] = deque()
        self._queued_bytes = 0
        self._try_at = 0.0
        self._closing = False
        self._listeners: list[Callable[[], None]] = []
        self._counts = {"commits": 0, "batches": 0, "stored": 0, "duplicates": 0, "refused": 0, "waited": 0}
        self._thread = threading.Thread(target=self._work, name="journal-committer", daemon=True)
        self._thread.start()

    # --- Sink --------------------------------------------------------------------------------------------------------

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        """See `contracts.Sink.put`. StateError when the journal cannot be used any more, or after `close`."""
        loop = asyncio.get_running_loop()
        size = sum(len(c.data) for c in batch.chunks)
        item = _Item(batch, size, wait, loop.create_future(), loop)
        self._enqueue(item)
        future = item.future
        del item, batch
        try:
            return await future
        finally:
            # an error knows this frame, and the future the error: a refused batch would stay until the next search
            # for garbage, and there is none while tables are written
            del future

    def _enqueue(self, item: _Item) -> None:
        with self._lock:
            if self._closing:
                raise StateError(f"journal {self.journal.path} takes nothing more: shutting down")
            if not item.wait and self._queue and self._queued_bytes + item.size > _QUEUE_BYTES:
                self._counts["refused"] += 1
                raise Full(
                    f"journal {self.journal.path} is behind: {self._queued_bytes / 1e6:.0f} MB wait to be written"
                )
            self._queue.append(item)
            self._queued_bytes += item.size
            self._lock.notify()

    async def position(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self.journal.position, name)

    # --- for the engine ----------------------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls `listener` (on the committer's thread) after each commit that stored something."""
        self._listeners.append(listener)

    def room(self) -> None:
        """Something was deleted from the journal: those who wait may try again. Any thread may call it."""
        with self._lock:
            self._try_at = 0.0
            if self._parked:
                self._lock.notify()

    async def close(self) -> None:
        """Commits what is queued, refuses what still waits for room, takes nothing more."""
        with self._lock:
            self._closing = True
            self._lock.notify()
        await asyncio.to_thread(self._thread.join)

    def health(self) -> dict[str, int]:
        with self._lock:
            return {**self._counts, "queued": len(self._queue), "waiting_for_room": len(self._parked)}

    # --- the thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._commit_next():
            pass

    def _commit_next(self) -> bool:
        """A frame of its own: nothing of the last group is held while there is nothing to do."""
        group = self._next_group()
        if group:
            self._commit(group)
        return bool(group)

    def _next_group(self) -> list[_Item]:
        """Waits for work; empty when there will be none."""
        with self._lock:
            while True:
                if self._parked and time.monotonic() >= self._try_at:
                    self._queue.extendleft(reversed(self._parked))
                    self._queued_bytes += sum(i.size for i in self._parked)
                    self._parked.clear()
                elif self._parked:
                    self._queue_behind_the_parked()
                if self._queue:
                    return self._take_group()
                if self._closing:
                    self._refuse_parked()
                    return []
                self._lock.wait(max(0.0, self._try_at - time.monotonic()) if self._parked else None)

    def _queue_behind_the_parked(self) -> None:
        """Who comes later and can wait does not overtake: else small batches would keep a large one out for ever."""
        others: deque[_Item] = deque()
        for item in self._queue:
            if item.wait:
                self._parked.append(item)
                self._queued_bytes -= item.size
            else:
                others.append(item)
        self._queue = others

    def _take_group(self) -> list[_Item]:
        group: list[_Item] = []
        size = 0
        while self._queue and (not group or size + self._queue[0].size <= _GROUP_BYTES):
            item = self._queue.popleft()
            self._queued_bytes -= item.size
            size += item.size
            group.append(item)
        return group

    def _commit(self, group: list[_Item]) -> None:
        try:
            taken = self.journal.append([item.batch for item in group])
        except Exception as e:
            if len(group) > 1 and not isinstance(e, StateError):
                self._commit_singly(group)
            else:
                for item in group:
                    self._failed(item, e)
            return
        with self._lock:
            self._counts["commits"] += 1
            self._counts["batches"] += len(group)
            self._counts["stored"] += sum(t.stored for t in taken)
            self._counts["duplicates"] += sum(t.duplicates for t in taken)
        for item, result in zip(group, taken, strict=True):
            _settle(item, result)
        if any(t.stored for t in taken):
            for listener in self._listeners:
                listener()

    def _commit_singly(self, group: list[_Item]) -> None:
        """One that is too large, or broken, must not fail its neighbours; nor do those that can wait overtake it."""
        full = False
        for item in group:
            if full and item.wait:
                with self._lock:
                    self._parked.append(item)
                continue
            self._commit([item])
            with self._lock:
                full = full or (bool(self._parked) and self._parked[-1] is item)

    def _failed(self, item: _Item, error: Exception) -> None:
        with self._lock:
            if isinstance(error, Full) and item.wait and not self._closing:
                self._counts["waited"] += 1
                self._parked.append(item)
                self._try_at = time.monotonic() + _TRY_AGAIN
                return
            self._counts["refused"] += isinstance(error, Full)
        _settle(item, error)

    def _refuse_parked(self) -> None:
        for item in self._parked:
            _settle(item, Full(f"journal {self.journal.path} is full, and capture is shutting down"))
        self._parked.clear()


def _settle(item: _Item, result: Taken | Exception) -> None:
    """Hands the result to the caller's own event loop, which may be gone by now."""

    def settle() -> None:
        if item.future.done():
            return  # the caller was cancelled
        if isinstance(result, Taken):
            item.future.set_result(result)
        elif isinstance(result, KubewitnessError):
            # A fresh one for each caller: an exception object collects the traceback of whoever raises it.
            item.future.set_exception(type(result)(str(result)))
        else:
            item.future.set_exception(result)

    with contextlib.suppress(RuntimeError):
        item.loop.call_soon_threadsafe(settle)
