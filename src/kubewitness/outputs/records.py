"""Records one by one, for outputs whose format asks for it; and what became of some of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from kubewitness.contracts import Delivery, Partly, Refusal
from kubewitness.errors import Refused, Retry
from kubewitness.formats.record_times import stamps_ns as stamps_ns
from kubewitness.record import Note

_decode = msgspec.json.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode
_NOT_64_BITS = 1 << 63


def fields_of(line: bytes) -> dict[str, Any]:
    """A record's object, decoded."""
    try:
        found = _decode(line)
    except msgspec.DecodeError:  # a number that no float holds, or half a surrogate, which no encoding holds
        found = json.loads(json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace"))
    return found if isinstance(found, dict) else {"log": found}


def event(line: bytes, ns: int, *, metadata: bool = True, note: Note | None = None) -> bytes:
    """A record as an event of the forward protocol: [[time, {}], record], which is Fluent Bit's own form, or without
    `metadata` [time, record], which Fluentd knows, too. What 64 bits do not hold is a float."""
    beside = fields_of(note.metadata.encode()) if note is not None and note.metadata else {}
    head = [event_time(ns), beside] if metadata else event_time(ns)
    try:
        return _pack([head, fields_of(line)])
    except OverflowError:
        return _pack([head, json.loads(line, parse_int=_number)])


def _number(text: str) -> int | float:
    value = int(text)
    return value if -_NOT_64_BITS <= value < _NOT_64_BITS else float(text)


def event_time(ns: int) -> msgspec.msgpack.Ext:
    """As the forward protocol writes it: extension type 0, seconds and nanoseconds."""
    return msgspec.msgpack.Ext(0, struct.pack(">II", ns // 1_000_000_000 & 0xFFFFFFFF, ns % 1_000_000_000))


def only(delivery: Delivery, indexes: Sequence[int]) -> Delivery:
    """The delivery of only these of its records (ascending)."""
    return Delivery(delivery.seq, delivery.chunk.select(indexes))


def refusal(delivery: Delivery, index: int, reason: str) -> Refusal:
    return Refusal(only(delivery, [index]), reason)


def of_records(deliveries: Sequence[Delivery], numbers: Iterable[int]) -> list[Delivery]:
    """The deliveries of only these records, numbered (ascending) over all deliveries."""
    found: list[Delivery] = []
    wanted = sorted(numbers)
    start = at = 0
    for delivery in deliveries:
        end = start + len(delivery.chunk)
        begin = at
        while at < len(wanted) and wanted[at] < end:
            at += 1
        if at > begin:
            found.append(only(delivery, [n - start for n in wanted[begin:at]]))
        start = end
    return found


def grouped(deliveries: Sequence[Delivery], size: int) -> list[list[Delivery]]:
    """In groups of at most `size` records, in order."""
    groups: list[list[Delivery]] = []
    room = 0
    for delivery in deliveries:
        records = len(delivery.chunk)
        start = 0
        while start < records:
            if not room:
                groups.append([])
                room = size
            end = min(records, start + room)
            groups[-1].append(only(delivery, range(start, end)))
            room -= end - start
            start = end
    return groups


def outcome(
    deliveries: Sequence[Delivery],
    refused: dict[int, str],
    left: Iterable[int],
    message: str,
    after: float | None = None,
) -> Partly:
    """Of a batch whose far side told record by record, by their numbers over all deliveries."""
    refusals = [Refusal(d, reason) for n, reason in sorted(refused.items()) for d in of_records(deliveries, [n])]
    return Partly(message, left=of_records(deliveries, left), refused=refusals, after=after)


async def in_order(groups: Sequence[Sequence[Delivery]], send: Callable[[Sequence[Delivery]], Awaitable[None]]) -> None:
    """Sends group after group; what was through before one failed is not given again."""
    for i, group in enumerate(groups):
        try:
            await send(group)
        except (Retry, Refused, Partly) as e:
            later = [d for g in groups[i + 1 :] for d in g]
            if isinstance(e, Partly):
                raise Partly(str(e), left=[*e.left, *later], refused=e.refused, after=e.after) from e
            if i == 0:
                raise
            after = e.after if isinstance(e, Retry) else None
            raise Partly(str(e), left=[*group, *later], after=after) from e
