"""Regular expressions of filters: Onigmo's, kept from running away, and what of them can be told from bytes.

An expression that backtracks for ever must not stop a pipeline, but asking for a time limit costs six times the search
itself. So short texts are searched without one, by expressions that cannot take long with them.
"""

from __future__ import annotations

import re
from typing import Any

from kubewitness.errors import UsageError
from kubewitness.parsers.onigmo import compiled
from kubewitness.parsers.regex import TIMEOUT

#: `^(?:get|list)$` and the like: words that no escape but \\u can write in another way in JSON
_WORDS = re.compile(
    r"\^?(?:\((?:\?:)?\^?(?P<group>[\w :-]+(?:\|[\w :-]+)*)\$?\)|\^?(?P<bare>[\w :-]+(?:\|[\w :-]+)*))\$?", re.ASCII
)
#: characters of a text, for which two repetitions that hold none make a quarter of a million steps at worst
_SHORT = 512
_REPEATS = re.compile(r"[*+{]")
_NESTED = re.compile(r"\)[*+{?]|\\[\dgk]|\(\?[<>=!&PR(]")


#: letters of a word that is looked for in the bytes: a shorter one, or several, cost more than reading the value
_LONG = 5


class Pattern:
    """`search` as of `re`; `word`: if not empty, it stands in the bytes of any JSON whose value matches."""

    def __init__(self, text: str, what: str) -> None:
        text = text.strip()
        found = _WORDS.fullmatch(text)
        word = (found["group"] or found["bare"]) if found else ""
        self.word = word.encode() if "|" not in word and len(word) >= _LONG else b""
        try:
            slow = compiled(text)
        except UsageError as e:
            raise UsageError(f"{what}: {e}") from e
        # the same meaning, and three times as fast
        self._search: Any = re.compile(text, re.ASCII | re.MULTILINE).search if found else slow.search
        self._slow: Any = None if found else slow.search
        self._tame = len(_REPEATS.findall(text)) <= 2 and not _NESTED.search(text)

    def search(self, text: str) -> re.Match[str] | None:
        """Raises TimeoutError when it takes too long."""
        if self._slow is None or (self._tame and len(text) <= _SHORT):
            match: re.Match[str] | None = self._search(text)
        else:
            match = self._slow(text, timeout=TIMEOUT)
        return match

    def within(self, raw: bytes) -> bool:
        """Whether a value in the bytes of this JSON may match."""
        # an escaped letter is the one way to hide a word; looking for one byte is much the faster
        return not self.word or self.word in raw or (b"\\" in raw and b"\\u" in raw)
