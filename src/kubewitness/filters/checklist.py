"""Filter `checklist`: changes records whose value stands in a file. Source: Fluent Bit's manual, "CheckList"."""

from __future__ import annotations

import logging
import time
from pathlib import Path as FilePath

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields
from kubewitness.filters.section import Given, located, options_of, words_of
from kubewitness.formats.accessor import value_at

log = logging.getLogger("kubewitness.filters")

KEYS = (
    Key("file", doc="one value a line; lines that begin with `#` are remarks. Read at the start"),
    Key("lookup_key", "text", "log", doc="whose value is looked for"),
    Key("record", doc="`KEY VALUE`: put into a record whose value is there", multi=True),
    Key(
        "mode",
        "text",
        "exact",
        "`exact`, or `partial`: the value holds a line of the file",
        choices=("exact", "partial"),
    ),
    Key("ignore_case", "bool", "false", "upper and lower case are the same"),
    Key("print_query_time", "bool", "false", "logs how long each look-up took that found something"),
)


class Checklist(Changing):
    """Text only: a number is looked for as JSON writes it."""

    def __init__(self, keys: Given, name: str = "checklist") -> None:
        super().__init__(name)
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self._path = located(options.text("lookup_key").strip(), what)
        self._fold = options.flag("ignore_case")
        self._partial = options.choice("mode") == "partial"
        self._tell = options.flag("print_query_time")
        self._lines = frozenset(self._folded(line) for line in _lines_of(options.text("file"), what))
        self._records = [words_of(line, 2) for line in options.lines("record")]
        if not self._records or any(len(words) != 2 for words in self._records):
            raise UsageError(f"{what}: 'record' takes a key and a value, at least once")
        self._found = 0

    def health(self) -> dict[str, object]:
        return {**super().health(), "found": self._found, "lines": len(self._lines)}

    def change(self, fields: Fields, tag: str) -> Fields | None:
        value = value_at(fields, self._path)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        begun = time.perf_counter()
        if not self._has(self._folded(str(value))):
            return None
        if self._tell:
            log.info("filter %s: found in %.6f s", self.name, time.perf_counter() - begun)
        self._found += 1
        return {**fields, **dict(self._records)}

    def _has(self, value: str) -> bool:
        return any(line in value for line in self._lines) if self._partial else value in self._lines

    def _folded(self, text: str) -> str:
        return text.casefold() if self._fold else text


def _lines_of(file: str, what: str) -> list[str]:
    if not file:
        raise UsageError(f"{what}: it needs 'file'")
    try:
        text = FilePath(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{what}: 'file' {file}: {getattr(e, 'strerror', None) or e}") from e
    return [line for line in text.splitlines() if line and not line.startswith("#")]
