"""Format `logfmt`: `key=value key="value with \\" in it" word`. Source: brandur.org/logfmt.

A word without `=`, and a key without a value, is true. A value goes on to the next white space (Fluent Bit ends it at
another `=`, so that half of a URL with parameters becomes a key). Only the first line counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.parsers.escapes import unescaped_utf8
from kubewitness.parsers.finish import Finish

#: key, what is in quotes, what is not
_PAIR = re.compile(r'([^\x00-\x20="]+)(?:=(?:"((?:[^"\\]|\\.)*)(?:"|\Z)|([^\x00-\x20"][^\x00-\x20]*))?)?', re.DOTALL)


class LogfmtParser:
    """Text is the only type that a value has, but for true."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self._finish = Finish(opts, clock)
        self._no_bare_keys = opts.flag("logfmt_no_bare_keys")

    def parse(self, raw: bytes) -> Parsed | None:
        line = raw.decode("utf-8", "backslashreplace").lstrip("\r\n").partition("\n")[0].partition("\r")[0]
        fields = pairs(line, bare=not self._no_bare_keys)
        return self._finish.text_fields(fields) if fields else None


def pairs(line: str, *, bare: bool = True) -> dict[str, Any]:
    """The fields of a line; none when there is a word without `=` that may not be."""
    fields: dict[str, Any] = {}
    for found in _PAIR.finditer(line):
        key, quoted, plain = found.group(1, 2, 3)
        if not bare and found.end() == found.end(1):
            return {}
        if quoted is not None:
            fields[key] = unescaped_utf8(quoted)
        else:
            fields[key] = plain if plain is not None else True
    return fields
