"""Audit events to rows."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import audit, depth, envelopes
from kubewitness.formats.audit import AuditEvent, Body, ObjectRef, Status
from kubewitness.formats.names import object_key, user_kind
from kubewitness.record import Chunk, Note
from kubewitness.store.columns import Row
from kubewitness.store.rejected import Reject

_NO_REF = ObjectRef()
_NO_STATUS = Status()
_NO_NOTE = Note()
_NO_ANNOTATIONS: dict[str, str] = {}
_NO_TEXTS: list[str] = []
_NO_OWNER = ("", "", "")
_encode = msgspec.json.Encoder().encode


def rows(chunk: Chunk, number: int, out: list[Row], rejects: list[Reject]) -> None:
    """Appends one row for each record of the chunk, or a reject."""
    decode = audit.strict_decode if not chunk.form else None
    decoded = chunk.decoded
    data, notes, form, cluster, keys = chunk.data, chunk.notes, chunk.form, chunk.cluster or "default", chunk.keys
    arrived, add = chunk.received_us, out.append
    start = 0
    for i, end in enumerate(chunk.ends):
        try:
            raw = data[start:end] if decoded is None else b""
            try:
                if decoded is not None:
                    event = decoded[i]
                else:
                    event = decode(raw) if decode is not None else envelopes.decode_audit(form, raw)
                if not event.auditID:
                    raise Malformed("not an audit Event: auditID is empty")
            except (msgspec.MsgspecError, UnicodeDecodeError):
                event = envelopes.decode_audit(form, raw)
            except RecursionError:  # Python's stack was less deep when it was taken in
                event = envelopes.decode_audit(form, depth.shallow(raw))
            key = keys[i * 16 : i * 16 + 16] if keys else audit.identity(cluster, event)
            note = notes.get(i, _NO_NOTE) if notes else _NO_NOTE
            add(_row(event, cluster, arrived, key, note, start, end - start, number))
        except Malformed as e:
            rejects.append(Reject(number, i, start, end - start, str(e)))
        start = end + 1


def _row(
    event: AuditEvent, cluster: str, arrived: int, key: bytes, note: Note, start: int, length: int, number: int
) -> Row:
    ts, received, from_arrival = audit.times(event, arrived)
    flags = (*note.flags, "time-from-arrival") if from_arrival and "time-from-arrival" not in note.flags else note.flags
    ref = event.objectRef or _NO_REF
    status = event.responseStatus or _NO_STATUS
    annotations = event.annotations or _NO_ANNOTATIONS
    user = event.user
    who = event.impersonatedUser
    ips = event.sourceIPs or _NO_TEXTS
    group = ref.apiGroup or ""
    resource = ref.resource or ""
    namespace = ref.namespace or ""
    if resource == "namespaces" and not group:
        namespace = ""  # the API server writes the namespace's own name there; it is not in itself
    name, uid, version, owner, message = _from_bodies(event, ref, status)
    return (
        ts,
        received,
        event.auditID,
        event.stage,
        event.level,
        event.verb,
        user.username,
        user_kind(user.username),
        user.groups or _NO_TEXTS,
        who.username if who is not None else "",
        ips[-1] if ips else "",
        ips[:-1],
        event.userAgent or "",
        group,
        ref.apiVersion or "",
        resource,
        ref.subresource or "",
        namespace,
        name,
        uid,
        *owner,
        version,
        event.requestURI,
        "dryRun=" in event.requestURI or (type(event.requestObject) is Body and bool(event.requestObject.dryRun)),
        status.code,
        status.reason or "",
        message,
        annotations.get("authorization.k8s.io/decision", ""),
        annotations.get("authorization.k8s.io/reason", ""),
        _encode(annotations).decode() if annotations else "",
        ",".join(flags),
        note.redacted,
        note.digest,
        key,
        object_key(cluster, group, resource, namespace, name) if resource else 0,
        start,
        length,
        number,
    )


def _from_bodies(event: AuditEvent, ref: ObjectRef, status: Status) -> tuple[str, str, str, tuple[str, str, str], str]:
    """(name, uid, resourceVersion, owner, message): what objectRef leaves out and a body may tell."""
    name, uid, version, message = ref.name or "", ref.uid or "", ref.resourceVersion or "", status.message or ""
    owner: tuple[str, str, str] = _NO_OWNER
    response: Any = event.responseObject
    request: Any = event.requestObject
    if type(response) is Body:
        if response.kind == "Status":
            message = message or response.message or ""
            details = response.details
            # the details of a refusal name other things (a quota, a webhook); those of a deletion its object
            if details is not None and (status.code or 0) < 400 and details.name in (name, None, ""):
                uid = uid or details.uid or ""
            response = None
    else:
        response = None
    if type(request) is not Body or request.kind == "DeleteOptions":
        request = None
    for body in (response, request):
        meta = body.metadata if body is not None else None
        if meta is None or (name and meta.name and meta.name != name):
            continue  # e.g. a TokenRequest or Binding has its own metadata
        name = name or meta.name or ""
        uid = uid or meta.uid or ""
        if body is response and meta.resourceVersion and meta.name:
            version = meta.resourceVersion
        if owner is _NO_OWNER and meta.ownerReferences:
            first = next((o for o in meta.ownerReferences if o.controller), meta.ownerReferences[0])
            owner = (first.kind, first.name, first.uid)
    return name, uid, version, owner, message
