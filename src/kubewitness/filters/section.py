"""What filters share in reading their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key, Options, flattened
from kubewitness.errors import UsageError
from kubewitness.formats.accessor import Path, path_of

#: a section's keys: names to text (values of a repeated key by newlines), or pairs in the order of the file
Given = Mapping[str, str] | Sequence[tuple[str, str]]


def options_of(given: Given, keys: Sequence[Key], name: str) -> Options:
    """The values by declared keys. Raises UsageError."""
    mapping = given if isinstance(given, Mapping) else flattened(given)
    return Options(f"filter {name}", mapping, keys)


def pairs_of(given: Given) -> list[tuple[str, str]]:
    """(lower-case key, one value) in the order of the file, as far as it is known."""
    pairs = given.items() if isinstance(given, Mapping) else given
    return [(key.lower(), line) for key, value in pairs for line in value.split("\n") if line.strip()]


_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))""")


def words_of(text: str, limit: int) -> list[str]:
    """At most `limit` words; the last takes the rest. A word in quotes may hold spaces, as in Fluent Bit."""
    words: list[str] = []
    at = 0
    while at < len(text) and (match := _WORD.match(text, at)):
        if len(words) == limit - 1:
            rest = text[at:].strip()
            words.append(_unquoted(match) if match.end() == len(text.rstrip()) else rest)
            return words
        words.append(_unquoted(match))
        at = match.end()
    return words


def first_word(text: str) -> tuple[str, str]:
    """(the first word, which may stand in quotes; what follows it)."""
    match = _WORD.match(text)
    return (_unquoted(match), text[match.end() :].strip()) if match else ("", "")


def _unquoted(match: re.Match[str]) -> str:
    if match[3] is not None:
        return match[3]
    # only the quote itself is written with a backslash: those of a regular expression stay
    return match[1].replace('\\"', '"') if match[1] is not None else match[2].replace("\\'", "'")


def located(text: str, what: str) -> Path:
    """`accessor.path_of`, with whom it is for in front of what is wrong."""
    try:
        return path_of(text)
    except UsageError as e:
        raise UsageError(f"{what}: {e}") from e
