"""AdmissionReview (admission.k8s.io/v1, v1beta1) as a validating webhook received it.

Source: k8s.io/api/admission/v1/types.go; `requestReceivedTimestamp` beside `request` is what recorders such as
kube-audit-rest add. `request.uid` has nothing to do with the audit trail's auditID.
"""

from __future__ import annotations

import hashlib

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.audit import OwnerReference, User, controlling
from kubewitness.formats.names import record_key
from kubewitness.formats.times import us_or_zero


class GroupVersionKind(msgspec.Struct):
    group: str | None = ""
    version: str | None = ""
    kind: str | None = ""


class GroupVersionResource(msgspec.Struct):
    group: str | None = ""
    version: str | None = ""
    resource: str | None = ""


class _Managed(msgspec.Struct):
    time: str | None = ""


class _Meta(msgspec.Struct):
    name: str | None = ""
    namespace: str | None = ""
    uid: str | None = ""
    resourceVersion: str | None = ""
    creationTimestamp: str | None = ""
    ownerReferences: list[OwnerReference] | None = None
    managedFields: list[_Managed] | None = None


class _Object(msgspec.Struct):
    kind: str | None = ""
    metadata: _Meta | None = None


class Request(msgspec.Struct):
    """AdmissionRequest, objects only in outline. `object` is None for DELETE, `oldObject` for CREATE."""

    uid: str
    operation: str
    userInfo: User
    kind: GroupVersionKind = msgspec.field(default_factory=GroupVersionKind)
    resource: GroupVersionResource = msgspec.field(default_factory=GroupVersionResource)
    subResource: str | None = ""
    requestKind: GroupVersionKind | None = None
    requestResource: GroupVersionResource | None = None
    requestSubResource: str | None = ""
    name: str | None = ""
    namespace: str | None = ""
    dryRun: bool | None = False
    object: _Object | None = None
    oldObject: _Object | None = None


class _Wire(msgspec.Struct):
    request: Request
    kind: str | None = ""
    apiVersion: str | None = ""
    requestReceivedTimestamp: str | None = ""


class Review(msgspec.Struct):
    """One AdmissionReview, what its row needs. Absent text is ""."""

    request: Request
    name: str
    namespace: str
    #: uid and resourceVersion of the object (the old one for DELETE)
    uid: str
    resource_version: str
    owners: list[OwnerReference]
    requestReceivedTimestamp: str

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that controls the object, else the first owner."""
        return controlling(self.owners)


_decoder = msgspec.json.Decoder(_Wire)


def decode(raw: bytes) -> Review:
    """The review in one record's bytes (kind and apiVersion may be missing). Raises `Malformed` when it is none."""
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not an AdmissionReview: {e}") from e
    request = wire.request
    if not request.uid or not request.operation:
        raise Malformed("not an AdmissionReview: request.uid or request.operation is empty")
    meta = _meta(request.object)
    old = _meta(request.oldObject)
    return Review(
        request=request,
        # at CREATE with generateName the request has no name yet, but the object may
        name=request.name or meta.name or old.name or "",
        namespace=request.namespace or meta.namespace or old.namespace or "",
        uid=meta.uid or old.uid or "",
        resource_version=meta.resourceVersion or old.resourceVersion or "",
        owners=meta.ownerReferences or old.ownerReferences or [],
        requestReceivedTimestamp=wire.requestReceivedTimestamp or "",
    )


def best_time(review: Review, arrived_us: int = 0) -> tuple[int, str]:
    """(microseconds UTC, what it was taken from); (0, "") when only its arrival is known (flag "time-from-arrival").

    A review has no time of its own. A recorder's requestReceivedTimestamp is best, or what our own webhook noted at its
    arrival (`arrived_us`, 0 when it did not), since the API server waits for the answer; else, for CREATE and UPDATE,
    the newest managedFields time or the creationTimestamp of the new object (whole seconds), both set by the API
    server just before it calls webhooks, and taken for UPDATE only when newer than all of the old object's.
    """
    received = us_or_zero(review.requestReceivedTimestamp)
    if received:
        return received, "requestReceivedTimestamp"
    if arrived_us:
        return arrived_us, "arrival"
    request = review.request
    if request.operation not in ("CREATE", "UPDATE") or request.object is None:
        return 0, ""
    newest = _newest(request.object)
    if newest and newest > _newest(request.oldObject):
        return newest, "managedFields"
    if request.operation == "CREATE" and request.subResource in ("", None):
        created = us_or_zero(_meta(request.object).creationTimestamp)
        if created:
            return created, "creationTimestamp"
    return 0, ""


def identity(cluster: str, review: Review, raw: bytes) -> bytes:
    """The record key: cluster and request.uid, plus a digest of the bytes, because a webhook may be called again for
    the same request with another object (reinvocation), and because the sender is free in what it writes."""
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return record_key("admission", cluster, review.request.uid, digest)


_NO_META = _Meta()


def _meta(obj: _Object | None) -> _Meta:
    return obj.metadata if obj is not None and obj.metadata is not None else _NO_META


def _newest(obj: _Object | None) -> int:
    return max((us_or_zero(m.time) for m in _meta(obj).managedFields or ()), default=0)
