"""Messages of the forward protocol: MessagePack in, JSON records with their times out. Pure.

Source: Fluentd's "Forward Protocol Specification v1" and what Fluent Bit sends beyond it.

| mode | message |
|---|---|
| Message | [tag, time, record, options] |
| Forward | [tag, [entry, entry, ...], options] |
| PackedForward | [tag, entries one after another (bin or str), options] |
| CompressedPackedForward | the same, compressed as option `compressed` says: gzip or zstd |

An entry is [time, record], or [[time, metadata], record] as Fluent Bit sends it. A time is an EventTime (extension 0:
seconds and nanoseconds), whole seconds, or a float.
"""

from __future__ import annotations

import gc
import hashlib
import struct
from array import array
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgpack
import msgspec
from msgspec.msgpack import Ext

from kubewitness.record import Note

#: of a record that has no time of its own
ARRIVAL = "time-from-arrival"
#: seconds of an EventTime that are no time: the beginning and the end of a group of Fluent Bit's (resource, scope)
_GROUPS = (0xFFFFFFFF, 0xFFFFFFFE)
_SECOND = 1_000_000_000
#: types of values that JSON takes as they are
_PLAIN = frozenset((str, int, float, bool, type(None)))
_CONTAINED = _PLAIN | {dict, list}

_encode = msgspec.json.Encoder(enc_hook=str).encode
_time = struct.Struct(">II").unpack


def _usual_entries() -> msgspec.msgpack.Decoder[list[tuple[Any, dict[str, Any]]]]:
    """Of packed entries as nearly all are: exact times, names and texts that are UTF-8, no bytes, some levels deep.
    Three times as fast as looking at each value."""
    value: Any = str | int | float | bool | None
    for _ in range(6):
        value = str | int | float | bool | list[value] | dict[str, value] | None
    head: Any = Ext | tuple[Ext, dict[str, value]]
    return msgspec.msgpack.Decoder(list[tuple[head, dict[str, value]]])


_usual = _usual_entries().decode


class Broken(Exception):
    """What came is no message of this protocol; where the next one begins is not known."""


class TooLarge(Exception):
    """A message over the limit."""


class Nanoseconds(int):
    """An EventTime, since 1970."""

    __slots__ = ()


def _extension(code: int, data: bytes) -> Any:
    if code == 0 and len(data) == 8:
        seconds, nanoseconds = _time(data)
        return Nanoseconds(seconds * _SECOND + nanoseconds)
    return msgpack.ExtType(code, data)


def _unpacker(limit: int) -> Any:
    """What is no UTF-8 becomes half surrogates, from which its bytes can be had again."""
    return msgpack.Unpacker(
        raw=False,
        unicode_errors="surrogateescape",
        strict_map_key=False,
        max_buffer_size=limit,
        ext_hook=_extension,
    )


#: what the library raises for bytes that are no MessagePack
_ERRORS = (ValueError, TypeError, msgpack.UnpackException)


class Frames:
    """Whole messages of a stream of bytes, as they are. `limit`: bytes of one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unpacker = _unpacker(2 * limit + 1024 * 1024)
        self._fed = self._done = 0
        #: why nothing more can be read: Broken or TooLarge, to be raised when the messages before are dealt with
        self.wrong: Exception | None = None

    @property
    def pending(self) -> int:
        """Bytes of a message that has begun."""
        return self._fed - self._done

    def feed(self, data: bytes) -> list[Any]:
        """The messages that end here."""
        self._fed += len(data)
        found: list[Any] = []
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                before, self._done = self._done, self._unpacker.tell()
                if self._done - before > self._limit:
                    raise msgpack.BufferFull
                found.append(message)
            if self.pending > self._limit:
                raise msgpack.BufferFull
        except msgpack.BufferFull:
            self.wrong = TooLarge()
        except _ERRORS as e:
            self.wrong = Broken(f"no MessagePack: {str(e) or type(e).__name__}")
        return found


class Message(NamedTuple):
    """One message's records."""

    tag: str
    records: list[bytes]
    #: nanoseconds since 1970 of each, 0 where it has none
    times: array[int]
    notes: dict[int, Note]
    #: (what cannot be a record, why)
    rejects: list[tuple[bytes, str]]
    #: what its sender wants back when it is durable; None: nothing
    ack: str | None
    #: tells this message from all others, so that it is known when it comes again; b"": it cannot
    identity: bytes
    #: marks of groups, which are no records
    groups: int = 0


#: (packed entries, encoding) -> entries; raises Broken, TooLarge
Unpack = Callable[[bytes, str], bytes]


def read(found: Any, unpack: Unpack) -> Message | None:
    """A message from what `Frames` gives; None for one that says nothing (a heartbeat). Raises Broken, TooLarge."""
    if found is None:
        return None
    if not isinstance(found, list) or len(found) < 2 or not isinstance(found[0], str):
        raise Broken("a message is an array with a tag in front")
    tag, body = found[0], found[1]
    if isinstance(body, list):
        return _message(tag, body, _options(found, 2))
    if isinstance(body, bytes | str):
        options = _options(found, 2)
        packed = body if isinstance(body, bytes) else body.encode("utf-8", "surrogateescape")
        encoding = str(options.get("compressed") or "text").lower()
        entries = packed if encoding == "text" else unpack(packed, encoding)
        signal = options.get("fluent_signal")
        if isinstance(signal, int) and signal:
            kind = {1: "metrics", 2: "traces"}.get(signal, f"signals of kind {signal}")
            return _rejected(tag, entries, f"{kind} of Fluent Bit are no records", options)
        return _usual_message(tag, entries, options) or _message(tag, _entries(entries), options)
    if len(found) < 3:
        raise Broken("a message has a time and no record")
    options = _options(found, 3)
    metadata = options.get("metadata")
    head = [body, metadata] if metadata else body
    return _message(tag, [[head, found[2]]], options)


def _options(found: list[Any], at: int) -> dict[Any, Any]:
    options = found[at] if len(found) > at else None
    if options is not None and not isinstance(options, dict):
        raise Broken("the options are no map")
    return options or {}


def _entries(data: bytes) -> Iterable[Any]:
    unpacker = _unpacker(len(data) + 1)
    unpacker.feed(data)
    done = 0
    try:
        for entry in unpacker:
            done = unpacker.tell()  # at the end it has passed what is cut off
            yield entry
    except _ERRORS as e:
        raise Broken(f"packed entries are no MessagePack: {str(e) or type(e).__name__}") from e
    if done != len(data):
        raise Broken("the last of the packed entries is cut off")


def _usual_message(tag: str, data: bytes, options: dict[Any, Any]) -> Message | None:
    """None when there is something to look at in any of the entries."""
    collecting = gc.isenabled()
    gc.disable()  # thousands of objects that live for a moment: searching among them takes a third of the time
    try:
        return _usual_entries_message(tag, data, options)
    finally:
        if collecting:
            gc.enable()


def _usual_entries_message(tag: str, data: bytes, options: dict[Any, Any]) -> Message | None:
    try:
        found = _usual(b"\xdd" + _count(data).to_bytes(4, "big") + data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None
    times = array("q")
    notes: dict[int, Note] = {}
    for i, (head, _) in enumerate(found):
        if type(head) is tuple:
            head, metadata = head
            if metadata:
                notes[i] = Note(metadata=_json(metadata).decode())
        if head.code != 0 or len(head.data) != 8:
            return None
        seconds, nanoseconds = _time(head.data)
        if not seconds or seconds in _GROUPS:
            return None
        times.append(seconds * _SECOND + nanoseconds)
    ack = _ack(options)
    records = [_encode(record) for _, record in found]
    return Message(_text(tag), records, times, notes, [], ack, _identity(ack, tag) if ack else b"")


def _count(data: bytes) -> int:
    """Values one after another; what is no value is left to who reads them."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) + 1)
    unpacker.feed(data)
    count = 0
    try:
        while True:
            unpacker.skip()
            count += 1
    except (msgpack.OutOfData, *_ERRORS):
        return count


def _message(tag: str, entries: Iterable[Any], options: dict[Any, Any]) -> Message:
    records: list[bytes] = []
    times = array("q")
    notes: dict[int, Note] = {}
    rejects: list[tuple[bytes, str]] = []
    groups = 0
    exact = True
    for entry in entries:
        if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], dict):
            rejects.append((_json({"entry": entry}), "an entry is [time, record], and a record a map"))
            continue
        head, record = entry[0], entry[1]
        metadata = None
        if isinstance(head, list) and head:
            head, metadata = head[0], head[1] if len(head) > 1 else None
        ns = _nanoseconds(head)
        if ns // _SECOND in _GROUPS and type(head) is Nanoseconds:
            groups += 1
            continue
        exact = exact and type(head) is Nanoseconds
        if not ns or metadata:
            text = _json(metadata).decode() if metadata and isinstance(metadata, dict) else ""
            notes[len(records)] = Note(flags=() if ns else (ARRIVAL,), metadata=text)
        times.append(ns)
        records.append(_json(record))
    ack = _ack(options)
    identity = _identity(ack, tag) if ack and exact else b""
    return Message(_text(tag), records, times, notes, rejects, ack, identity, groups)


def _rejected(tag: str, data: bytes, reason: str, options: dict[Any, Any]) -> Message:
    return Message(_text(tag), [], array("q"), {}, [(data, reason)], _ack(options), b"")


def _ack(options: dict[Any, Any]) -> str | None:
    chunk = options.get("chunk")
    if isinstance(chunk, bytes):
        return chunk.decode("utf-8", "surrogateescape")
    return chunk if isinstance(chunk, str) else None


def _identity(chunk: str, tag: str) -> bytes:
    """Of the id that a sender gave its message: Fluent Bit's is a digest of the content, so that only messages with
    exact times can be told apart by it."""
    named = f"{tag}\0{chunk}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(named, digest_size=8, person=b"forward chunk").digest()


def _nanoseconds(value: Any) -> int:
    """0 for what is no time."""
    if type(value) is Nanoseconds:
        return int(value)
    if type(value) is int:
        return value * _SECOND if 0 <= value < 1 << 33 else 0
    if type(value) is float and 0 <= value < 1 << 33:
        return int(value * _SECOND)
    return 0


def _json(record: Any) -> bytes:
    """As one line of JSON. Bytes are text; what is no UTF-8 is escaped."""
    if type(record) is dict and _is_plain(record.values()):
        try:
            return _encode(record)
        except (UnicodeEncodeError, TypeError):
            pass
    return _encode(_plain(record))


def _is_plain(values: Iterable[Any]) -> bool:
    """Whether nothing in there is bytes, or otherwise unknown to JSON."""
    kinds = set(map(type, values))
    if kinds <= _PLAIN:
        return True
    if not kinds <= _CONTAINED:
        return False
    return all(
        _is_plain(value.values() if type(value) is dict else value) for value in values if type(value) in (dict, list)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {k if isinstance(k, str) and k.isascii() else _name(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Nanoseconds):
        return f"{value // _SECOND}.{value % _SECOND:09d}"
    return value


def _name(key: Any) -> str:
    if isinstance(key, str | bytes):
        return str(_plain(key))
    return _encode(_plain(key)).decode()


def _text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def acknowledgement(chunk: str) -> bytes:
    packed: bytes = msgpack.packb({"ack": chunk}, unicode_errors="surrogateescape")
    return packed
