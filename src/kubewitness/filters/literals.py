"""What can be told of a regular expression by looking for plain words in bytes, without decoding them."""

from __future__ import annotations

import re
from typing import NamedTuple

#: `^(?:get|list)$` and the like: words that no escape but \\u can write in another way in JSON
_SIMPLE = re.compile(
    r"\^?(?:\((?:\?:)?\^?(?P<group>[\w :-]+(?:\|[\w :-]+)*)\$?\)|\^?(?P<bare>[\w :-]+(?:\|[\w :-]+)*))\$?"
)


class Literals(NamedTuple):
    """Words of which one has to stand in the bytes of a record whose value matches."""

    words: tuple[bytes, ...]

    def within(self, raw: bytes) -> bool:
        return any(word in raw for word in self.words)


def literals_of(pattern: str) -> Literals | None:
    """None for an expression that says more than a choice of words."""
    found = _SIMPLE.fullmatch(pattern)
    if found is None or not pattern.isascii():
        return None
    return Literals(tuple(word.encode() for word in (found["group"] or found["bare"]).split("|")))
