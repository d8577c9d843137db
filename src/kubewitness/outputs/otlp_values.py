"""JSON values as AnyValue and KeyValue of OTLP, byte for byte. Source: opentelemetry-proto, common/v1/common.proto.

Written by hand, as building messages with the library costs two to four times as much. What comes again and again is
encoded once: a pod's metadata or a user as a whole, by their JSON; in other objects short texts with their names.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import msgspec

from kubewitness.outputs.varint import varint

_DOUBLE = struct.Struct("<d").pack
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: names of members, as `key` of a KeyValue and the tag of its `value`; records have few different ones
_heads: dict[str, bytes] = {}
#: members of records (name, JSON), and texts in objects (name, text), as entries of a KeyValueList
_whole: dict[tuple[str, bytes], bytes] = {}
_texts: dict[tuple[str, str], bytes] = {}
#: and names of empty objects, of which managedFields are full
_empty: dict[str, bytes] = {}
#: bytes that the first of them has, about, and may have, and entries of the others: at that they are begun anew
_kept = 0
_ALL = 8_000_000
_MANY = 4_000
#: what is kept: objects and arrays of so many bytes, other values of so many (no identifiers, no times), texts
_OBJECT, _SHORT, _TEXT = 2048, 28, 64
#: objects up to this are decoded at once; of larger ones the members may be known (bytes)
_SMALL = 64


def members_of(line: bytes) -> dict[str, msgspec.Raw]:
    """A record's values, as they stand in it; of what is no object, one member `log`."""
    try:
        return _members(line)
    except msgspec.ValidationError:
        return {"log": msgspec.Raw(line)}
    except msgspec.DecodeError:  # a name with half a surrogate
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in json.loads(line).items()}


def map_value(members: dict[str, msgspec.Raw]) -> bytes:
    """AnyValue of a record."""
    made = [_known(name, bytes(value)) for name, value in members.items()]
    body = made[0] if len(made) == 1 else b"".join(made)
    return b"\x32" + varint(len(body)) + body


def attributes(members: dict[str, msgspec.Raw], without: object) -> bytes:
    """A record's members as `attributes` of a log record."""
    return b"".join(b"\x32" + _known(name, bytes(value))[1:] for name, value in members.items() if name != without)


def any_value(value: Any) -> bytes:
    """AnyValue. Numbers that 64 bits do not hold are doubles; null is an AnyValue without a value."""
    kind = type(value)
    if kind is str:
        raw: bytes = value.encode("utf-8", "replace")  # protobuf refuses lone surrogates, which JSON may hold
        return b"\x0a" + varint(len(raw)) + raw
    if kind is dict:
        body = _entries(value)
        return b"\x32" + varint(len(body)) + body
    if kind is list:
        return _array([any_value(item) for item in value])
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int and -(1 << 63) <= value < 1 << 63:
        return b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    return b"" if value is None else b"\x21" + _DOUBLE(value)


def _known(name: str, raw: bytes) -> bytes:
    """A member of a record as an entry."""
    keep = len(raw) <= (_OBJECT if raw[0] in b"{[" else _SHORT)
    if keep:
        found = _whole.get((name, raw))
        if found is not None:
            return found
    made = _entry(name, _value(raw))
    if keep:
        _keep(name, raw, made)
    return made


def _value(raw: bytes) -> bytes:
    """AnyValue of JSON: as little of it is decoded as can be."""
    first = raw[0]
    if first == 0x22:
        # most text of JSON is UTF-8 without an escape, which is what protobuf wants, too
        if raw.isascii() and b"\\" not in raw:
            size = len(raw) - 2
            return b"\x0a%b%b" % (varint(size), raw[1:-1])
        return any_value(_decoded(raw))
    if len(raw) > _SMALL and first == 0x7B:
        return map_value(members_of(raw))
    if len(raw) > _SMALL and first == 0x5B:
        return _array([_value(bytes(item)) for item in _items(raw)])
    return any_value(_decoded(raw))


def _keep(name: str, raw: bytes, made: bytes) -> None:
    global _kept
    if _kept > _ALL:
        _whole.clear()
        _kept = 0
    _whole[name, raw] = made
    _kept += len(raw) + len(made) + 200


def _array(items: list[bytes]) -> bytes:
    made: list[bytes] = []
    for item in items:
        made += (b"\x0a", varint(len(item)), item)
    body = b"".join(made)
    return b"\x2a" + varint(len(body)) + body


def _entries(fields: dict[str, Any]) -> bytes:
    made: list[bytes] = []
    add, known, empty = made.append, _texts.get, _empty.get
    for name, value in fields.items():
        kind = type(value)
        if kind is str:
            add(known((name, value)) or _text_entry(name, value))
        elif kind is dict and not value:
            add(empty(name) or _empty_entry(name))
        else:
            add(_entry(name, any_value(value)))
    return b"".join(made)


def _empty_entry(name: str) -> bytes:
    if len(_empty) >= _MANY:
        _empty.clear()
    made = _empty[name] = _entry(name, b"\x32\x00")
    return made


def _text_entry(name: str, text: str) -> bytes:
    made = _entry(name, any_value(text))
    if len(text) <= _TEXT:
        if len(_texts) >= _MANY:
            _texts.clear()
        _texts[name, text] = made
    return made


def _entry(name: str, value: bytes) -> bytes:
    """A KeyValue within its list."""
    head = _heads.get(name) or _head(name)
    inner, size = len(value), len(head)
    if inner + size < 127:
        return b"\x0a%c%b%c%b" % (size + inner + 1, head, inner, value)
    length = varint(inner)
    return b"\x0a%b%b%b%b" % (varint(size + len(length) + inner), head, length, value)


def _head(name: str) -> bytes:
    if len(_heads) >= _MANY:
        _heads.clear()
    raw = name.encode("utf-8", "replace")
    # an empty `key` is left out, as every empty text
    made = _heads[name] = (b"\x0a" + varint(len(raw)) + raw if raw else b"") + b"\x12"
    return made


def _decoded(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except msgspec.DecodeError:  # a number that no float holds, or half a surrogate
        return json.loads(raw)
