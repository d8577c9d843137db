"""The pods of one node as its kubelet tells them: GET /pods. It has no watch, so it is asked again and again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.kube.backoff import Backoff
from kubewitness.kube.client import KubeClient
from kubewitness.kube.failures import Expired, Forbidden, KubeFailure
from kubewitness.kube.pods import Entry, Index, Key
from kubewitness.kube.watchhealth import WatchHealth

_log = logging.getLogger(__name__)

#: seconds between two questions because of pods that are not known
_SOON = 1.0


class _PodList(msgspec.Struct):
    items: list[msgspec.Raw] | None = None


_pods = msgspec.json.Decoder(_PodList).decode


class Kubelet:
    """A `lookup.Source`."""

    def __init__(
        self,
        name: str,
        index: Index,
        changed: Callable[[], None],
        *,
        period: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`period`: seconds after which labels may be old."""
        self.name = name
        self.health = WatchHealth()
        self.synced = False
        self._index = index
        self._changed = changed
        self._period = period
        self._clock = clock
        self._asked_at = -_SOON
        self._lock = asyncio.Lock()
        self._backoff = Backoff()

    @property
    def refused(self) -> bool:
        return False

    async def run(self, client: KubeClient) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._refresh(client)
            except (KubeFailure, Expired, UsageError) as e:
                self._failed(e)
                await asyncio.sleep(self._backoff.next(getattr(e, "after", None)))
            else:
                self._backoff.reset()
                await asyncio.sleep(self._period)

    async def ask(self, client: KubeClient, key: Key) -> Entry | None:
        """All pods once more; not more often than once a second."""
        asked_for = self._clock()
        async with self._lock:
            if self._asked_at < asked_for:
                await asyncio.sleep(max(0.0, self._asked_at + _SOON - asked_for))
                await self._list(client)
        return self._index.find(key)

    async def _refresh(self, client: KubeClient) -> None:
        async with self._lock:
            await self._list(client)

    async def _list(self, client: KubeClient) -> None:
        self.health.listing()
        self._asked_at = self._clock()
        body = await client.get("/pods", asked="get nodes/proxy of the kubelet")
        try:
            found = _pods(body).items or []
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise KubeFailure("the kubelet's answer is no list of pods") from e
        self.health.missing_rights.clear()
        self._index.begin()
        for raw in found:
            self._index.put(bytes(raw))
        self.health.polling("")
        self.synced = True
        self._index.end()
        self._changed()

    def _failed(self, error: KubewitnessError) -> None:
        if isinstance(error, Forbidden):
            self.health.lacks(error.right)
        if str(error) != self.health.last_error:
            _log.warning("%s: %s; it is tried again", self.name, error)
        self.health.failed(str(error))
