"""What all parsers do with the fields they found: time, types, decoders."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.errors import UsageError
from kubewitness.parsers.decoders import Decoders
from kubewitness.parsers.timeformat import TimeFormat

#: as runtimes write it
RFC3339 = "%Y-%m-%dT%H:%M:%S.%L%z"
TYPES = ("string", "integer", "float", "bool", "hex")
_INTEGER = re.compile(r"\s*[+-]?\d{1,19}")
_FLOAT = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_HEX = re.compile(r"\s*(?:0[xX])?[0-9a-fA-F]{1,16}")


class Finish:
    """Made once from a parser's section. `time_format` and `keep`: where the section does not say."""

    def __init__(self, opts: Options, clock: Callable[[], float], *, time_format: str = "", keep: bool = False) -> None:
        self.time_key = opts.text("time_key") or "time"
        form = opts.text("time_format") or time_format
        self._time = (
            TimeFormat(
                form,
                clock,
                offset=opts.text("time_offset"),
                local=opts.flag("time_system_timezone"),
                strict=opts.flag("time_strict"),
            )
            if form
            else None
        )
        self._keep = opts.flag("time_keep") if opts.given("time_keep") else keep
        self._types = _types(opts.text("types"))
        self._decoders = Decoders(opts.lines("decode_field"), opts.lines("decode_field_as"))

    def text_fields(self, fields: dict[str, Any]) -> Parsed:
        """Of fields that are text: the time is taken out first, then what is left is typed and decoded."""
        time_ns = self._take_time(fields)
        for name, kind in self._types.items():
            if isinstance(value := fields.get(name), str):
                fields[name] = _typed(value, kind)
        self._decoders.apply(fields)
        return Parsed(fields, time_ns)

    def json_fields(self, fields: dict[str, Any]) -> Parsed:
        """Of fields that have their types: decoded first, so that the time may come out of that."""
        self._decoders.apply(fields)
        return Parsed(fields, self._take_time(fields))

    def _take_time(self, fields: dict[str, Any]) -> int | None:
        """A field that holds no such time stays: nothing is lost for its sake."""
        if self._time is None:
            return None
        value = fields.get(self.time_key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = f"{value:f}" if isinstance(value, float) else str(value)
        found = self._time.parse(value) if isinstance(value, str) else None
        if found is not None and not self._keep:
            del fields[self.time_key]
        return found


def typed_fields(text: str) -> list[str]:
    """The `FIELD:TYPE` of key `types`. Fluent Bit's own files have commas between them, with which it types nothing."""
    return text.replace(",", " ").split()


def _types(text: str) -> dict[str, str]:
    types = {}
    for pair in typed_fields(text):
        name, colon, kind = pair.rpartition(":")
        if not colon or not name or kind.lower() not in TYPES:
            raise UsageError(f"'types' has {pair!r}; it takes FIELD:TYPE, and as TYPE {', '.join(TYPES)}")
        types[name] = kind.lower()
    return types


def _typed(value: str, kind: str) -> Any:
    """As far as the value is of the type from its beginning, else as it is."""
    if kind == "bool":
        word = value.strip().lower()
        return word.startswith("true") if word.startswith(("true", "false")) else value
    if kind == "integer" and (found := _INTEGER.match(value)):
        return max(-(2**63), min(2**63 - 1, int(found[0].strip())))
    if kind == "float" and (found := _FLOAT.match(value)):
        return float(found[0].strip())
    if kind == "hex" and (found := _HEX.match(value)):
        return int(found[0].strip(), 16)
    return value
