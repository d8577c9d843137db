"""Records as text that is no JSON: Fluent Bit's own notation, CSV, LTSV, and templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kubewitness.outputs.dates import seconds_and_nanoseconds
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, stamps_ns
from kubewitness.record import Chunk

_PLACE = re.compile(r"\{([^{}]+)\}")
#: names for delimiters that are hard to write
_DELIMITERS = {"\\t": "\t", "tab": "\t", "space": " ", "comma": ","}


def delimiter(text: str, default: str) -> str:
    return _DELIMITERS.get(text.lower(), text) or default


def printed(value: Any) -> str:
    """As Fluent Bit prints a value: `"text"`, `1`, `0.500000`, `true`, `nil`, `[1, 2]`, `{"key"=>1}`."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:f}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{printed(k)}=>{printed(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(printed, value)) + "]"
    return "nil" if value is None else str(value)


def msgpack_text(chunk: Chunk) -> bytes:
    """`[0] TAG: [[SECONDS.NANOSECONDS, {}], {"key"=>"value"}]`, numbered from 0 in each chunk."""
    return "".join(
        f"[{n}] {chunk.tag}: [[{ns // 10**9}.{ns % 10**9:09d}, {_metadata(chunk, n)}], {printed(fields_of(line))}]\n"
        for n, (line, ns) in enumerate(zip(objects(chunk), stamps_ns(chunk), strict=True))
    ).encode("utf-8", "replace")


def _metadata(chunk: Chunk, index: int) -> str:
    note = chunk.notes.get(index)
    return printed(fields_of(note.metadata.encode())) if note is not None and note.metadata else "{}"


def _each(chunk: Chunk, form: Callable[[dict[str, Any], int], str]) -> bytes:
    made = [form(fields_of(line), ns) for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True)]
    return "".join(made).encode("utf-8", "replace")


def csv_lines(chunk: Chunk, by: str) -> bytes:
    """`SECONDS.NANOSECONDS,"value",1`; a quote in a text is doubled (RFC 4180)."""

    def line(fields: dict[str, Any], ns: int) -> str:
        cells = [seconds_and_nanoseconds(ns).decode(), *map(_cell, fields.values())]
        return by.join(cells) + "\n"

    return _each(chunk, line)


def csv_header(chunk: Chunk, by: str) -> bytes:
    """The names of the first record's keys."""
    first = next(iter(objects(chunk)), b"{}")
    return by.join(["timestamp", *fields_of(first)]).encode("utf-8", "replace") + b"\n"


def ltsv_lines(chunk: Chunk, by: str, label_by: str) -> bytes:
    """`"time":1448403340.000000<TAB>"key":"value"`; delimiters and newlines within a text are escaped."""

    def line(fields: dict[str, Any], ns: int) -> str:
        pairs = [f'"time"{label_by}{ns / 1e9:f}']
        pairs += [f"{_one_line(printed(k))}{label_by}{_one_line(printed(v))}" for k, v in fields.items()]
        return by.join(pairs) + "\n"

    return _each(chunk, line)


def template_lines(chunk: Chunk, template: str) -> bytes:
    """`{key}` stands for a value, `{time}` for the record's time in seconds; a name that is not there stays."""

    def line(fields: Mapping[str, Any], ns: int) -> str:
        def value(match: re.Match[str]) -> str:
            if match[1] == "time":
                return f"{ns / 1e9:f}"
            if match[1] not in fields:
                return match[0]
            found = fields[match[1]]
            return _one_line(found if isinstance(found, str) else printed(found))

        return _PLACE.sub(value, template) + "\n"

    return _each(chunk, line)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else printed(value)
    return '"' + text.replace('"', '""') + '"' if isinstance(value, str | dict | list) else text


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\t", "\\t")
