"""The API server's audit Event (audit.k8s.io/v1; v1beta1 differs in one name), decoded just as far as needed.

Source: k8s.io/apiserver/pkg/apis/audit/v1/types.go (field names), and captures of real servers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.names import record_key
from kubewitness.formats.times import parse_us, us_or_zero


class User(msgspec.Struct, gc=False):
    """authentication.k8s.io UserInfo. A 401 has an empty one."""

    username: str = ""
    uid: str = ""
    groups: list[str] | None = None


class ObjectRef(msgspec.Struct, gc=False):
    """What the request was about. Absent for non-resource URLs; no name for generateName creates."""

    resource: str | None = ""
    namespace: str | None = ""
    name: str | None = ""
    uid: str | None = ""
    apiGroup: str | None = ""
    apiVersion: str | None = ""
    resourceVersion: str | None = ""
    subresource: str | None = ""


class StatusDetails(msgspec.Struct, gc=False):
    name: str | None = ""
    uid: str | None = ""
    kind: str | None = ""


class Status(msgspec.Struct, gc=False):
    """metav1.Status of the response."""

    code: int | None = 0
    reason: str | None = ""
    message: str | None = ""
    status: str | None = ""


class OwnerReference(msgspec.Struct, gc=False):
    kind: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""
    controller: bool | None = None


def controlling(owners: list[OwnerReference]) -> OwnerReference | None:
    """The owner that controls an object, else its first owner."""
    for owner in owners:
        if owner.controller:
            return owner
    return owners[0] if owners else None


class Meta(msgspec.Struct, gc=False):
    """metav1.ObjectMeta, the part that says which object this is."""

    name: str | None = ""
    namespace: str | None = ""
    uid: str | None = ""
    resourceVersion: str | None = ""
    generateName: str | None = ""
    ownerReferences: list[OwnerReference] | None = None


class Body(msgspec.Struct, gc=False):
    """The outline of a request or response body: an object, a Status, or a List."""

    kind: str | None = ""
    metadata: Meta | None = None
    #: of a Status
    message: str | None = ""
    details: StatusDetails | None = None
    #: of DeleteOptions: ["All"] for a dry run, which a delete says in its body, not in its URI
    dryRun: Any = None


class AuditEvent(msgspec.Struct, gc=False):
    """One record of the audit trail, bodies only in outline (`msgspec` skips what is not named here)."""

    auditID: str
    stage: str = ""
    level: str = ""
    verb: str = ""
    requestURI: str = ""
    user: User = msgspec.field(default_factory=User)
    impersonatedUser: User | None = None
    sourceIPs: list[str] | None = None
    userAgent: str | None = ""
    objectRef: ObjectRef | None = None
    responseStatus: Status | None = None
    #: only objects are outlined: a JSON-patch body is an array, a scalar is possible
    requestObject: Body | list[msgspec.Raw] | str | int | float | bool | None = None
    responseObject: Body | list[msgspec.Raw] | str | int | float | bool | None = None
    requestReceivedTimestamp: str = ""
    stageTimestamp: str = ""
    #: v1beta1 before 1.8
    timestamp: str = ""
    annotations: dict[str, str] | None = None


class _Named(msgspec.Struct, gc=False):
    username: str = ""


class _Kind(msgspec.Struct, gc=False):
    kind: str | None = ""


class _Where(msgspec.Struct, gc=False):
    resource: str | None = ""
    subresource: str | None = ""


class _Code(msgspec.Struct, gc=False):
    code: int | None = 0
    message: str | None = ""


class Outline(msgspec.Struct, gc=False):
    """What identity and redaction need of an audit event: half the cost of an `AuditEvent`."""

    auditID: str
    stage: str = ""
    verb: str = ""
    requestURI: str = ""
    user: _Named = msgspec.field(default_factory=_Named)
    objectRef: _Where | None = None
    responseStatus: _Code | None = None
    requestObject: _Kind | list[msgspec.Raw] | str | int | float | bool | None = None
    responseObject: _Kind | list[msgspec.Raw] | str | int | float | bool | None = None
    requestReceivedTimestamp: str = ""
    stageTimestamp: str = ""
    timestamp: str = ""


_decoder = msgspec.json.Decoder(AuditEvent)
#: as `strict_decode`, but what it leaves out is not looked at: for bytes known to be valid UTF-8
outline_decode = msgspec.json.Decoder(Outline).decode
#: the fast path of `decode` for readers of many records: raises msgspec's errors, leaves odd records to `decode`
strict_decode = _decoder.decode

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_field_decoders = {f.name: msgspec.json.Decoder(f.type) for f in msgspec.structs.fields(AuditEvent)}
_body_decoders = {f.name: msgspec.json.Decoder(f.type) for f in msgspec.structs.fields(Body)}

STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


def decode(record: bytes) -> AuditEvent:
    """The audit event in one record's bytes (native form). Raises `Malformed` when it is none.

    A field of an unexpected type (a custom resource's body may hold anything) is taken as absent: one odd field
    costs that field, never the record.
    """
    try:
        event = strict_decode(record)
    except msgspec.ValidationError as e:
        event = _decode_leniently(record, e)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not an audit Event: {e}") from e
    if not event.auditID:
        raise Malformed("not an audit Event: auditID is empty")
    return event


def _decode_leniently(record: bytes, why: Exception) -> AuditEvent:
    try:
        fields = _fields.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not an audit Event: {e}") from e
    values = _decoded(fields, _field_decoders)
    if not isinstance(values.get("auditID"), str):
        raise Malformed(f"not an audit Event: {why}") from why
    for name in ("requestObject", "responseObject"):
        if name in fields and name not in values:
            values[name] = _outline(bytes(fields[name]))
    return AuditEvent(**values)  # type: ignore[arg-type]


def _outline(body: bytes) -> Body:
    try:
        return Body(**_decoded(_fields.decode(body), _body_decoders))  # type: ignore[arg-type]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Body()


def _decoded(fields: dict[str, msgspec.Raw], decoders: dict[str, msgspec.json.Decoder[object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, decoder in decoders.items():
        if name in fields:
            try:
                values[name] = decoder.decode(fields[name])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
    return values


def received_us(event: AuditEvent) -> int:
    """When the API server received the request, microseconds UTC."""
    text = event.requestReceivedTimestamp or event.timestamp or event.stageTimestamp
    if not text:
        raise Malformed("audit Event without a time (stageTimestamp, timestamp)")
    return parse_us(text)


def times(event: AuditEvent, arrived_us: int) -> tuple[int, int, bool]:
    """(stage, received, whether both are only the time of arrival), microseconds UTC. Never fails.

    Proxies and hand-made captures leave the times out; such a record is kept at its arrival, and flagged.
    """
    stage = us_or_zero(event.stageTimestamp) or us_or_zero(event.timestamp)
    if event.requestReceivedTimestamp == event.stageTimestamp:
        received = stage
    else:
        received = us_or_zero(event.requestReceivedTimestamp) or us_or_zero(event.timestamp)
    if not stage and not received:
        return arrived_us, arrived_us, True
    return stage or received, received or stage, False


def identity(cluster: str, event: AuditEvent | Outline) -> bytes:
    """The record key. A client may choose its Audit-ID header, so the ID alone proves nothing: times, user, verb,
    URI and code are part of the identity, and a reused auditID is another record, never a repeat."""
    status = event.responseStatus
    return record_key(
        "audit",
        cluster,
        event.auditID,
        event.stage,
        event.requestReceivedTimestamp or event.timestamp,
        event.stageTimestamp,
        event.user.username,
        event.verb,
        event.requestURI,
        str(status.code if status is not None else ""),
    )
