"""One resource of a cluster in memory: listed once, watched from then on, for as long as the process runs.

Nothing of it is durable, and nothing depends on the order in which it comes: whoever asks takes what is known now. What
must not be lost is recorded by input `kubernetes_events`, which has positions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from kubewitness.errors import KubewitnessError, Malformed, UsageError
from kubewitness.kube.backoff import Backoff
from kubewitness.kube.client import KubeClient, decode_watch_line
from kubewitness.kube.failures import Expired, Forbidden, KubeFailure, Unsupported, failure_of, status_of
from kubewitness.kube.watchhealth import WatchHealth

_log = logging.getLogger(__name__)

#: items of a page, where what is listed is not small by itself
_PAGE = 500
#: seconds: a watch is opened anew after so long, and after so long a silence (bookmarks come each minute)
_LASTING, _IDLE = 600.0, 150.0
#: a watch that ends within so many seconds was cut off, not served
_SHORT = 1.0
#: seconds between lists where a watch is refused
_POLL = 60.0


class Kept(Protocol):
    """Who keeps what is listed and watched."""

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def put(self, raw: bytes) -> object: ...

    def remove(self, raw: bytes) -> None: ...


class _Meta(msgspec.Struct):
    resourceVersion: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Meta


_version = msgspec.json.Decoder(_Versioned).decode


class Mirror:
    """`synced`: all that there is has been listed, and nothing says that it has become old."""

    def __init__(self, name: str, path: str, kept: Kept, changed: Callable[[], None] = lambda: None) -> None:
        """`name`: of its owner, for logs. `path`: of the list. `changed`: called when `synced` or `refused` may be
        another than before."""
        self.name = name
        self._path = path
        self._kept = kept
        self._changed = changed
        self._what = path.rsplit("/", 1)[-1]
        #: a field selector; the whole cluster without one
        self.only = ""
        self.synced = False
        self.health = WatchHealth()
        self._version = ""
        #: what `only` was when it was listed
        self._listed_only = ""
        self._backoff = Backoff()

    @property
    def refused(self) -> bool:
        """Whether the server does not let us list."""
        return f"list {self._what}" in self.health.missing_rights

    async def run(self, client: KubeClient) -> None:
        """Until cancelled."""
        while True:
            try:
                if not self._version or self.only != self._listed_only:
                    await self._list(client)
                await self._watch(client)
            except Expired as e:
                self.health.expired += 1
                self._failed(e)
                self._version = ""
                await asyncio.sleep(self._backoff.next())
            except (KubeFailure, UsageError, Malformed) as e:
                if isinstance(e, Forbidden) and self.health.lacks(e.right):
                    self._changed()
                if isinstance(e, Forbidden | Unsupported) and self._version:
                    await self._poll(e)
                    continue
                self._failed(e)
                self.synced = self.synced and bool(self._version)
                await asyncio.sleep(self._backoff.next(getattr(e, "after", None)))

    def widen(self) -> None:
        """From now on all of the cluster, whatever `only` was."""
        self.only = ""

    def failed(self, error: KubewitnessError) -> None:
        """It could not even begin."""
        self._failed(error)

    async def _list(self, client: KubeClient) -> None:
        self.health.listing()
        # What is limited to a node is small, and taken from the API server's cache, as its kubelet does. All of a
        # cluster comes in pages, which only etcd has.
        only = self.only
        params = {"fieldSelector": only, "resourceVersion": "0"} if only else {}
        asked, version = f"list {self._what}", ""
        self._kept.begin()
        limit = 0 if only else _PAGE
        async for page in client.list_pages(self._path, limit=limit, asked=asked, params=params):
            self.health.has(asked)
            for item in page.items:
                self._kept.put(item)
                self.health.records += 1
            version = page.resource_version
        self._version, self._listed_only, self.synced = version, only, True
        self._kept.end()
        self._changed()

    async def _watch(self, client: KubeClient) -> None:
        asked = f"watch {self._what}"
        only = self._listed_only
        params = {"fieldSelector": only} if only else {}
        lines = client.watch(self._path, self._version, lasting=_LASTING, idle=_IDLE, asked=asked, params=params)
        opened = time.monotonic()
        async with contextlib.aclosing(lines) as groups:
            async for group in groups:
                self.health.has(asked)
                if not self.health.connected:
                    _log.info("%s: watching %s%s", self.name, self._what, f" with {only}" if only else "")
                self.health.alive(opened=not group)
                if group:
                    self._backoff.reset()
                for line in group:
                    self._take(client, line)
                if only != self.only:
                    return
        if time.monotonic() - opened < _SHORT:
            await asyncio.sleep(self._backoff.next())

    def _take(self, client: KubeClient, line: bytes) -> None:
        try:
            found = decode_watch_line(line)
            raw = bytes(found.object)
            if found.type == "ERROR":
                status = status_of(raw)
                raise failure_of(status.code or 500, status, f"watch {self._what}", client.access.secrets)
            version = _version(raw).metadata.resourceVersion
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            # nothing that the API server writes: begin again rather than miss something
            self._version = ""
            raise Malformed(f"watch {self._what}: a line is no event of a watch ({e})") from None
        if found.type in ("ADDED", "MODIFIED"):
            self._kept.put(raw)
        elif found.type == "DELETED":
            self._kept.remove(raw)
        if found.type != "BOOKMARK":
            self.health.records += 1
        self._version = version or self._version

    async def _poll(self, why: KubewitnessError) -> None:
        if self.health.last_error != str(why):
            _log.warning("%s: %s; listed every %.0f s instead", self.name, why, _POLL)
        self.health.polling(str(why))
        await asyncio.sleep(_POLL)
        self._version = ""

    def _failed(self, error: KubewitnessError) -> None:
        if str(error) != self.health.last_error or self.health.connected:
            _log.warning("%s: %s; it is tried again", self.name, error)
        self.health.failed(str(error))
