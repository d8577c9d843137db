"""Versions of any other object (pods, nodes, custom resources), as a list or a watch gives them.

Source: k8s.io/apimachinery/pkg/apis/meta/v1/types.go (TypeMeta, ObjectMeta, ManagedFieldsEntry).
"""

from __future__ import annotations

import hashlib

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.audit import OwnerReference, controlling
from kubewitness.formats.names import record_key
from kubewitness.formats.times import us_or_zero


class _Managed(msgspec.Struct):
    time: str | None = ""


class _Meta(msgspec.Struct):
    name: str | None = ""
    namespace: str | None = ""
    uid: str | None = ""
    resourceVersion: str | None = ""
    generation: int | None = None
    creationTimestamp: str | None = ""
    deletionTimestamp: str | None = ""
    deletionGracePeriodSeconds: int | None = 0
    ownerReferences: list[OwnerReference] | None = None
    managedFields: list[_Managed] | None = None


class _Wire(msgspec.Struct):
    metadata: _Meta
    kind: str
    apiVersion: str


class ObjectVersion(msgspec.Struct):
    """The outline of one version of one object. Absent text is "", absent times are 0 (microseconds UTC)."""

    kind: str
    api_version: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int | None
    owners: list[OwnerReference]
    created_us: int
    #: metadata.deletionTimestamp: when the grace period ends, not when the deletion was asked for
    deletion_us: int
    #: when the deletion was asked for: deletionTimestamp minus the grace period
    deletion_asked_us: int
    #: newest time in managedFields
    managed_us: int

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that controls it, else the first owner."""
        return controlling(self.owners)


_decoder = msgspec.json.Decoder(_Wire)


def decode(raw: bytes) -> ObjectVersion:
    """The outline of an object. Raises `Malformed` when it has no kind, apiVersion or name."""
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a Kubernetes object: {e}") from e
    meta = wire.metadata
    if not wire.kind or not wire.apiVersion or not meta.name:
        raise Malformed("not a Kubernetes object: kind, apiVersion or metadata.name is empty")
    deletion = us_or_zero(meta.deletionTimestamp)
    return ObjectVersion(
        kind=wire.kind,
        api_version=wire.apiVersion,
        namespace=meta.namespace or "",
        name=meta.name,
        uid=meta.uid or "",
        resource_version=meta.resourceVersion or "",
        generation=meta.generation,
        owners=meta.ownerReferences or [],
        created_us=us_or_zero(meta.creationTimestamp),
        deletion_us=deletion,
        deletion_asked_us=deletion - (meta.deletionGracePeriodSeconds or 0) * 1_000_000 if deletion else 0,
        managed_us=max((us_or_zero(m.time) for m in meta.managedFields or ()), default=0),
    )


def best_time(version: ObjectVersion) -> tuple[int, str]:
    """(microseconds UTC, what it was taken from) of this version; (0, "") when only its arrival is known.

    An object carries no time of its last change. The newest of these is the closest to it: managedFields (the API
    server sets it when a manager changes a field), the moment the deletion was asked for, the creation.
    Conditions are not used: their times are the reporter's, and heartbeats move them. The caller falls back to
    the time of arrival and flags "time-from-arrival"; a live watch's DELETED carries that flag from the input,
    because an object that was removed at once holds no time of its removal.
    """
    times = (
        (version.managed_us, "managedFields"),
        (version.deletion_asked_us, "deletionTimestamp"),
        (version.created_us, "creationTimestamp"),
    )
    us, name = max(times, key=lambda pair: pair[0])
    return (us, name) if us else (0, "")


def identity(cluster: str, version: ObjectVersion, raw: bytes, change: str = "") -> bytes:
    """The record key: cluster, uid, resourceVersion; DELETED is told apart, because some servers repeat the last
    version's resourceVersion with it. Without uid or resourceVersion the bytes tell objects apart."""
    gone = "DELETED" if change == "DELETED" else ""
    if version.uid and version.resource_version:
        return record_key("object", cluster, version.uid, version.resource_version, gone)
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return record_key(
        "object", cluster, version.api_version, version.kind, version.namespace, version.name, gone, digest
    )
