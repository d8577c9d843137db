"""What runs only while this process leads: inputs that watch, and the way into the journal for those that listen.

A term is open once the store is written by this process in it and the journal holds the positions to go on from
(`store.elected` opens it). It is over when the leadership is, by the clock, or when it was given up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Protocol

from kubewitness.contracts import Batch, Input, Sink, Taken
from kubewitness.errors import Full

#: seconds between two looks; threads and clocks end a term, and neither wakes an event loop
_LOOK = 0.05


class Leading(Protocol):
    """`kube.elector.Leadership`."""

    @property
    def term(self) -> int | None: ...

    def holds(self, term: int) -> bool: ...

    def give_up(self, term: int, *, outdone_by: int | None = None) -> None: ...


class Terms:
    """The terms of this process, one after another. Safe for any thread."""

    def __init__(self, leading: Leading) -> None:
        self._leading = leading
        self._lock = threading.Lock()
        self._opened: int | None = None
        self._busy: dict[str, int] = {}

    # --- asked by what works in a term -------------------------------------------------------------------------------

    @property
    def led(self) -> int | None:
        """The term that this process leads in now, open or not; None when it does not lead."""
        return self._leading.term

    def holds(self, term: int) -> bool:
        return self._leading.holds(term)

    @property
    def open(self) -> int | None:
        """The term that records are taken in at this moment; None for a standby."""
        term = self._opened
        return term if term is not None and self._leading.holds(term) else None

    async def opened(self) -> int:
        """Waits until this process leads and its store is ready."""
        while True:
            term = self.open
            if term is not None:
                return term
            await asyncio.sleep(_LOOK)

    async def over(self, term: int) -> None:
        """Waits for the end of that term."""
        while True:
            if self.open != term:
                return
            await asyncio.sleep(_LOOK)

    # --- told by what works in a term --------------------------------------------------------------------------------

    def begin(self, term: int) -> None:
        """The store is ready: inputs may start."""
        self._opened = term

    def give_up(self, term: int, *, outdone_by: int | None = None) -> None:
        """This process cannot go on in that term. `outdone_by`: a later term that the store has seen."""
        self._leading.give_up(term, outdone_by=outdone_by)

    def enter(self, name: str) -> None:
        """Something of this name works in a term now."""
        with self._lock:
            self._busy[name] = self._busy.get(name, 0) + 1

    def leave(self, name: str) -> None:
        with self._lock:
            self._busy[name] -= 1
            if not self._busy[name]:
                del self._busy[name]

    async def ended(self) -> None:
        """Waits until nothing works in a term any more."""
        while True:
            with self._lock:
                if not self._busy:
                    return
            await asyncio.sleep(_LOOK)


class WhileLeading:
    """An input that runs only in an open term, and begins each from the position that is in the journal then."""

    def __init__(self, source: Input, terms: Terms) -> None:
        self.name = source.name
        self._source = source
        self._terms = terms
        self._runs = False

    def health(self) -> Mapping[str, object]:
        health = self._source.health()
        return health if self._runs else {**health, "state": "standby", "connected": False, "dead_since_us": 0}

    async def run(self, sink: Sink) -> None:
        while True:
            term = await self._terms.opened()
            self._terms.enter(self.name)
            self._runs = True
            try:
                if await self._run_in(term, sink):
                    return
            finally:
                self._runs = False
                self._terms.leave(self.name)

    async def _run_in(self, term: int, sink: Sink) -> bool:
        """Whether the source came to an end of its own."""
        work = asyncio.create_task(self._source.run(sink), name=f"{self.name} in term {term}")
        over = asyncio.create_task(self._terms.over(term))
        try:
            await asyncio.wait([work, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            work.cancel()
            await asyncio.wait([work, over])
        if work.cancelled():
            return False
        work.result()  # raises what ended it
        return self._terms.open == term


class LeaderSink:
    """The journal's sink, for as long as this process leads. A standby takes nothing: it might not deliver it."""

    def __init__(self, sink: Sink, terms: Terms) -> None:
        self._sink = sink
        self._terms = terms

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        """As `contracts.Sink.put`; to a standby every journal is full."""
        term = self._terms.open
        if term is None:
            if not wait:
                raise Full("this replica is a standby; the leader takes records")
            term = await self._terms.opened()
        taken = await self._sink.put(batch, wait=wait)
        if not wait and self._terms.open != term:
            # It is in our journal, and reaches the store when we lead again. Let the next leader have it now;
            # what comes twice is recognised by its keys.
            raise Full("this replica has just become a standby; the leader takes records")
        return taken

    async def position(self, name: str) -> bytes | None:
        return await self._sink.position(name)
