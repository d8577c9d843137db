"""Fluent Bit's classic format: `[SECTION]`, indented `key value` lines, `@SET`, `@INCLUDE`.

A line begins at the margin with `[NAME]`, `@` or `#`, or it is a key, indented as deep as the first one of its file, or
twice as deep. A value is all that follows the first white space, comments included; the source of the format is Fluent
Bit's manual ("Classic mode").
"""

from __future__ import annotations

import re
from pathlib import Path

from kubewitness.config.keys import nearest
from kubewitness.config.tree import KINDS, REFUSED_KINDS, Draft, Entry, section_of
from kubewitness.errors import UsageError

_HEADER = re.compile(r"\[([^\]]*)\]")
#: bytes that could not be decoded
_NOT_TEXT = re.compile("[\udc80-\udcff]")
_KINDS = (*KINDS, *REFUSED_KINDS)


def is_classic(text: str) -> bool:
    """Whether a text begins like one."""
    return re.match(r"(?:\s|\ufeff|#[^\n]*\n)*[\[@]", text) is not None


def read(path: Path, draft: Draft, at: str = "") -> None:
    """Adds a file and what it includes. UsageError with file and line for what is not understood."""
    # comments are written in all kinds of encodings
    _Reader(path, draft).read(draft.enter(path, at, "surrogateescape"))


class _Reader:
    def __init__(self, path: Path, draft: Draft) -> None:
        self._path = path
        self._draft = draft
        self._kind = ""
        self._began = 0
        self._entries: list[Entry] = []
        #: where the section stands among those that were found: before what is included within it
        self._place = 0
        self._indent = ""
        self._indented_at = 0

    def read(self, text: str) -> None:
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            self._line(number, line.rstrip())
        self._end()

    def _line(self, number: int, line: str) -> None:
        body = line.lstrip()
        if not body or body.startswith("#"):
            return
        if line[0] == "[":
            self._header(number, line)
        elif line[0] == "@":
            self._instruction(number, line)
        else:
            self._key(number, body, line[: len(line) - len(body)])

    def _header(self, number: int, line: str) -> None:
        self._end()
        found = _HEADER.match(line)
        name = found[1].strip().lower() if found else ""
        if name not in _KINDS:
            raise UsageError(f"{self._path}:{number}: unknown section {line!r}{nearest(name, KINDS)}")
        self._kind, self._began, self._place = name, number, len(self._draft.sections)

    def _instruction(self, number: int, line: str) -> None:
        name, *rest = line.split(None, 1)
        value = rest[0].strip() if rest else ""
        if name.lower() == "@include" and value:
            at = f"{self._path}:{number}"
            for path in self._draft.included(value, self._path, at):
                read(path, self._draft, at)
            return
        key, equals, text = value.partition("=")
        if name.lower() == "@set" and equals and key.strip():
            self._draft.variables[key.strip()] = text.strip()
            return
        if name.lower() in ("@set", "@include"):
            form = "NAME=VALUE" if name.lower() == "@set" else "a file"
            raise UsageError(f"{self._path}:{number}: {name} takes {form}")
        raise UsageError(f"{self._path}:{number}: unknown instruction {name!r}{nearest(name, ('@set', '@include'))}")

    def _key(self, number: int, body: str, indent: str) -> None:
        at = f"{self._path}:{number}"
        if not self._kind and body.startswith("["):
            raise UsageError(f"{at}: a section such as {body} stands at the margin, without spaces before it")
        if not self._kind:
            raise UsageError(f"{at}: a key must stand below a section such as [INPUT]")
        if not indent:
            raise UsageError(f"{at}: a key must be indented below its section")
        if not self._indent:
            self._indent, self._indented_at = indent, number
        if body.startswith("["):
            raise UsageError(f"{at}: groups within a section are not supported; write processors in YAML")
        if indent not in (self._indent, 2 * self._indent):
            raise UsageError(f"{at}: {self._misplaced(indent)}")
        if _NOT_TEXT.search(body):
            raise UsageError(f"{at}: this line is not UTF-8")
        name, *rest = body.split(None, 1)
        if not rest:
            raise UsageError(f"{at}: key {name!r} has no value")
        self._entries.append(Entry(name.lower(), rest[0].strip(), number))

    def _misplaced(self, indent: str) -> str:
        said = "this key is not indented as the first of the file is"
        if set(indent) != set(self._indent):
            return f"{said} (tabs and spaces are mixed)"
        return f"{said}: by {len(indent)} characters, and line {self._indented_at} by {len(self._indent)}"

    def _end(self) -> None:
        if self._kind:
            section = section_of(self._kind, self._path, self._began, self._entries)
            self._draft.add(section)
            self._draft.sections.insert(self._place, self._draft.sections.pop())
        self._kind, self._entries = "", []
