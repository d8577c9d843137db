"""Where a list of records goes on: after which time, and which records of that very time were given already."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from kubewitness.errors import UsageError

#: records of one and the same microsecond that a cursor can tell apart
_MOST_IDS = 500
T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """`at`: microseconds UTC; the next page begins with what is as old, without `given`, or older."""

    at: int
    given: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The cursor as clients see it: opaque."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    def admits(self, at: int, ident: str) -> bool:
        """Whether a record was not given yet."""
        return at < self.at or (at == self.at and ident not in self.given)


def place_of(text: str) -> Place | None:
    """The place of a cursor; None of an empty one. Raises `UsageError` for what is none."""
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Place)
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, ValueError):
        raise UsageError("cursor: not one that an answer gave; ask without it") from None


def after(given: Iterable[tuple[int, str]], before: Place | None) -> Place | None:
    """Where the page after these records, (time, id) each, begins; None of none."""
    rows = list(given)
    if not rows:
        return None
    oldest = min(at for at, _ in rows)
    ids = [ident for at, ident in rows if at == oldest]
    if before is not None and before.at == oldest:
        ids += before.given
    return Place(oldest, tuple(ids[:_MOST_IDS]))
