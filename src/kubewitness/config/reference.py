"""Declared keys for people: the text of `-i NAME -h`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from kubewitness.config.keys import TYPES, Key, KeyType

#: types as Fluent Bit's reference calls them
_NAMES: dict[KeyType, str] = {
    "text": "str", "bool": "bool", "int": "int", "float": "double", "size": "size", "seconds": "time", "list": "list",
    "prefix": "prefix",
}  # fmt: skip


def help_text(what: str, keys: Sequence[Key]) -> str:
    """For a terminal."""
    lines = [what, ""]
    for key in keys:
        lines.append(f"  {_name(key)}  [{kind(key)}{f', default: {key.default}' if key.default else ''}]")
        lines += textwrap.wrap(
            _meaning(key).replace("\\|", "|"), 100, initial_indent="      ", subsequent_indent="      "
        )
    return "\n".join(lines) + "\n"


def kind(key: Key) -> str:
    """The type, as Fluent Bit's reference writes it."""
    return _NAMES[key.type] + (" (several)" if key.multi else "")


def _name(key: Key) -> str:
    return key.name + ("N" if key.type == "prefix" else "")


def _meaning(key: Key) -> str:
    parts = [key.doc or TYPES[key.type]]
    if key.choices:
        parts.append(f"one of {', '.join(f'`{choice}`' for choice in key.choices)}")
    if key.refused:
        parts.append(f"anything else is refused: {key.refused}")
    return "; ".join(parts).replace("|", "\\|")
