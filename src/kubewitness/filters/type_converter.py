"""Filter `type_converter`: appends a value in another type. Source: Fluent Bit's manual, "Type converter"."""

from __future__ import annotations

from typing import Any, NamedTuple

from kubewitness.config.keys import Key, nearest
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields
from kubewitness.filters.section import Given, located, options_of, pairs_of, words_of
from kubewitness.formats.accessor import Path, value_at

KEYS = (
    Key("int_key", doc="`FROM TO TYPE`: of a whole number. TYPE is int, uint, float, hex, string or bool", multi=True),
    Key("uint_key", doc="the same, of one that is not negative", multi=True),
    Key("float_key", doc="the same, of a number with a fraction", multi=True),
    Key("str_key", doc="the same, of text", multi=True),
)

_TYPES = ("int", "uint", "float", "hex", "string", "bool")


class _Rule(NamedTuple):
    source: str
    path: Path
    to: str
    type: str


class TypeConverter(Changing):
    """A value of another type than the key says, or that cannot be converted, is left alone."""

    def __init__(self, keys: Given, name: str = "type_converter") -> None:
        super().__init__(name)
        options_of(keys, KEYS, name)
        names = {key.name for key in KEYS}
        self._rules = [_rule(key, value, f"filter {name}") for key, value in pairs_of(keys) if key in names]

    def change(self, fields: Fields, tag: str) -> Fields | None:
        found: Fields = {}
        for rule in self._rules:
            value = value_at(fields, rule.path)
            made = converted(value, rule.type) if _is(value, rule.source) else None
            if made is not None:
                found[rule.to] = made
        return {**{k: v for k, v in fields.items() if k not in found}, **found} if found else None


def _rule(key: str, value: str, what: str) -> _Rule:
    words = words_of(value, 3)
    if len(words) != 3:
        raise UsageError(f"{what}: {key!r} is {value!r}; it takes a key, a new key and a type")
    kind = words[2].lower()
    if kind not in _TYPES:
        raise UsageError(f"{what}: {key!r}: there is no type {words[2]!r}{nearest(kind, _TYPES)}")
    return _Rule(key, located(words[0], what), words[1], kind)


def _is(value: Any, source: str) -> bool:
    if isinstance(value, bool):
        return False
    if source == "str_key":
        return isinstance(value, str)
    if source == "float_key":
        return isinstance(value, float)
    return isinstance(value, int) and (source == "int_key" or value >= 0)


def converted(value: str | int | float, kind: str) -> str | int | float | bool | None:
    """The value in another type; None when it has none there. A fraction is written with six digits."""
    if kind == "bool":
        return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
    if kind == "string":
        return f"{value:f}" if isinstance(value, float) else str(value)
    try:
        if kind == "float":
            number = float(value)
            return number if abs(number) != float("inf") and number == number else None
        whole = int(value, 16 if kind == "hex" else 10) if isinstance(value, str) else int(value)
    except (ValueError, OverflowError):
        return None
    return None if kind == "uint" and whole < 0 else whole
