"""Regular expressions as Fluent Bit takes them (Onigmo, Ruby's syntax), for the library `regex`.

What is another thing there than here is written anew: `^` and `$` are of each line, `(?m)` lets a dot be a newline,
`\\h` is a hexadecimal digit, `\\Z` and `\\z` are the end with and without a last newline, `\\k<name>` is what a group
was, `\\g<name>` the group again. `\\w`, `\\d`, `\\s` are of ASCII, `\\p{...}` and `[[:alpha:]]` of Unicode. `/.../imx`
is taken, too. Source: Onigmo's doc/RE.
"""

from __future__ import annotations

import re as _re

import regex

from kubewitness.errors import UsageError

_SLASHES = _re.compile(r"/(.*)/([imxo]*)", _re.DOTALL)
_FLAGS = _re.compile(r"\(\?([imxaud]*)(?:-([imxaud]*))?([:)])")
_NAMED = _re.compile(r"\\([kg])(?:<([^>]*)>|'([^']*)')")
#: outside of a set, and within one
_ESCAPES = {"h": "[0-9a-fA-F]", "H": "[^0-9a-fA-F]", "Z": r"(?=\n?\Z)", "z": r"\Z"}
_ESCAPES_IN_SET = {"h": "0-9a-fA-F"}
#: where classes of Unicode are asked for, the library reads these as Unicode's, too; so they are written out
_ASCII = {"w": "a-zA-Z0-9_", "d": "0-9", "s": " \\t\\n\\v\\f\\r"}
_UNICODE = _re.compile(r"\\[pP]\{|\[:\^?\w+:\]")
#: groups that are written otherwise: `(?'name'...)`, `(?(<name>)...)`
_QUOTED = _re.compile(r"\(\?'([^'\W]\w*)'")
_ASKED = _re.compile(r"\(\?\((?:<(\w+)>|'(\w+)')\)")
_CODE = _re.compile(r"\\x\{\s*([0-9a-fA-F]{1,8})\s*\}")
#: doubled in a set, these are operators for the library
_OPERATORS = "-|~"


def compiled(pattern: str) -> regex.Pattern[str]:
    """For `search` and `match`. UsageError for what is no expression."""
    slashes = _SLASHES.fullmatch(pattern.strip())
    if slashes:
        pattern = slashes[1]
    unicode = _UNICODE.search(pattern) is not None
    flags = regex.VERSION1 | (regex.UNICODE if unicode else regex.ASCII) | regex.MULTILINE
    if slashes:
        named = {"i": regex.IGNORECASE, "m": regex.DOTALL, "x": regex.VERBOSE}
        for letter in slashes[2].replace("o", ""):
            flags |= named[letter]
    try:
        return regex.compile(_translated(pattern, unicode), flags)
    except (regex.error, RecursionError, OverflowError, ValueError, IndexError) as e:
        raise UsageError(f"regex {pattern!r}: {e}") from e


def _translated(pattern: str, unicode: bool) -> str:
    made = []
    depth = 0  # of sets
    i = 0
    while i < len(pattern):
        step, text, depth = _piece(pattern, i, depth, unicode)
        made.append(text)
        i += step
    return "".join(made)


def _piece(pattern: str, i: int, depth: int, unicode: bool) -> tuple[int, str, int]:
    """(characters read, what to write for them, depth of sets after them)."""
    char = pattern[i]
    if char == "\\":
        return (*_escape(pattern, i, depth, unicode), depth)
    if depth:
        if pattern.startswith("[:", i) and (end := pattern.find(":]", i + 2)) > 0 and pattern[i + 2 : end].isalpha():
            return end + 2 - i, pattern[i : end + 2], depth
        if char in _OPERATORS and pattern[i + 1 : i + 2] == char:
            return 2, f"{char}\\{char}", depth
        return 1, char, depth + {"[": 1, "]": -1}.get(char, 0)
    if char == "[":
        # a bracket that comes first stands for itself
        begin = "[^" if pattern.startswith("[^", i) else "["
        first = pattern[i + len(begin) : i + len(begin) + 1]
        return (len(begin) + 1, begin + r"\]", 1) if first == "]" else (len(begin), begin, 1)
    return (*_group(pattern, i), depth) if char == "(" else (1, char, depth)


def _group(pattern: str, i: int) -> tuple[int, str]:
    found = _FLAGS.match(pattern, i)
    if found and found[0] not in ("(?:", "(?)"):
        return len(found[0]), _flags(found)
    if quoted := _QUOTED.match(pattern, i):
        return len(quoted[0]), f"(?<{quoted[1]}>"
    if asked := _ASKED.match(pattern, i):
        return len(asked[0]), f"(?({asked[1] or asked[2]})"
    return 1, "("


def _escape(pattern: str, i: int, depth: int, unicode: bool) -> tuple[int, str]:
    letter = pattern[i + 1 : i + 2]
    if letter == "e":
        return 2, r"\x1b"
    if code := _CODE.match(pattern, i):
        return len(code[0]), f"\\U{int(code[1], 16):08x}"
    if unicode and letter and letter.lower() in _ASCII:
        members = _ASCII[letter.lower()]
        return 2, f"[^{members}]" if letter.isupper() else members if depth else f"[{members}]"
    if depth:
        return 2, _ESCAPES_IN_SET.get(letter, "\\" + letter)
    named = _NAMED.match(pattern, i)
    if named:
        name = named[2] or named[3] or ""
        number = name.isdecimal()
        if named[1] == "k":
            return len(named[0]), f"\\{name}" if number else f"(?P={name})"
        return len(named[0]), f"(?{name})" if number else f"(?&{name})"
    return 2, _ESCAPES.get(letter, "\\" + letter)


def _flags(found: _re.Match[str]) -> str:
    """Ruby's `m` is `s` elsewhere; the letters that choose a character set are left out."""
    on, off = ("".join({"i": "i", "m": "s", "x": "x"}.get(c, "") for c in part or "") for part in found.group(1, 2))
    inner = on + (f"-{off}" if off else "")
    if inner:
        return f"(?{inner}{found[3]}"
    return "(?:" if found[3] == ":" else ""
