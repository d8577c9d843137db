"""Kubernetes Events, core/v1 and events.k8s.io/v1, normalised to one struct.

Source: k8s.io/api/core/v1/types.go (Event), k8s.io/api/events/v1/types.go (Event), and captures of real servers.
The two are one object in storage: whichever group wrote it, either group may read it. In events.k8s.io the old
names are called `deprecated*`, `involvedObject` is `regarding` and `message` is `note`.
"""

from __future__ import annotations

import hashlib

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.names import record_key
from kubewitness.formats.times import us_or_zero


class Reference(msgspec.Struct):
    """core/v1 ObjectReference. `uid` is unreliable: the kubelet writes the node's name there."""

    kind: str | None = ""
    namespace: str | None = ""
    name: str | None = ""
    uid: str | None = ""
    apiVersion: str | None = ""
    resourceVersion: str | None = ""
    fieldPath: str | None = ""


class _Meta(msgspec.Struct):
    name: str | None = ""
    namespace: str | None = ""
    uid: str | None = ""
    resourceVersion: str | None = ""
    creationTimestamp: str | None = ""


class _Series(msgspec.Struct):
    count: int | None = 0
    lastObservedTime: str | None = ""


class _Source(msgspec.Struct):
    component: str | None = ""
    host: str | None = ""


class _Wire(msgspec.Struct):
    metadata: _Meta
    kind: str | None = ""
    involvedObject: Reference | None = None
    regarding: Reference | None = None
    related: Reference | None = None
    reason: str | None = ""
    action: str | None = ""
    message: str | None = ""
    note: str | None = ""
    type: str | None = ""
    source: _Source | None = None
    deprecatedSource: _Source | None = None
    firstTimestamp: str | None = ""
    lastTimestamp: str | None = ""
    deprecatedFirstTimestamp: str | None = ""
    deprecatedLastTimestamp: str | None = ""
    eventTime: str | None = ""
    count: int | None = 0
    deprecatedCount: int | None = 0
    series: _Series | None = None
    reportingComponent: str | None = ""
    reportingController: str | None = ""
    reportingInstance: str | None = ""


class CoreEvent(msgspec.Struct):
    """One version of one Event. Text that is absent is "", times are microseconds UTC and 0 when absent."""

    uid: str
    resource_version: str
    namespace: str
    name: str
    type: str
    reason: str
    action: str
    message: str
    regarding: Reference
    related: Reference | None
    #: who reported it: source.component or reportingController, and source.host or reportingInstance
    component: str
    instance: str
    #: how often it happened so far, at least 1
    occurrences: int
    series_us: int
    last_us: int
    event_us: int
    first_us: int
    created_us: int


_decoder = msgspec.json.Decoder(_Wire)


def decode(raw: bytes) -> CoreEvent:
    """The Event in one record's bytes. Raises `Malformed` when it is none (no metadata, no object it is about)."""
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not an Event: {e}") from e
    regarding = wire.involvedObject or wire.regarding
    if regarding is None:
        raise Malformed("not an Event: neither involvedObject nor regarding")
    meta = wire.metadata
    source = wire.source or wire.deprecatedSource or _Source()
    series = wire.series
    return CoreEvent(
        uid=meta.uid or "",
        resource_version=meta.resourceVersion or "",
        namespace=meta.namespace or "",
        name=meta.name or "",
        type=wire.type or "",
        reason=wire.reason or "",
        action=wire.action or "",
        message=wire.message or wire.note or "",
        regarding=regarding,
        related=wire.related,
        component=source.component or wire.reportingComponent or wire.reportingController or "",
        instance=source.host or wire.reportingInstance or "",
        # series.count is 1 at the second occurrence; reporters built with client-go 1.26 or newer begin at 2, which
        # cannot be told from the Event, so that theirs is one too many
        occurrences=max(1, wire.count or 0, wire.deprecatedCount or 0, (series.count or 0) + 1 if series else 0),
        series_us=us_or_zero(series.lastObservedTime if series else ""),
        last_us=us_or_zero(wire.lastTimestamp or wire.deprecatedLastTimestamp),
        event_us=us_or_zero(wire.eventTime),
        first_us=us_or_zero(wire.firstTimestamp or wire.deprecatedFirstTimestamp),
        created_us=us_or_zero(meta.creationTimestamp),
    )


def best_time(event: CoreEvent) -> tuple[int, str]:
    """(microseconds UTC, the field's name) of the occurrence that this version tells of; (0, "") without any time.

    That is the latest of series.lastObservedTime, lastTimestamp and eventTime: each writer keeps only some of
    them up to date. Within the same second the finer one wins. firstTimestamp and creationTimestamp say when it
    began and are taken only when nothing else is there.
    """
    best, name = event.series_us, "series.lastObservedTime" if event.series_us else ""
    for us, field in ((event.event_us, "eventTime"), (event.last_us, "lastTimestamp")):
        same_second_but_coarser = us % 1_000_000 == 0 and us // 1_000_000 == best // 1_000_000
        if us > best and not same_second_but_coarser:
            best, name = us, field
    if best:
        return best, name
    if event.first_us:
        return event.first_us, "firstTimestamp"
    return event.created_us, "creationTimestamp" if event.created_us else ""


def first_time(event: CoreEvent) -> int:
    """When it happened first, microseconds UTC; 0 when unknown."""
    return event.first_us or event.event_us or event.created_us or event.last_us


def identity(cluster: str, event: CoreEvent, raw: bytes) -> bytes:
    """The record key: cluster, uid, resourceVersion. An Event without either (never stored by an API server) is
    told apart by its bytes."""
    if event.uid and event.resource_version:
        return record_key("event", cluster, event.uid, event.resource_version)
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return record_key("event", cluster, event.uid, event.namespace, event.name, digest)
