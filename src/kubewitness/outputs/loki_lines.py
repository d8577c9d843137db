"""Records as Loki's lines: without what became labels, as JSON or as `key=value`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kubewitness.formats.accessor import Path

_encode = msgspec.json.Encoder().encode


def without(fields: dict[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The record without the values at these paths; changed in place."""
    for path in paths:
        inner: Any = fields
        for step in path.steps[:-1]:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(path.steps[-1], None)
    return fields


def json_line(fields: dict[str, Any], single: str) -> str:
    """`single`: what becomes of an only key: "off" (nothing), "on" (its JSON value), "raw" (text as it is)."""
    if single != "off" and len(fields) == 1:
        (value,) = fields.values()
        return value if single == "raw" and isinstance(value, str) else _encode(value).decode()
    return _encode(fields).decode()


def key_value_line(fields: dict[str, Any], single: str) -> str:
    if single != "off" and len(fields) == 1:
        (value,) = fields.values()
        return value if isinstance(value, str) else _value(value)
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return '"[' + " ".join(map(_value, value)) + ']"'
    if isinstance(value, dict):
        return '"map[' + " ".join(f"{k}:{_value(v)}" for k, v in value.items()) + ']"'
    return _encode(value).decode()
