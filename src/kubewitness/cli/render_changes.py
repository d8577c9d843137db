"""A changed field as text: its path, the old value and the new, and who changed it."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.cli.render import Style, clean, local_time
from kubewitness.questions.model import FieldChange

#: characters of one value
_WIDE = 400


def change_lines(change: FieldChange, style: Style, *, author: bool = True) -> list[str]:
    """`- old`, `+ new` below the field's name; with `author`, who, how and when."""
    lines = [f"  {style(clean(change.field), 'bold')}"]
    if change.old is not None:
        lines.append(style(f"    - {value_text(change.old)}", "red"))
    if change.new is not None:
        lines.append(style(f"    + {value_text(change.new)}", "green"))
    told = _author(change) if author else _manager(change)
    if told:
        lines.append(style(f"      {clean(told)}", "dim"))
    return lines


def value_text(value: Any) -> str:
    """A value on one line."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = clean(text)
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."


def _author(change: FieldChange) -> str:
    who = change.user or "nobody that was recorded"
    playing = f" (acting as {change.acting_as})" if change.acting_as else ""
    sure = "" if change.certainty == "proved" else f", {change.certainty}"
    manager = _manager(change)
    return f"{who}{playing}{f', {manager}' if manager else ''}, {local_time(change.when)}{sure}, {change.evidence[0]}"


def _manager(change: FieldChange) -> str:
    parts = [f"as field manager {change.manager}" if change.manager else ""]
    parts.append(f"by admission webhook {change.webhook}" if change.webhook else "")
    return ", ".join(p for p in parts if p)
