"""What is known of pods and namespaces, kept in memory: as much of each as records are given.

Values are the API server's own bytes. Source of the shapes: k8s.io/api/core/v1/types.go; of how controllers name what
they make: pkg/controller/{deployment,cronjob} of Kubernetes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from kubewitness.formats.times import us_or_zero

#: annotations by which a pod says how its logs are to be read
ANNOTATIONS = "fluentbit.io/"
#: seconds that a deleted pod is remembered: its last lines are still on their way
KEEP = 600.0
#: seconds between two looks at what can be forgotten; and that what is not watched is kept without being fetched anew
_FORGET_EVERY, _UNUSED = 60.0, 3600.0

_encode = msgspec.json.Encoder().encode


class Key(NamedTuple):
    """Which object is meant. `name` is empty for a namespace."""

    namespace: str
    name: str = ""


_NOTHING = msgspec.Raw(b"null")


class _Owner(msgspec.Struct):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    creationTimestamp: str | None = ""
    labels: msgspec.Raw = _NOTHING
    annotations: msgspec.Raw = _NOTHING
    ownerReferences: msgspec.Raw = _NOTHING


class _Spec(msgspec.Struct):
    nodeName: str = ""


class _Ended(msgspec.Struct):
    containerID: str | None = ""


class _State(msgspec.Struct):
    terminated: _Ended | None = None


class _Container(msgspec.Struct):
    name: str = ""
    image: str = ""
    imageID: str = ""
    containerID: str | None = ""
    lastState: _State | None = None


class _Status(msgspec.Struct):
    podIP: str | None = None
    containerStatuses: list[_Container] | None = None
    initContainerStatuses: list[_Container] | None = None
    ephemeralContainerStatuses: list[_Container] | None = None


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec | None = None
    status: _Status | None = None


_object = msgspec.json.Decoder(_Object).decode
_texts = msgspec.json.Decoder(dict[str, str] | None).decode
_owners = msgspec.json.Decoder(list[_Owner] | None).decode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What records are given of an object; a namespace has labels and annotations only."""

    pod: bool = True
    labels: bool = True
    annotations: bool = True
    owner_references: bool = False
    workload: bool = False


@dataclass(slots=True)
class Container:
    """One container, as its status has it; "" for what is not there (yet)."""

    image: str
    hash: str
    id: str


class Entry:
    """One version of one object. Replaced, never changed, when there is a newer one."""

    __slots__ = ("containers", "fetched", "gone", "ids", "key", "members", "node", "told", "uid", "workload")

    def __init__(self, raw: bytes, wanted: Wanted) -> None:
        """Raises msgspec.MsgspecError for what is no such object."""
        found = _object(raw)
        meta, status = found.metadata, found.status or _Status()
        self.key = Key(meta.namespace, meta.name) if meta.namespace else Key(meta.name)
        self.uid = meta.uid
        self.node = found.spec.nodeName if found.spec else ""
        annotations = _texts(meta.annotations) or {}
        #: what it says of its logs, without the prefix: {"exclude_stderr": "true"}
        self.told = {k.removeprefix(ANNOTATIONS): v for k, v in annotations.items() if k.startswith(ANNOTATIONS)}
        containers = _containers(status)
        self.containers = {c.name: Container(c.image, _hash(c.imageID), _bare(c.containerID)) for c in containers}
        ended = (c.lastState.terminated.containerID for c in containers if c.lastState and c.lastState.terminated)
        #: what a log file may be called by: its containers, those before them, and the pod itself; the folder of a
        #: static pod has the digest of its manifest
        self.ids = {
            id_
            for id_ in (
                meta.uid,
                annotations.get("kubernetes.io/config.hash", ""),
                *(_bare(c.containerID) for c in containers),
                *map(_bare, ended),
            )
            if id_
        }
        self.members = _members(meta, self.node, status, wanted)
        self.workload = _encode(workload_of(meta)) if wanted.workload and wanted.pod else b""
        #: seconds of the clock: when it was seen to be deleted, 0.0 while it is there; and when it was fetched by
        #: itself, 0.0 if it is watched
        self.gone = 0.0
        self.fetched = 0.0


def _members(meta: _Meta, node: str, status: _Status, wanted: Wanted) -> bytes:
    """From `pod_id` to `pod_ip`, or the part of it that a namespace has, by commas."""
    made = []
    if wanted.pod and meta.uid:
        made.append(b'"pod_id":' + _encode(meta.uid))
    if _is_there(meta.labels) and wanted.labels:
        made.append(b'"labels":' + _compact(meta.labels))
    if _is_there(meta.annotations) and wanted.annotations:
        made.append(b'"annotations":' + _compact(meta.annotations))
    if _is_there(meta.ownerReferences) and wanted.owner_references:
        made.append(b'"ownerReferences":' + _compact(meta.ownerReferences))
    if node:
        made.append(b'"host":' + _encode(node))
    if status.podIP is not None:
        made.append(b'"pod_ip":' + _encode(status.podIP))
    return b",".join(made)


def _is_there(raw: msgspec.Raw) -> bool:
    return bytes(raw) != b"null"


def _compact(raw: msgspec.Raw) -> bytes:
    """As the API server writes it: a file may be written for people."""
    return msgspec.json.format(bytes(raw), indent=-1)


def _containers(status: _Status) -> list[_Container]:
    lists = (status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses)
    return [container for found in lists for container in found or ()]


def _bare(container_id: str | None) -> str:
    """Without the runtime's name: `containerd://...`."""
    return (container_id or "").rpartition("//")[2]


def _hash(image_id: str) -> str:
    return image_id.removeprefix("docker-pullable://")


# --- what it belongs to ----------------------------------------------------------------------------------------------

#: labels that a ReplicaSet's pods have from what made the ReplicaSet, which is called so but for `-VALUE`
_REPLICA_SETS = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
_SCHEDULED = re.compile(r"(.+)-(\d{8}|\d{10})")


def workload_of(meta: _Meta) -> dict[str, str]:
    """What a person calls the pod's owner: {"kind", "name"}; of a pod of its own, the pod.

    A ReplicaSet is its Deployment's, and a Job its CronJob's, when it is called as these controllers call what they
    make: the hash in the pod's labels, the time of the schedule just before the pod began.
    """
    owners = _owners(meta.ownerReferences) or []
    owner = next((o for o in owners if o.controller), None)
    if owner is None:
        return {"kind": "Pod", "name": meta.name}
    kind, name = owner.kind, owner.name
    if kind == "ReplicaSet":
        labels = _texts(meta.labels) or {}
        for label, above in _REPLICA_SETS.items():
            ending = f"-{labels[label]}" if labels.get(label) else ""
            if ending and name.endswith(ending) and name != ending:
                return {"kind": above, "name": name.removesuffix(ending)}
    elif kind == "Job" and (found := _SCHEDULED.fullmatch(name)):
        scheduled = int(found[2]) * (60 if len(found[2]) == 8 else 1)
        created = us_or_zero(meta.creationTimestamp) // 1_000_000
        # the Job may be late, and its pods may be made again for days
        if created and -120 <= created - scheduled <= 7 * 86_400:
            return {"kind": "CronJob", "name": found[1]}
    return {"kind": kind, "name": name}


# --- all of them -----------------------------------------------------------------------------------------------------


class Index:
    """Entries by namespace and name. A name may have several: a StatefulSet's pod that was deleted, and the next one.

    `changed` is called whenever something was learned.
    """

    def __init__(
        self, wanted: Wanted, changed: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted = wanted
        self._changed = changed
        self._clock = clock
        self._entries: dict[Key, list[Entry]] = {}
        self._listed: set[tuple[Key, str]] | None = None
        self._forget_at = 0.0
        #: objects that were none
        self.unread = 0

    def __len__(self) -> int:
        return sum(not entry.gone for versions in self._entries.values() for entry in versions)

    def find(self, key: Key, container_id: str = "", uid: str = "") -> Entry | None:
        """The version that these belong to, as far as they are known; else the one that is there now, because a new
        container is seen in its log before it is in a status. Never one of another uid."""
        versions = self._entries.get(key)
        if versions is None:
            return None
        for id_ in (container_id, uid):
            for entry in versions if id_ else ():
                if id_ in entry.ids:
                    return entry
        newest = versions[-1]
        return None if uid or (container_id and newest.gone) else newest

    # --- learning ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A list follows: what is not in it is gone."""
        self._listed = set()

    def end(self) -> None:
        listed, self._listed = self._listed or set(), None
        for versions in self._entries.values():
            for entry in versions:
                if not entry.gone and not entry.fetched and (entry.key, entry.uid) not in listed:
                    entry.gone = self._clock()
        self._forget()
        self._changed()

    def put(self, raw: bytes, *, fetched: bool = False) -> Entry | None:
        """One object as it is now; None for what is none."""
        try:
            entry = Entry(raw, self._wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            entry = None
        if entry is None or not entry.key.namespace:
            self.unread += 1
            return None
        entry.fetched = self._clock() if fetched else 0.0
        if self._listed is not None:
            self._listed.add((entry.key, entry.uid))
        versions = self._entries.setdefault(entry.key, [])
        for i, known in enumerate(versions):
            if known.uid == entry.uid:
                entry.ids |= known.ids
                versions[i] = entry
                break
        else:
            for known in versions:
                known.gone = known.gone or self._clock()
            versions.append(entry)
        if fetched:
            self._forget()
        self._changed()
        return entry

    def remove(self, raw: bytes) -> None:
        """The object as it was at its end."""
        entry = self.put(raw)
        if entry is not None:
            entry.gone = self._clock()
            self._forget()

    def absent(self, key: Key) -> None:
        """There is nothing of this name now."""
        for entry in self._entries.get(key, ()):
            entry.gone = entry.gone or self._clock()

    def _forget(self) -> None:
        """What is long gone; and what was fetched by itself and not again since, for nobody asked."""
        now = self._clock()
        if now < self._forget_at:
            return
        self._forget_at = now + _FORGET_EVERY
        gone, unused = now - KEEP, now - _UNUSED
        for key, versions in list(self._entries.items()):
            kept = [e for e in versions if (not e.gone or e.gone > gone) and (not e.fetched or e.fetched > unused)]
            if not kept:
                del self._entries[key]
            elif len(kept) < len(versions):
                self._entries[key] = kept


def rendered(names: Mapping[str, str], entry: Entry | None) -> bytes:
    """The member `"kubernetes":{...}` of a record: `names` are what its tag told (`pod_name`, `namespace_name`,
    `container_name`, `docker_id`, `container_hash`, as far as known)."""
    container = entry.containers.get(names.get("container_name", "")) if entry is not None else None
    told = {**names}
    if container is not None:
        told["docker_id"] = told.get("docker_id") or container.id
        told["container_hash"] = told.get("container_hash") or container.hash
        told["container_image"] = container.image
    parts = [
        b'"%b":%b' % (name.encode(), _encode(told[name])) for name in ("pod_name", "namespace_name") if told.get(name)
    ]
    if entry is not None and entry.members:
        parts.append(entry.members)
    parts += [b'"%b":%b' % (n.encode(), _encode(told[n])) for n in _CONTAINER if told.get(n)]
    if entry is not None and entry.workload:
        parts.append(b'"workload":' + entry.workload)
    return b'"kubernetes":{' + b",".join(parts) + b"}"


_CONTAINER = ("container_name", "docker_id", "container_hash", "container_image")


def rendered_namespace(name: str, entry: Entry | None) -> bytes:
    """The member `"kubernetes_namespace":{...}` of a record."""
    members = b"," + entry.members if entry is not None and entry.members else b""
    return b'"kubernetes_namespace":{"name":' + _encode(name) + members + b"}"
