"""Declared keys for people: what their types are called."""

from __future__ import annotations

from kubewitness.config.keys import Key, KeyType

#: types as Fluent Bit's reference calls them
_NAMES: dict[KeyType, str] = {
    "text": "str", "bool": "bool", "int": "int", "float": "double", "size": "size", "seconds": "time", "list": "list",
    "prefix": "prefix",
}  # fmt: skip


def kind(key: Key) -> str:
    """The type, as Fluent Bit's reference writes it."""
    return _NAMES[key.type] + (" (several)" if key.multi else "")
