"""A configuration, whatever it was written in: sections with their keys in order, each with its place.

Three readers fill a `Draft` (`classic`, `yaml_form`, `arguments`); `load` makes a `Tree` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kubewitness.config.keys import Key, flattened
from kubewitness.errors import UsageError

#: what a section can be
KINDS = ("service", "input", "filter", "output", "parser", "multiline_parser")
#: what it could be elsewhere -> why not here
REFUSED_KINDS = {
    "custom": "custom plugins are not supported",
    "plugins": "external plugins cannot be loaded",
    "stream_task": "there is no stream processor; use `kubewitness sql`",
    "upstream": "upstream servers stand in a file of their own, which key `upstream` of output forward names",
    "node": "upstream servers stand in a file of their own, which key `upstream` of output forward names",
    "extensions": "extensions are not supported",
}


class Entry(NamedTuple):
    """One key as written: its name in lower case, its value as text."""

    name: str
    value: str
    line: int
    #: in a section of lists: its key was written once more, and this is not the next item of the list before
    again: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One section. `plugin` is its `name` in lower case, for a parser as written, for the service "service"."""

    kind: str
    plugin: str
    file: Path
    line: int
    #: without `name`; the same name may be there several times
    entries: tuple[Entry, ...] = ()
    processors: tuple[Section, ...] = ()
    #: a name given twice was a list, and not two lines
    lists: bool = False

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(name, value) in the order of the file: for plugins whose keys are steps."""
        return [(entry.name, entry.value) for entry in self.entries]

    @property
    def keys(self) -> dict[str, str]:
        """As a mapping; the values of a repeated key are joined by newlines."""
        return flattened(self.pairs)

    def where(self, key: str = "") -> str:
        """ "file:line" of a key, or of the section; on the command line "-i NAME"."""
        line = next((entry.line for entry in self.entries if entry.name == key), self.line)
        return f"{self.file}:{line}" if line else str(self.file)

    def rest(self, *without: str) -> dict[str, str]:
        """The keys but for these."""
        return {k: v for k, v in self.keys.items() if k not in without}

    def given(self, declared: Sequence[Key], *without: str) -> dict[str, str]:
        """The keys for a plugin that declares its own: a list for a key that takes one value is its items by commas.

        UsageError for a key that is given twice but cannot be.
        """
        several = {key.name for key in declared if key.multi or key.type == "prefix"}
        keys: dict[str, str] = {}
        for name, value, line, again in self.entries:
            if name in without:
                continue
            if name not in keys:
                keys[name] = value
            elif name in several:
                keys[name] += "\n" + value
            elif self.lists and not again:
                keys[name] += "," + value
            else:
                raise UsageError(f"{self.file}:{line}: {self.plugin}: key {name!r} is given twice")
        return keys


@dataclass(frozen=True, slots=True)
class Tree:
    """All of a configuration. Names of inputs, filters and outputs are known ones; their keys are for them to check."""

    path: Path
    service: Section
    inputs: list[Section]
    filters: list[Section]
    outputs: list[Section]
    parsers: list[Section] = field(default_factory=list)
    multiline_parsers: list[Section] = field(default_factory=list)
    #: what strictness would have made errors
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Draft:
    """What a reader has found so far: sections as written, variables not replaced yet."""

    #: the file that all began with; "" on a command line without one
    path: Path
    sections: list[Section] = field(default_factory=list)
    #: `@SET` and `env`
    variables: dict[str, str] = field(default_factory=dict)
    #: files read, for includes that go round
    files: list[Path] = field(default_factory=list)

    def add(self, section: Section) -> None:
        if section.kind in REFUSED_KINDS:
            raise UsageError(f"{section.where()}: [{section.kind.upper()}]: {REFUSED_KINDS[section.kind]}")
        self.sections.append(section)

    def enter(self, path: Path, at: str, errors: str = "strict") -> str:
        """The text of a file that is read now. `at`: where it is included, "" for the first. `errors`: of the decoder,
        for bytes that are not UTF-8."""
        real = path.resolve()
        before = f"{at}: " if at else ""
        if real in self.files:
            raise UsageError(f"{before}{path} is included twice")
        if len(self.files) >= _MOST_FILES:
            raise UsageError(f"{before}more than {_MOST_FILES} files are included")
        self.files.append(real)
        try:
            return path.read_text(encoding="utf-8", errors=errors)
        except (OSError, UnicodeDecodeError) as e:
            raise UsageError(f"{before}{path}: {getattr(e, 'strerror', None) or e}") from e
        except ValueError as e:  # a NUL in the name
            raise UsageError(f"{before}{str(path)!r}: {e}") from e

    def included(self, name: str, by: Path, at: str) -> list[Path]:
        """The files that an include names: one, or those that a pattern fits, sorted. Looked for beside the file that
        includes, beside the first one, and in the working directory."""
        for base in (by.parent, self.path.parent, Path.cwd()):
            try:
                if (base / name).exists():
                    return [base / name]
                if any(c in name for c in "*?["):
                    found = _fitting(base, name)
                    if found:
                        return found
            except (OSError, ValueError) as e:
                raise UsageError(f"{at}: include {name!r}: {e}") from e
        raise UsageError(f"{at}: include {name!r}: there is no such file")


_MOST_FILES = 1000


def _fitting(base: Path, pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_absolute():
        base, pattern = Path(path.anchor), str(path.relative_to(path.anchor))
    return sorted(p for p in base.glob(pattern) if p.is_file())


def section_of(
    kind: str, file: Path, line: int, entries: Sequence[Entry], processors: Sequence[Section] = (), lists: bool = False
) -> Section:
    """A section of what was written; `name` is taken out. UsageError when it has none, but needs one."""
    if kind == "service":
        return Section(kind, kind, file, line, tuple(entries), lists=lists)
    named = [entry for entry in entries if entry.name == "name"]
    if not named or not named[0].value:
        if kind in REFUSED_KINDS:
            return Section(kind, "", file, line)
        at = f"{file}:{line}" if line else str(file)
        raise UsageError(f"{at}: this {kind.replace('_', ' ')} has no `name`")
    if len(named) > 1:
        raise UsageError(f"{file}:{named[1].line}: key 'name' is given twice")
    # a variable in it has a name of its own, in which capitals count
    as_it_is = "parser" in kind or "${" in named[0].value
    plugin = named[0].value if as_it_is else named[0].value.lower()
    rest = tuple(entry for entry in entries if entry.name != "name")
    return Section(kind, plugin, file, named[0].line or line, rest, tuple(processors), lists)
