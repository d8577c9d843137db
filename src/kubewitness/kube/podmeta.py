"""Metadata of pods and namespaces for log records: one list and watch for all of a node's pods, another for namespaces.

Which pods are watched: those of the node that this process is on, if that is known (its environment, its own pod), else
those of the cluster. A gatherer that is sent logs of other nodes finds out by the first such pod, and widens its watch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kubewitness.errors import UsageError
from kubewitness.kube.access import KubeAccess
from kubewitness.kube.backoff import Backoff
from kubewitness.kube.client import KubeClient, Network
from kubewitness.kube.failures import KubeFailure
from kubewitness.kube.kubelet import Kubelet
from kubewitness.kube.lookup import Lookup
from kubewitness.kube.mirror import Mirror
from kubewitness.kube.node import find_node, told_node
from kubewitness.kube.pods import Entry, Index, Key, Wanted

_log = logging.getLogger(__name__)

#: seconds after which what is not watched is asked for anew, where nobody says
TTL = 600.0
#: bytes of a file with an object
_FILE_LIMIT = 4 * 1024 * 1024
#: seconds after which a file that was not there is looked for again
_LOOK_AGAIN = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted, and from where. Times are seconds."""

    #: in logs
    name: str
    access: KubeAccess
    network: Network = field(default_factory=Network)
    #: None: no pods
    pods: Wanted | None = field(default_factory=Wanted)
    #: None: no namespaces
    namespaces: Wanted | None = None
    #: where pods are asked for instead of the API server
    kubelet: KubeAccess | None = None
    #: folder of `NAMESPACE_POD.meta` and `NAMESPACE.namespace_meta`, which come before all else
    folder: str = ""
    #: the node whose pods are watched; "" to find out
    node: str = ""
    #: with the namespace of our own pod
    namespace_file: str = ""
    wait: float = 5.0
    pod_ttl: float = TTL
    namespace_ttl: float = TTL


class PodMetadata:
    """One event loop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._node = plan.node
        #: whether records came that no file of this machine holds
        self._foreign = False
        self._files = _Files(plan)
        self._pods = self._lookup_of_pods(plan.pods) if plan.pods is not None else None
        self._mirror: Mirror | None
        self._namespaces = self._lookup_of_namespaces(plan.namespaces) if plan.namespaces is not None else None

    def _lookup_of_pods(self, wanted: Wanted) -> Lookup:
        plan = self._plan
        index = Index(wanted, lambda: lookup.learned())
        if plan.kubelet is not None:
            self._mirror = None
            kubelet = Kubelet(plan.name, index, lambda: lookup.learned(), period=plan.pod_ttl)
            lookup = Lookup(index, kubelet, kubelet.ask, wait=plan.wait, ttl=plan.pod_ttl)
            return lookup
        self._mirror = mirror = Mirror(plan.name, "/api/v1/pods", index, lambda: lookup.learned())

        async def ask(client: KubeClient, key: Key) -> Entry | None:
            path = f"/api/v1/namespaces/{key.namespace}/pods/{key.name}"
            entry = index.put(await client.get(path, asked="get pods"), fetched=True)
            if entry is not None:
                self._met(entry)
            return entry

        lookup = Lookup(index, mirror, ask, wait=plan.wait, ttl=plan.pod_ttl)
        return lookup

    def _lookup_of_namespaces(self, wanted: Wanted) -> Lookup:
        plan = self._plan
        index = Index(wanted, lambda: lookup.learned())
        mirror = Mirror(plan.name, "/api/v1/namespaces", index, lambda: lookup.learned())

        async def ask(client: KubeClient, key: Key) -> Entry | None:
            raw = await client.get(f"/api/v1/namespaces/{key.namespace}", asked="get namespaces")
            return index.put(raw, fetched=True)

        lookup = Lookup(index, mirror, ask, wait=plan.wait, ttl=plan.namespace_ttl)
        return lookup

    def _met(self, entry: Entry) -> None:
        """A pod that was fetched by itself."""
        mirror = self._mirror
        if mirror is None or not mirror.only or not self._foreign or self._plan.node or entry.node in ("", self._node):
            return
        _log.info("%s: logs of other nodes come in (%s); all pods of the cluster are watched", self._plan.name,
                  entry.node)  # fmt: skip
        mirror.widen()

    # --- asking ------------------------------------------------------------------------------------------------------

    def pod(self, key: Key, container_id: str = "", uid: str = "") -> Entry | None:
        if self._pods is None:
            return None
        return self._files.pod(key) or self._pods.find(key, container_id, uid)

    def namespace(self, name: str) -> Entry | None:
        if self._namespaces is None:
            return None
        return self._files.namespace(name) or self._namespaces.find(Key(name))

    def missing(self, key: Key, container_id: str = "", uid: str = "", *, local: bool = True) -> Awaitable[None] | None:
        """None when both are known, or not worth waiting for. `local`: the record is a line of a file of ours."""
        self._foreign = self._foreign or not local
        waits: list[Awaitable[None]] = []
        if self._pods is not None and self._files.pod(key) is None:
            wait = self._pods.missing(key, container_id, uid)
            waits += [wait] if wait is not None else []
        if self._namespaces is not None and self._files.namespace(key.namespace) is None:
            wait = self._namespaces.missing(Key(key.namespace))
            waits += [wait] if wait is not None else []
        return _both(waits) if waits else None

    def health(self) -> Mapping[str, object]:
        """{"pods": ..., "namespaces": ...} as far as they are wanted."""
        parts = {"pods": self._pods, "namespaces": self._namespaces}
        return {name: lookup.health() for name, lookup in parts.items() if lookup is not None}

    # --- running -----------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Until cancelled. Whatever cannot be reached is tried again."""
        plan = self._plan
        async with KubeClient(plan.access, network=plan.network) as client, asyncio.TaskGroup() as tasks:
            if self._namespaces is not None:
                tasks.create_task(self._namespaces.serve(client))
            if self._pods is None:
                return
            if plan.kubelet is not None:
                async with KubeClient(plan.kubelet, network=plan.network) as kubelet:
                    await self._pods.serve(kubelet)
            assert self._mirror is not None
            self._node = await self._found_node(client, self._mirror)
            self._mirror.only = f"spec.nodeName={self._node}" if self._node else ""
            await self._pods.serve(client)

    async def _found_node(self, client: KubeClient, mirror: Mirror) -> str:
        node = self._plan.node or told_node()
        backoff = Backoff()
        while not node:
            try:
                node = await find_node(client, self._plan.namespace_file)
                break
            except (KubeFailure, UsageError) as e:
                mirror.failed(e)
                await asyncio.sleep(backoff.next(getattr(e, "after", None)))
        if not node:
            _log.info("%s: it is not known which node this is (`kube_node_name`); all pods of the cluster are watched",
                      self._plan.name)  # fmt: skip
        return node


async def _both(waits: list[Awaitable[None]]) -> None:
    await asyncio.gather(*waits)


class _Files:
    """Objects that somebody put into a folder beforehand. Read once; what is not there is looked for again."""

    def __init__(self, plan: Plan) -> None:
        self._folder = Path(plan.folder) if plan.folder else None
        self._wanted = {"pod": plan.pods or Wanted(), "namespace": plan.namespaces or Wanted()}
        #: object -> (what its file says, when to look again where there is none)
        self._known: dict[Key, tuple[Entry | None, float]] = {}

    def pod(self, key: Key) -> Entry | None:
        if self._folder is None:
            return None
        return self._read(key, "pod", f"{key.namespace}_{key.name}.meta", f"{key.namespace}-{key.name}.meta")

    def namespace(self, name: str) -> Entry | None:
        return self._read(Key(name), "namespace", f"{name}.namespace_meta") if self._folder is not None else None

    def _read(self, key: Key, kind: str, *names: str) -> Entry | None:
        entry, again = self._known.get(key, (None, 0.0))
        if entry is not None or time.monotonic() < again:
            return entry
        if len(self._known) > 10_000:
            self._known.clear()
        entry = next((e for name in names if (e := self._entry(name, kind)) is not None), None)
        self._known[key] = (entry, time.monotonic() + _LOOK_AGAIN)
        return entry

    def _entry(self, name: str, kind: str) -> Entry | None:
        assert self._folder is not None
        if "/" in name or "\0" in name or name.startswith("."):
            return None  # a tag that was sent to us is no path
        try:
            with (self._folder / name).open("rb") as file:
                raw = file.read(_FILE_LIMIT)
            return Entry(raw, self._wanted[kind])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
