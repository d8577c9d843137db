"""Values of the tables as JSON can say them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from kubewitness.formats.times import format_us


def plain(value: Any) -> Any:
    """What JSON can say: times as RFC 3339 in UTC, bytes as hex."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return format_us(round(value.timestamp() * 1_000_000))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
