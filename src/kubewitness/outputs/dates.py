"""The time beside a record, in the forms of Fluent Bit's `json_date_key` and `json_date_format`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from kubewitness.config.keys import Options

_OFF = ("false", "off", "no", "none", "")


def _double(ns: int) -> bytes:
    us = ns // 1000
    seconds = us / 1e6
    return (f"{seconds:.1f}" if us % 1_000_000 == 0 else f"{seconds:.16g}").encode()


def _text(ns: int, form: str, digits: int, zone: str) -> bytes:
    moment = datetime.fromtimestamp(ns // 10**9, UTC)
    return f'"{moment.strftime(form)}.{f"{ns % 10**9:09d}"[:digits]}{zone}"'.encode()


_FORMS: dict[str, Callable[[int], bytes]] = {
    "double": _double,
    "epoch": lambda ns: b"%d" % (ns // 10**9),
    "epoch_ms": lambda ns: b"%d" % (ns // 10**6),
    "iso8601": lambda ns: _text(ns, "%Y-%m-%dT%H:%M:%S", 6, "Z"),
    "iso8601_ns": lambda ns: _text(ns, "%Y-%m-%dT%H:%M:%S", 9, "Z"),
    "java_sql_timestamp": lambda ns: _text(ns, "%Y-%m-%d %H:%M:%S", 6, ""),
}


class Dates:
    """Puts the time before a JSON object's other keys."""

    def __init__(self, key: str, form: str = "double") -> None:
        self._head = b"{" + msgspec.json.encode(key) + b":"
        self._form = _FORMS[form]

    def put(self, line: bytes, ns: int) -> bytes:
        """`line`: a JSON object."""
        rest = line.lstrip()[1:]
        return self._head + self._form(ns) + (b"" if rest.lstrip().startswith(b"}") else b",") + rest


#: what `json_date_format` takes
DATE_FORMATS = tuple(_FORMS)


def dates_of(opts: Options) -> Dates | None:
    """As an output's `json_date_key` and `json_date_format` say; None when no time is to be shown."""
    key = opts.text("json_date_key").strip()
    return None if key.lower() in _OFF else Dates(key, opts.choice("json_date_format"))


def seconds_and_nanoseconds(ns: int) -> bytes:
    """The time as output `file` writes it: 1703425036.335172000."""
    return b"%d.%09d" % (ns // 10**9, ns % 10**9)
