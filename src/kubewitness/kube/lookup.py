"""Answers what is known of an object, and how long to wait for one that is not known.

Objects come from a `Mirror`. One that it does not have (the watch is a moment late, or it is not for this node, or the
server lets us not list) is asked for once, by itself. Nobody waits longer than `wait`, nor twice for the same: what was
not there is not asked for again for a while, and as long as the server does not answer, one wait is for all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.kube.client import KubeClient
from kubewitness.kube.failures import Expired, Forbidden, KubeFailure, Unsupported
from kubewitness.kube.pods import Entry, Index, Key
from kubewitness.kube.watchhealth import WatchHealth

_log = logging.getLogger(__name__)

#: seconds: what the server does not have is not asked for again for so long; what it did not tell, for so long
_ABSENT, _UNTOLD = 300.0, 60.0
#: seconds that a watch may be late
_LATE = 1.0
#: requests for single objects at a time
_AT_ONCE = 16
#: names that are remembered as absent
_REMEMBERED = 10_000


class Source(Protocol):
    """Where objects come from: `mirror.Mirror`, `kubelet.Kubelet`."""

    name: str
    health: WatchHealth

    @property
    def synced(self) -> bool: ...

    @property
    def refused(self) -> bool: ...

    async def run(self, client: KubeClient) -> None: ...


class Lookup:
    """Of one resource. One event loop."""

    def __init__(
        self,
        index: Index,
        source: Source,
        ask: Callable[[KubeClient, Key], Awaitable[Entry | None]],
        *,
        wait: float,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask` fetches one object into the index. `wait`: seconds; `ttl`: seconds after which an object that was
        fetched so, and is not watched, is fetched anew."""
        self._index = index
        self._source = source
        self._ask = ask
        self._wait = wait
        self._ttl = ttl
        self._clock = clock
        self._client: KubeClient | None = None
        self._changed = asyncio.Event()
        self._asking: dict[Key, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        #: until when an object is not asked for again, by the clock
        self._absent: dict[Key, float] = {}
        self._away_until = 0.0
        #: somebody waited in vain for the first list
        self._gave_up = False
        self._counts = {"waits": 0, "timeouts": 0, "fetches": 0, "absent": 0}

    async def serve(self, client: KubeClient) -> None:
        """Until cancelled."""
        self._client = client
        try:
            await self._source.run(client)
        finally:
            for task in list(self._asking.values()):
                task.cancel()

    def learned(self) -> None:
        """To be called when the index or the source has changed."""
        if self._source.synced or self._source.refused:
            self._gave_up = False
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def health(self) -> dict[str, object]:
        return {**self._source.health.show(), **self._counts, "known": len(self._index), "unread": self._index.unread}

    def find(self, key: Key, container_id: str = "", uid: str = "") -> Entry | None:
        return self._index.find(key, container_id, uid)

    def missing(self, key: Key, container_id: str = "", uid: str = "") -> Awaitable[None] | None:
        """None: it is known, or there is nothing to wait for. Else what ends when it is known, or at last."""
        now = self._clock()
        found = self._index.find(key, container_id, uid)
        if found is not None:
            if found.fetched and not found.gone and now - found.fetched > self._ttl:
                found.fetched = now
                self._begin(key)
            return None
        if self._absent.get(key, 0.0) > now or self._away_until > now or (self._gave_up and not self._told):
            return None
        return self._learn(key, container_id, uid)

    @property
    def _told(self) -> bool:
        return self._source.synced or self._source.refused

    async def _learn(self, key: Key, container_id: str, uid: str) -> None:
        self._counts["waits"] += 1
        try:
            async with asyncio.timeout(self._wait):
                while not self._told and self._index.find(key, container_id, uid) is None:
                    await self._changed.wait()
                if self._index.find(key, container_id, uid) is None:
                    await asyncio.shield(self._begin(key))
                if self._index.find(key, container_id, uid) is not None:
                    return
                if any(right.startswith("get ") for right in self._source.health.missing_rights):
                    await self._late(key, container_id, uid)
                self._remember(key, _UNTOLD)
        except TimeoutError:
            self._counts["timeouts"] += 1
            self._remember(key, _UNTOLD)
            if not self._told and not self._gave_up:
                self._gave_up = True
                _log.warning("%s: no answer within %.0f s; records go on without metadata until there is one",
                             self._source.name, self._wait)  # fmt: skip

    async def _late(self, key: Key, container_id: str, uid: str) -> None:
        """We may not ask for it: the watch may bring it in a moment."""
        try:
            async with asyncio.timeout(_LATE):
                while self._index.find(key, container_id, uid) is None:
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _remember(self, key: Key, seconds: float) -> None:
        now = self._clock()
        if len(self._absent) >= _REMEMBERED:
            self._absent = {k: until for k, until in self._absent.items() if until > now}
        if self._told:
            self._absent[key] = max(self._absent.get(key, 0.0), now + seconds)

    # --- asking for one ----------------------------------------------------------------------------------------------

    def _begin(self, key: Key) -> asyncio.Task[None]:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._get(key), name=f"{self._source.name}: {key}")
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _get(self, key: Key) -> None:
        if self._client is None:
            return
        try:
            async with self._room:
                self._counts["fetches"] += 1
                await self._ask(self._client, key)
        except Unsupported:
            self._counts["absent"] += 1
            self._index.absent(key)
            self._remember(key, _ABSENT)
        except Forbidden as e:
            if self._source.health.lacks(e.right):
                _log.warning("%s: %s", self._source.name, e)
        except (KubeFailure, Expired, UsageError) as e:
            self._away(e)

    def _away(self, error: KubewitnessError) -> None:
        if self._clock() > self._away_until:
            _log.warning("%s: %s; not waited for again for %.0f s", self._source.name, error, _UNTOLD)
        self._away_until = self._clock() + _UNTOLD
