"""The pipeline's time of a record: what outputs that show one (`json_date_key`) show.

The store's `ts` is another matter: it is always the best time that the record has (docs/formats.md).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import admission, audit, envelopes, events, logs, objects
from kubewitness.formats.times import us_or_zero
from kubewitness.record import Chunk

_SECOND = 1_000_000


def stamps_ns(chunk: Chunk) -> list[int]:
    """Nanoseconds UTC of each record, in order; its arrival for one that has no time, or cannot be read."""
    arrived = chunk.received_us * 1000
    return [ns or arrived for ns in times_ns(chunk)]


def times_ns(chunk: Chunk) -> array[int]:
    """What `Chunk.times` holds: nanoseconds UTC of each record, 0 for one that has no time."""
    return chunk.times if chunk.times is not None else array("q", [us * 1000 for us in _own_us(chunk)])


def _own_us(chunk: Chunk) -> Iterator[int]:
    of = _TIMES.get(chunk.table)
    if chunk.table == "logs" and chunk.form == "cri":
        yield from logs.cri_times(chunk.records())
        return
    for raw in chunk.records():
        try:
            yield of(chunk, raw) if of is not None else 0
        except Malformed:
            yield 0


def event_us(raw: bytes) -> int:
    """Of a Kubernetes Event, as Fluent Bit picks it: lastTimestamp, firstTimestamp, creationTimestamp, whole seconds.

    Its choice is wrong for what the newer Events API writes, whose first two are empty: a series that goes on would
    keep its time of creation for ever. So where eventTime or series.lastObservedTime lies in another second, and
    later or with only a creationTimestamp against it, that is taken, to the microsecond. 0 when there is no time.
    """
    event = events.decode(raw)
    picked = (event.last_us or event.first_us or event.created_us) // _SECOND
    finer = max(event.series_us, event.event_us)
    only_created = not event.last_us and not event.first_us
    if finer and (finer // _SECOND > picked or (only_created and finer // _SECOND != picked)):
        return finer
    return picked * _SECOND


def _event(chunk: Chunk, raw: bytes) -> int:
    return event_us(raw)


class _AuditTimes(msgspec.Struct, gc=False):
    """All that the time of a native record needs: five times as fast as decoding the event."""

    stageTimestamp: str = ""
    requestReceivedTimestamp: str = ""
    timestamp: str = ""


_audit_times = msgspec.json.Decoder(_AuditTimes).decode


def _audit(chunk: Chunk, raw: bytes) -> int:
    if not chunk.form:
        try:
            found = _audit_times(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass  # the whole decoder says what is wrong with it
        else:
            return (
                us_or_zero(found.stageTimestamp)
                or us_or_zero(found.timestamp)
                or us_or_zero(found.requestReceivedTimestamp)
            )
    return audit.times(envelopes.decode_audit(chunk.form, raw), chunk.received_us)[0]


def _object(chunk: Chunk, raw: bytes) -> int:
    return objects.best_time(objects.decode(raw))[0]


def _admission(chunk: Chunk, raw: bytes) -> int:
    return admission.best_time(admission.decode(raw))[0]


def _log(chunk: Chunk, raw: bytes) -> int:
    return logs.decode(chunk.form, raw, chunk.received_us).us


class _FindingTime(msgspec.Struct, gc=False):
    when: str = ""


_finding_time = msgspec.json.Decoder(_FindingTime).decode


def _finding(chunk: Chunk, raw: bytes) -> int:
    try:
        return us_or_zero(_finding_time(raw).when)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


_TIMES = {
    "audit": _audit,
    "events": _event,
    "objects": _object,
    "admission": _admission,
    "logs": _log,
    "findings": _finding,
}
