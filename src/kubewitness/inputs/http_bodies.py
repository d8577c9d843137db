"""Bodies of input `http`: one JSON object, arrays of them, several one after another, lines, or a form's fields.

A body is taken whole or not at all: its sender is told, and has it still. Bytes stay as they were sent, but for
newlines between an object's values, which become spaces.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qsl

import msgspec

from kubewitness.errors import Malformed

JSON_TYPES = ("application/json", "application/x-ndjson", "application/ndjson", "application/jsonl")
FORM_TYPE = "application/x-www-form-urlencoded"


class _Object(msgspec.Struct, gc=False):
    """Any JSON object: read through, nothing kept."""


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_objects = msgspec.json.Decoder(list[_Object]).decode
_object = msgspec.json.Decoder(_Object).decode
_lines = msgspec.json.Decoder(_Object).decode_lines
_encode = msgspec.json.Encoder().encode
#: finds where a value ends; what is in it does not matter
_stdlib = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = " \t\r\n"


def records_of(body: bytes, content_type: str) -> list[bytes]:
    """One JSON object a record, without a newline. Raises Malformed: what is wrong, and where."""
    if content_type == FORM_TYPE:
        return [_form(body)]
    try:
        if not body.isascii():
            body.decode()  # what is only read through is not checked to be text
        return _json(body.strip())
    except UnicodeDecodeError as e:
        raise Malformed(f"no UTF-8 at byte {e.start}") from e
    except RecursionError as e:
        raise Malformed("nested too deeply") from e


def _json(body: bytes) -> list[bytes]:
    if not body:
        raise Malformed("there is nothing in it")
    for form in (_list, _one, _ndjson, _several):
        try:
            return form(body)
        except msgspec.MsgspecError as e:
            wrong = e
    raise Malformed(str(wrong)) from wrong


def _list(body: bytes) -> list[bytes]:
    _objects(body)
    return [_one_line(bytes(item)) for item in _array(body)]


def _one(body: bytes) -> list[bytes]:
    _object(body)
    return [_one_line(body)]


def _ndjson(body: bytes) -> list[bytes]:
    """Where every line is from `{` to `}`, none ends within an object; so many objects are one a line."""
    lines = [line.strip() for line in body.split(b"\n") if line.strip()]
    if len(_lines(body)) != len(lines) or not all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        raise msgspec.DecodeError("not an object a line")
    return lines


def _several(body: bytes) -> list[bytes]:
    """Values one after another, with or without something between them."""
    found: list[bytes] = []
    for raw in _values(body.decode()):
        if raw.startswith("["):
            found += [_one_line(bytes(item)) for item in _array(raw)]
        else:
            found.append(_one_line(raw.encode()))
    for n, record in enumerate(found, 1):
        try:
            _object(record)
        except msgspec.MsgspecError as e:
            raise Malformed(f"value {n} is no JSON object: {e}") from e
    return found


def _values(text: str) -> Iterator[str]:
    at, n = 0, 1
    while at < len(text):
        try:
            _, end = _stdlib.raw_decode(text, at)
        except json.JSONDecodeError as e:
            raise Malformed(f"value {n} is no JSON: {e.msg} at character {e.pos}") from e
        yield text[at:end]
        n += 1
        while end < len(text) and text[end] in _SPACE:
            end += 1
        at = end


def _one_line(raw: bytes) -> bytes:
    """In JSON a newline is only ever white space."""
    return raw.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in raw or b"\r" in raw else raw


def _form(body: bytes) -> bytes:
    """Names and values; a name that is there several times has a list of them."""
    try:
        text = body.decode().strip()
        pairs = parse_qsl(text, keep_blank_values=True, errors="backslashreplace", max_num_fields=10_000)
    except ValueError as e:
        raise Malformed(f"no form: {e}") from e
    if not pairs:
        raise Malformed("no form: there is no field in it")
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return _encode({name: values[0] if len(values) == 1 else values for name, values in fields.items()})
