"""One record behind an evidence id: its columns, and its original bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions.factrows import pointer_of
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Condition, Filter, tables_for, where

#: columns that say where a record lies, not what it says
_LEFT_OUT = frozenset({"record_key", "object_key", "raw_seg", "raw_frame", "raw_off", "raw_len"})


class RecordAnswer(msgspec.Struct):
    """`raw`: the record's original bytes as text (redacted ones where a redaction was due); `fields`: the columns that
    hold something. `others`: more records of that id, where an auditID was used again."""

    id: str
    found: bool
    table: str | None = None
    when: str | None = None
    raw: str | None = None
    redacted: bool = False
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    others: int = 0


def ask(session: Session, ident: str) -> RecordAnswer:
    """Raises `UsageError` for what is no id."""
    asked = Filter([Condition("id", "=", ident)])
    for view in tables_for(asked.conditions):
        condition, params = where(view, asked)
        sql = (
            "SELECT to_json(r), epoch_us(ts), redacted, raw_seg, raw_frame, raw_off, raw_len "  # noqa: S608
            f"FROM {view.table} AS r WHERE {condition} ORDER BY ts DESC LIMIT 10"
        )
        rows = session.query(sql, params)
        if rows:
            columns, ts, redacted, *pointer = rows[0]
            raw = session.raw([pointer_of(pointer)])[0].decode("utf-8", "replace")
            told = msgspec.json.decode(columns).items()
            fields = {k: _plain(k, v) for k, v in told if v not in (None, "", []) and k not in _LEFT_OUT}
            return RecordAnswer(ident, True, view.table, format_us(int(ts)), raw, bool(redacted), fields, len(rows) - 1)
    return RecordAnswer(ident, False)


def _plain(column: str, value: Any) -> Any:
    """DuckDB writes times with a blank, and `+00` for UTC."""
    if column.endswith("ts") and isinstance(value, str):
        return value.replace(" ", "T").removesuffix("+00") + "Z"
    return value
