"""All parsers that a configuration may name: its own, and the bundled ones."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kubewitness.config import classic
from kubewitness.config.keys import nearest
from kubewitness.config.tree import Draft, Section
from kubewitness.contracts import Parser
from kubewitness.errors import UsageError
from kubewitness.parsers import parser_of
from kubewitness.parsers.joined import LIMIT
from kubewitness.parsers.keys import KEYS

T = TypeVar("T")

if TYPE_CHECKING:
    from kubewitness.parsers.multiline_rules import MultilineParser

#: parsers of Fluent Bit's file that input tail knows by itself, but for how they read the time
_FLUENT_BITS = {
    "json": {"format": "json"},
    "docker": {"format": "json"},
    "cri": {
        "format": "regex",
        "regex": r"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$",
    },
}


class Library:
    """Parsers by name. Those of the configuration are made at once, so that what is wrong with one is told at the
    start, with file and line; a bundled one when it is asked for first."""

    def __init__(
        self,
        sections: Sequence[Section] = (),
        multiline: Sequence[Section] = (),
        clock: Callable[[], float] = time.time,
        limit: int = LIMIT,
    ) -> None:
        """`limit`: characters of a record of several lines."""
        self.limit = limit
        self._clock = clock
        self._own = frozenset(section.plugin for section in sections if not _is_fluent_bits(section))
        self._own_multiline = frozenset(section.plugin for section in multiline)
        self._parsers = {section.plugin: _made(section, clock) for section in sections}
        self._multiline = {section.plugin: self._made_multiline(section) for section in multiline}

    def is_own(self, name: str) -> bool:
        """Whether the configuration has a parser of this name that is another one than Fluent Bit's."""
        return name in self._own

    def is_own_multiline(self, name: str) -> bool:
        """The same of multiline parsers."""
        return name in self._own_multiline

    def parser(self, name: str) -> Parser:
        """UsageError when there is none of this name, with the nearest one."""
        name = name.strip()
        if name not in self._parsers:
            known = bundled()
            if name not in known:
                raise UsageError(f"there is no parser {name!r}{nearest(name, [*self._parsers, *known])}")
            self._parsers[name] = _made(known[name], self._clock)
        return self._parsers[name]

    def multiline(self, name: str) -> MultilineParser:
        """UsageError when there is none of this name, with the nearest one."""
        from kubewitness.parsers.multiline_rules import BUILT_IN

        name = name.strip()
        if name not in self._multiline:
            if name not in BUILT_IN:
                known = [*self._multiline, *BUILT_IN]
                raise UsageError(f"there is no multiline parser {name!r}{nearest(name, known)}")
            self._multiline[name] = BUILT_IN[name]()
        return self._multiline[name]

    def _made_multiline(self, section: Section) -> MultilineParser:
        # regular expressions cost memory that a pipeline without them does not need
        from kubewitness.parsers.multiline_rules import KEYS as MULTILINE_KEYS
        from kubewitness.parsers.multiline_rules import multiline_parser_of

        keys = section.given(MULTILINE_KEYS)
        with _located(section):
            return multiline_parser_of({"name": section.plugin} | keys, self.parser)


@functools.cache
def bundled() -> dict[str, Section]:
    """The sections of parsers/bundled.conf by name."""
    with resources.as_file(resources.files(__package__) / "bundled.conf") as path:
        draft = Draft(Path(path))
        classic.read(draft.path, draft)
    return {section.plugin: section for section in draft.sections}


def _is_fluent_bits(section: Section) -> bool:
    """Whether a parser is the one of that name in Fluent Bit's own parsers file, of which many bring a copy."""
    keys = {k: v for k, v in section.keys.items() if k not in ("time_key", "time_format", "time_keep")}
    keys["format"] = keys.get("format", "").lower()
    return section.keys.get("time_key", "time") == "time" and keys == _FLUENT_BITS.get(section.plugin)


def _made(section: Section, clock: Callable[[], float]) -> Parser:
    keys = section.given(KEYS)
    with _located(section):
        return parser_of({"name": section.plugin} | keys, clock)


@contextlib.contextmanager
def _located(section: Section) -> Iterator[None]:
    """Puts file and line before what is wrong."""
    try:
        yield
    except UsageError as e:
        named = next((key for key in section.keys if repr(key) in str(e)), "")
        raise UsageError(f"{section.where(named)}: {e}") from e


def asked(what: str, key: str, name: str, find: Callable[[str], T]) -> T:
    """The parser that a part's key names. UsageError says of which part and key. `find`: `Library.parser`, or
    `Library.multiline`."""
    try:
        return find(name)
    except UsageError as e:
        raise UsageError(f"{what}: {key!r}: {e}") from e
