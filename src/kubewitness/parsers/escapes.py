"""Backslashes in text, undone."""

from __future__ import annotations

import re

_SIMPLE = {"n": "\n", "a": "\a", "b": "\b", "t": "\t", "v": "\v", "f": "\f", "r": "\r"}
_PLAIN = re.compile(r"\\(.)", re.DOTALL)
_NUMBERS = r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))"
_UTF8 = re.compile(_NUMBERS, re.DOTALL)
_MYSQL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "0": "\0", "Z": "\x1a"}
_PAIRS = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")


def unescaped(text: str) -> str:
    r"""`\n` and its like become what they stand for; before anything else the backslash goes."""
    return _PLAIN.sub(lambda m: _SIMPLE.get(m[1], m[1]), text) if "\\" in text else text


def unescaped_utf8(text: str) -> str:
    r"""Also `\xHH`, `\uHHHH`, `\UHHHHHHHH` and octal numbers, which become characters."""
    if "\\" not in text:
        return text
    return _PAIRS.sub(_joined, _UTF8.sub(_character, text)).encode("utf-8", "replace").decode("utf-8")


def mysql_quoted(text: str) -> str | None:
    """A literal in quotes, as MySQL writes it; None for what has none."""
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0]:
        return None
    return _PLAIN.sub(lambda m: _MYSQL.get(m[1], m[1]), text[1:-1].replace(text[0] * 2, text[0]))


def _character(found: re.Match[str]) -> str:
    for digits in found.group(1, 2, 3):
        if digits is not None:
            number = int(digits, 16)
            return chr(number) if number < 0x110000 else found[0]
    if found[4] is not None:
        return chr(int(found[4], 8))
    return _SIMPLE.get(found[5], found[5])


def _joined(pair: re.Match[str]) -> str:
    r"""Two halves of a UTF-16 pair, as JSON escapes what is beyond `\uFFFF`."""
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")
