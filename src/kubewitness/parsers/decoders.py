"""Decoders of a parser: `decode_field` and `decode_field_as`.

A rule is `DECODER FIELD [ACTION]`. The rules of a field are tried in order and end with the first that could decode;
with `try_next` a rule that could not passes on to the next, with `do_next` it always does, and the next one gets what
it made. `decode_field json` puts the keys of a JSON object beside the field; `decode_field_as` replaces the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from kubewitness.config.keys import nearest
from kubewitness.errors import UsageError
from kubewitness.parsers.escapes import mysql_quoted, unescaped, unescaped_utf8

_object = msgspec.json.Decoder(dict[str, Any]).decode
_ACTIONS = ("try_next", "do_next")


def _json(text: str) -> dict[str, Any] | None:
    """An object. Where a runtime has escaped it once more, that is undone."""
    for candidate in (text, unescaped(text)):
        try:
            return _object(candidate)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
    return None


_DECODERS: dict[str, Callable[[str], Any]] = {
    "json": _json,
    "escaped": unescaped,
    "escaped_utf8": unescaped_utf8,
    "mysql_quoted": mysql_quoted,
}


class _Rule(NamedTuple):
    decode: Callable[[str], Any]
    action: str
    #: beside the field rather than in its place
    beside: bool


class Decoders:
    """The rules of one parser; UsageError for one that cannot be."""

    def __init__(self, beside: Sequence[str], within: Sequence[str]) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        for text in within:
            self._add("decode_field_as", text, False)
        for text in beside:
            self._add("decode_field", text, True)

    def _add(self, key: str, text: str, beside: bool) -> None:
        words = text.split()
        if len(words) not in (2, 3) or (len(words) == 3 and words[2].lower() not in _ACTIONS):
            raise UsageError(f"{key!r} is {text!r}; it takes DECODER FIELD [try_next|do_next]")
        known = ("json",) if beside else tuple(_DECODERS)
        if words[0].lower() not in known:
            raise UsageError(f"{key!r}: unknown decoder {words[0]!r}{nearest(words[0], known)}")
        rule = _Rule(_DECODERS[words[0].lower()], words[2].lower() if len(words) == 3 else "", beside)
        self._rules.setdefault(words[1], []).append(rule)

    def apply(self, fields: dict[str, Any]) -> None:
        """Decodes in place."""
        for name, rules in self._rules.items():
            text = fields.get(name)
            if isinstance(text, str):
                self._field(fields, name, text, rules)

    def _field(self, fields: dict[str, Any], name: str, text: str, rules: Sequence[_Rule]) -> None:
        beside = False
        for rule in rules:
            if rule.beside and beside:
                continue
            made = rule.decode(text)
            if made is not None and rule.beside:
                fields.update(made)
                beside = True
            elif made is not None:
                fields[name] = made
                if not isinstance(made, str):
                    return
                text = made
            if rule.action != "do_next" and (made is not None or rule.action != "try_next"):
                return
