"""Where a row stands in a list that begins with the newest, and so where its next page begins.

The order is total, so that pages neither repeat nor leave out a row: by time; of one microsecond by table; of one table
by the record's key, which no two records share (ids of records may be the same: a client chooses its auditID).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from kubewitness.errors import UsageError
from kubewitness.record import TABLES

#: the order of a table's records with equal times
BY_KEY = "coalesce(record_key, ''::BLOB)"
_RANKS = {table: rank for rank, table in enumerate(TABLES)}


class Place(msgspec.Struct, frozen=True):
    """`at`: microseconds UTC; `key`: the record's key, in hexadecimal digits."""

    at: int
    table: str
    key: str

    @property
    def order(self) -> tuple[int, int, str]:
        """Newer rows are less."""
        return (-self.at, _RANKS[self.table], self.key)

    @property
    def text(self) -> str:
        """The cursor of the page after this row, as clients see it: opaque."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    def before(self, other: Place) -> bool:
        """Whether a row here comes in an earlier page than one there."""
        return self.order < other.order

    def beyond(self, table: str) -> tuple[str, list[Any]]:
        """The condition on a table's records that come after this place, and its parameters."""
        mine, its = _RANKS[self.table], _RANKS[table]
        if its != mine:
            return f"ts {'<' if its < mine else '<='} make_timestamp(?)", [self.at]
        clause = f"ts <= make_timestamp(?) AND (ts < make_timestamp(?) OR {BY_KEY} > ?)"
        return clause, [self.at, self.at, bytes.fromhex(self.key)]


def place_at(at: int, table: str, key: bytes | None) -> Place:
    """Where a record stands."""
    return Place(at, table, bytes(key or b"").hex())


def place_of(text: str) -> Place | None:
    """The place of a cursor; None of an empty one. Raises `UsageError` for what is none."""
    if not text:
        return None
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Place)
        bytes.fromhex(found.key)
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, ValueError):
        raise UsageError("cursor: not one that an answer gave; ask without it") from None
    if found.table not in _RANKS or not -(2**62) < found.at < 2**62:
        raise UsageError("cursor: not one that an answer gave; ask without it")
    return found
