"""Numbers in Prometheus' text form as a WriteRequest of its remote-write protocol, version 0.1.0.

Source: Prometheus' prompb/remote.proto and types.proto, and "Prometheus Remote-Write 1.0 specification":
WriteRequest {1: TimeSeries {1: Label {1: name, 2: value}, 2: Sample {1: double value, 2: int64 milliseconds}},
3: MetricMetadata {1: type, 2: metric_family_name, 4: help}}. Labels are sorted by name; an empty one is left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kubewitness.outputs.varint import varint

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPE = re.compile(r"\\(.)")
_DOUBLE = struct.Struct("<d").pack
#: MetricMetadata.MetricType
_TYPES = {"counter": 1, "gauge": 2, "histogram": 3, "gaugehistogram": 4, "summary": 5}


class Series(NamedTuple):
    """One number. `labels` are those it was written with, its name not among them."""

    name: str
    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    name: str
    type: str
    help: str


def read(text: str) -> tuple[list[Series], list[Family]]:
    """What the text says. Lines that are no samples are left out: the text is our own."""
    series = []
    types: dict[str, str] = {}
    helps: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith(("# TYPE ", "# HELP ")):
            _, kind, name, *rest = line.split(" ", 3)
            (types if kind == "TYPE" else helps)[name] = rest[0] if rest else ""
        elif found := _SAMPLE.fullmatch(line):
            labels = {name: _plain(value) for name, value in _LABEL.findall(found[2] or "")}
            series.append(Series(found[1], labels, float(found[3])))
    return series, [Family(name, kind, helps.get(name, "")) for name, kind in types.items()]


def write_request(
    snapshots: Sequence[tuple[int, str]], more: Mapping[str, str], families: bool = True
) -> Iterator[bytes]:
    """The request in parts: of each (milliseconds since 1970, text) its numbers, with labels `more` where they have
    none of that name. `families`: what kinds of numbers they are, too."""
    told: dict[str, Family] = {}
    for ms, text in snapshots:
        series, known = read(text)
        told.update({family.name: family for family in known})
        for one in series:
            labels = {**more, **one.labels, "__name__": one.name}
            body = b"".join(
                _field(1, _field(1, name.encode()) + _field(2, value.encode()))
                for name, value in sorted(labels.items())
                if value
            )
            yield _field(1, body + _field(2, b"\x09" + _DOUBLE(one.value) + b"\x10" + varint(ms)))
    if families:
        for family in told.values():
            kind = b"\x08" + varint(_TYPES.get(family.type, 0))
            yield _field(3, kind + _field(2, family.name.encode()) + _field(4, family.help.encode()))


def _plain(value: str) -> str:
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], value)


def _field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body
