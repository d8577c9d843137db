"""Chunks to rows: one function a table. Adding a table is one function and one line in `ROWS`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from kubewitness.errors import Malformed
from kubewitness.formats import admission, events, logs, objects
from kubewitness.formats.about import About, about, filled
from kubewitness.formats.audit import OwnerReference
from kubewitness.formats.logshapes import with_members
from kubewitness.formats.names import object_key, record_key, resource_of_kind, user_kind
from kubewitness.record import Chunk, Note
from kubewitness.store import rows_audit
from kubewitness.store.columns import ARRIVAL, Row
from kubewitness.store.rejected import Reject, reject_row
from kubewitness.store.rows_findings import finding_row

RowsOf = Callable[[Chunk, int, list[Row], list[Reject]], None]
#: (chunk, index of the record, its bytes, its note, its key or b"", offset) -> row without the chunk's number
RowOf = Callable[[Chunk, int, bytes, Note, bytes, int], Row]

_NO_NOTE = Note()
_NOTHING_SAID = About()


def _each(row_of: RowOf) -> RowsOf:
    """Every record through `row_of`; what it calls malformed becomes a reject."""

    def rows(chunk: Chunk, number: int, out: list[Row], rejects: list[Reject]) -> None:
        for i, (start, end) in enumerate(chunk.spans()):
            raw = chunk.data[start:end]
            note = chunk.notes.get(i, _NO_NOTE)
            try:
                row = row_of(chunk, i, raw, note, chunk.key(i), start)
            except (Malformed, UnicodeDecodeError) as e:
                rejects.append(Reject(number, i, start, end - start, str(e)))
            except RecursionError:
                rejects.append(Reject(number, i, start, end - start, "nested too deeply"))
            else:
                out.append((*row, number))

    return rows


def _flags(note: Note, *more: str) -> str:
    return ",".join(dict.fromkeys((*note.flags, *(f for f in more if f))))


def _tail(note: Note, flags: str, key: bytes, obj: int, start: int, raw: bytes) -> Row:
    return flags, note.redacted, note.digest, key, obj, start, len(raw)


def _or_none(us: int) -> int | None:
    return us or None


def _owner(owner: OwnerReference | None) -> tuple[str, str, str]:
    return (owner.kind, owner.name, owner.uid) if owner is not None else ("", "", "")


def _event(chunk: Chunk, index: int, raw: bytes, note: Note, key: bytes, start: int) -> Row:
    event = events.decode(raw)
    ts, ts_source = events.best_time(event)
    about = event.regarding
    resource = resource_of_kind(about.kind or "", about.apiVersion or "")
    namespace, name = about.namespace or "", about.name or ""
    if not resource.namespaced:
        namespace = ""
    related = event.related
    change = note.change or "ADDED"
    return (
        ts or chunk.received_us,
        ts_source or "arrival",
        _or_none(events.first_time(event)),
        _or_none(event.last_us or event.series_us or event.event_us),
        event.occurrences,
        # how many occurrences this version adds is known only beside the version before it: see the view
        None,
        event.uid,
        event.namespace,
        event.name,
        event.resource_version,
        event.type,
        event.reason,
        event.action,
        event.message,
        resource.group,
        resource.resource,
        about.kind or "",
        namespace,
        name,
        about.uid or "",
        about.fieldPath or "",
        (related.kind or "") if related else "",
        (related.namespace or "") if related else "",
        (related.name or "") if related else "",
        (related.uid or "") if related else "",
        event.component,
        event.instance,
        change,
        *_tail(
            note,
            _flags(note, "" if ts else ARRIVAL),
            key or events.identity(chunk.cluster, event, raw),
            object_key(chunk.cluster, resource.group, resource.resource, namespace, name),
            start,
            raw,
        ),
    )


def _object(chunk: Chunk, index: int, raw: bytes, note: Note, key: bytes, start: int) -> Row:
    version = objects.decode(raw)
    ts, _ = objects.best_time(version)
    if ARRIVAL in note.flags:
        ts = 0
    resource = resource_of_kind(version.kind, version.api_version)
    return (
        ts or chunk.received_us,
        note.change or "ADDED",
        version.kind,
        version.group,
        version.version,
        resource.resource,
        "",
        version.namespace,
        version.name,
        version.uid,
        *_owner(version.controller),
        version.resource_version,
        version.generation,
        _or_none(version.deletion_us),
        *_tail(
            note,
            _flags(note, "" if ts else ARRIVAL),
            key or objects.identity(chunk.cluster, version, raw, note.change),
            object_key(chunk.cluster, version.group, resource.resource, version.namespace, version.name),
            start,
            raw,
        ),
    )


def _admission(chunk: Chunk, index: int, raw: bytes, note: Note, key: bytes, start: int) -> Row:
    review = admission.decode(raw)
    ts, _ = admission.best_time(review, note.arrived_us)
    request = review.request
    kind, resource = request.requestKind or request.kind, request.requestResource or request.resource
    group = resource.group or ""
    namespace = "" if resource.resource == "namespaces" and not group else review.namespace
    subresource = request.requestSubResource or request.subResource or ""
    user = request.userInfo
    return (
        ts or chunk.received_us,
        request.uid,
        request.operation,
        user.username,
        user_kind(user.username),
        user.groups or [],
        kind.kind or "",
        group,
        resource.version or "",
        resource.resource or "",
        subresource,
        namespace,
        review.name,
        review.uid,
        *_owner(review.controller),
        review.resource_version,
        bool(request.dryRun),
        *_tail(
            note,
            _flags(note, "" if ts else ARRIVAL),
            key or admission.identity(chunk.cluster, review, raw),
            object_key(chunk.cluster, group, resource.resource or "", namespace, review.name),
            start,
            raw,
        ),
    )


def _log(chunk: Chunk, index: int, raw: bytes, note: Note, key: bytes, start: int) -> Row:
    line = logs.decode(chunk.form, raw, chunk.received_us)
    us = chunk.times[index] // 1000 if chunk.times is not None else line.us
    file, offset = chunk.place(index, start)
    file = file or chunk.source
    where = logs.place(file)
    node = ""
    if chunk.origin is not None:
        where, node = logs.place(file, chunk.origin.target), chunk.origin.node
    said, fields = _NOTHING_SAID, line.fields
    if chunk.also:
        said = about(chunk.also)
        where, node = filled(where, said.place), node or said.node
        fields = with_members((fields or "{}").encode(), chunk.also).decode()
    text = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return (
        us or chunk.received_us,
        where.namespace,
        where.pod,
        where.container,
        where.container_id,
        where.pod_uid,
        node,
        line.stream,
        line.severity,
        line.message,
        fields,
        said.labels,
        said.owner_kind,
        said.owner_name,
        file,
        offset if offset >= 0 else None,
        *_tail(
            note,
            _flags(note, "" if us else ARRIVAL),
            # without an identity from its input: the same text at the same place of the same file is the same line
            key or record_key("log", chunk.cluster, file, str(offset), str(us), text),
            object_key(chunk.cluster, "", "pods", where.namespace, where.pod) if where.pod else 0,
            start,
            raw,
        ),
    )


def _finding(chunk: Chunk, index: int, raw: bytes, note: Note, key: bytes, start: int) -> Row:
    row, ts_known, (kind, namespace, name) = finding_row(raw, chunk.received_us)
    about = resource_of_kind(kind)
    return (
        *row,
        *_tail(
            note,
            _flags(note, "" if ts_known else ARRIVAL),
            key or record_key("finding", chunk.cluster, hashlib.blake2b(raw, digest_size=16).hexdigest()),
            object_key(chunk.cluster, about.group, about.resource, namespace, name) if kind and name else 0,
            start,
            raw,
        ),
    )


def _reject(chunk: Chunk, index: int, raw: bytes, note: Note, key: bytes, start: int) -> Row:
    return reject_row(chunk, Reject(0, index, start, len(raw), note.reason))[:-1]


ROWS: dict[str, RowsOf] = {
    "audit": rows_audit.rows,
    "events": _each(_event),
    "objects": _each(_object),
    "admission": _each(_admission),
    "logs": _each(_log),
    "findings": _each(_finding),
    "rejects": _each(_reject),
}
