"""From files and arguments to a `Tree`: variables replaced, parsers files read, names of plugins checked."""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubewitness.config import arguments, classic, yaml_form
from kubewitness.config.keys import nearest
from kubewitness.config.tree import Draft, Entry, Section, Tree
from kubewitness.errors import UsageError

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
#: a parsers file that Fluent Bit brings along is not missed: what is in it is known anyhow
_BUNDLED = re.compile(r"parsers\.(conf|ya?ml)")
#: the file of plugins that it brings along lists none
_EMPTY = re.compile(r"plugins\.(conf|ya?ml)")
#: keys of the service that name files which may say nothing
_MAY_BE_EMPTY = {"plugins_file", "streams_file"}
_HEADINGS = ("[plugins]", "plugins:", "stream_processor:")
#: keys of parsers that may be given several times
_STEPS = {"decode_field", "decode_field_as", "rule"}
#: keys that Fluent Bit keeps itself, for any plugin; of several the last counts there
_LAST = {
    "match", "match_regex", "tag", "alias", "host", "listen", "port", "log_level", "retry_limit", "mem_buf_limit",
    "storage.type", "storage.total_limit_size", "workers", "tls", "tls.verify",
}  # fmt: skip

#: keys of the service that the command line and the file have together
_GATHERED = {"parsers_file", "plugins_file"}


class UnknownPlugin(UsageError):
    """There is none called `name`. `why`: one that is known elsewhere, and what to do instead."""

    def __init__(self, section: Section, kind: str, names: Collection[str], why: str = "") -> None:
        said = f"{kind} {section.plugin!r}: {why}" if why else f"unknown {kind} {section.plugin!r}"
        super().__init__(f"{section.where()}: {said}{'' if why else nearest(section.plugin, names)}")
        self.name = section.plugin


@dataclass(frozen=True, slots=True)
class Known:
    """The plugins that there are."""

    inputs: Collection[str] = ()
    filters: Collection[str] = ()
    outputs: Collection[str] = ()
    #: kind -> names that are known elsewhere -> why not here, and what to write instead
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def check(self, section: Section, kind: str, names: Collection[str]) -> None:
        """UsageError for a plugin that there is not."""
        if section.plugin in names:
            return
        raise UnknownPlugin(section, kind, names, self.refused.get(kind, {}).get(section.plugin, ""))


def load_pipeline(path: Path, known: Known, *, strict: bool = True) -> Tree:
    """Reads a file of either format. UsageError, with file and line, for everything that is not understood.

    Without `strict` a variable that is not set is empty, and a parser defined again is left out, with a warning.
    """
    draft = Draft(path)
    _read(path, draft)
    return _tree(draft, known, strict)


def load_arguments(argv: Sequence[str], known: Known, *, strict: bool = False) -> tuple[Tree, dict[str, str]]:
    """Reads a command line of Fluent Bit's and the file that it may name; and what it says about the process."""
    draft, process = draft_of(argv)
    return finished(draft, process, known, strict=strict), process


def draft_of(argv: Sequence[str]) -> tuple[Draft, dict[str, str]]:
    """Of a command line alone, before its file is read: `help`, `version` and `workdir` come first."""
    draft = Draft(arguments.COMMAND_LINE)
    return draft, arguments.read(argv, draft)


def finished(draft: Draft, process: dict[str, str], known: Known, *, strict: bool = False) -> Tree:
    """The rest of `load_arguments`."""
    if "config" in process:
        draft.path = Path(process["config"])
        _read(draft.path, draft)
    return _tree(draft, known, strict)


def _read(path: Path, draft: Draft, at: str = "") -> None:
    if path.suffix.lower() in (".yaml", ".yml"):
        yaml_form.read(path, draft, at)
        return
    try:
        begin = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        begin = ""  # the reader says what is wrong
    form = classic if path.suffix.lower() == ".conf" or classic.is_classic(begin) else yaml_form
    form.read(path, draft, at)


def _tree(draft: Draft, known: Known, strict: bool) -> Tree:
    builder = _Builder(draft, strict)
    service = builder.service()
    builder.parsers_files(service)
    tree = Tree(
        draft.path,
        service,
        builder.plugins("input", known, known.inputs),
        builder.plugins("filter", known, known.filters),
        builder.plugins("output", known, known.outputs),
        builder.unique("parser"),
        builder.unique("multiline_parser"),
        builder.warnings,
    )
    for kind, found in (("inputs", tree.inputs), ("outputs", tree.outputs)):
        if not found:
            raise UsageError(f"{draft.path}: the pipeline has no {kind}")
    return tree


class _Builder:
    def __init__(self, draft: Draft, strict: bool) -> None:
        self._draft = draft
        self._strict = strict
        self.warnings: list[str] = []

    def service(self) -> Section:
        """All sections of the service as one."""
        found = self._of("service")
        if not found:
            return Section("service", "service", self._draft.path, 0)
        # what is on the command line counts, whatever the file says
        said = {entry.name for entry in found[0].entries} if found[0].file == arguments.COMMAND_LINE else set()
        said -= _GATHERED
        entries = tuple(
            e for s in found for e in s.entries if (s is found[0] or e.name not in said) and not self._says_nothing(e)
        )
        return replace(found[-1], entries=entries, lists=all(section.lists for section in found))

    def _says_nothing(self, entry: Entry) -> bool:
        """Whether it names a file of plugins or tasks in which there are none, as Fluent Bit's packages do."""
        if entry.name not in _MAY_BE_EMPTY or not entry.value:
            return False
        for place in (Path(entry.value), self._draft.path.parent / entry.value):
            try:
                lines = place.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError):
                continue
            words = (line.strip().lower() for line in lines)
            return all(word.startswith("#") or word in _HEADINGS for word in words if word)
        return _EMPTY.fullmatch(Path(entry.value).name) is not None

    def parsers_files(self, service: Section) -> None:
        """Adds the parsers of the files that the service names."""
        for entry in service.entries:
            if entry.name != "parsers_file":
                continue
            at = f"{service.file}:{entry.line}" if entry.line else str(service.file)
            for name in filter(None, (part.strip() for part in entry.value.split(","))):
                self._parsers_file(name, at)

    def _parsers_file(self, name: str, at: str) -> None:
        places = [Path(name), self._draft.path.parent / name]
        path = next((place for place in places if _is_file(place)), None)
        if path is None:
            if _BUNDLED.fullmatch(Path(name).name):
                return
            raise UsageError(f"{at}: parsers_file {name!r}: there is no such file")
        inner = Draft(path, variables=self._draft.variables)
        _read(path, inner, at)
        for section in inner.sections:
            if section.kind in ("parser", "multiline_parser"):
                self._draft.sections.append(section)
            else:
                self._complain(f"{section.where()}: [{section.kind.upper()}] does not belong into a parsers file")

    def plugins(self, kind: str, known: Known, names: Collection[str]) -> list[Section]:
        sections = [self._last(section) for section in self._of(kind)]
        for section in sections:
            known.check(section, kind, names)
        return sections

    def _last(self, section: Section) -> Section:
        """Without strictness: of a key that every plugin has, and that is given twice, the last."""
        counts = Counter(entry.name for entry in section.entries if entry.name in _LAST)
        if self._strict or section.lists or not counts or max(counts.values()) == 1:
            return section
        entries = []
        for entry in section.entries:
            counts[entry.name] -= 1
            if counts[entry.name] > 0:  # below zero: a key that is not one of these
                at = f"{section.file}:{entry.line}"
                self._complain(f"{at}: {section.plugin}: key {entry.name!r} is given twice; the last counts")
            else:
                entries.append(entry)
        return replace(section, entries=tuple(entries))

    def unique(self, kind: str) -> list[Section]:
        """Parsers by their names; of two with the same one the first counts."""
        found: dict[str, Section] = {}
        for section in self._of(kind):
            if section.plugin in found:
                first = found[section.plugin].where()
                self._complain(f"{section.where()}: {kind} {section.plugin!r} is already defined at {first}")
            else:
                found[section.plugin] = self._first(section)
        return list(found.values())

    def _first(self, section: Section) -> Section:
        """Of a parser's key that is given twice, the first."""
        entries: list[Entry] = []
        for entry in section.entries:
            may_be = entry.name in _STEPS or (section.lists and not entry.again)
            if not may_be and any(entry.name == before.name for before in entries):
                at = f"{section.file}:{entry.line}"
                self._complain(f"{at}: {section.plugin}: key {entry.name!r} is given twice; the first counts")
            else:
                entries.append(entry)
        return replace(section, entries=tuple(entries))

    def _of(self, kind: str) -> list[Section]:
        return [self._replaced(section) for section in self._draft.sections if section.kind == kind]

    def _replaced(self, section: Section) -> Section:
        """With the values of the variables."""
        entries = tuple(
            entry._replace(value=self._text(entry, section)) if "${" in entry.value else entry
            for entry in section.entries
        )
        plugin = section.plugin
        if "${" in plugin:
            plugin = self._text(Entry("name", plugin, section.line), section)
            plugin = plugin if "parser" in section.kind else plugin.lower()
        processors = tuple(self._replaced(p) for p in section.processors)
        return replace(section, plugin=plugin, entries=entries, processors=processors)

    def _text(self, entry: Entry, section: Section) -> str:
        at = f"{section.file}:{entry.line}" if entry.line else str(section.file)
        return self._filled(entry.value, at, ())

    def _filled(self, text: str, at: str, within: tuple[str, ...]) -> str:
        return _VARIABLE.sub(lambda m: self._variable(m[1].strip(), at, within), text)

    def _variable(self, name: str, at: str, within: tuple[str, ...]) -> str:
        """Its value, which may be made of other variables."""
        if name in within:
            raise UsageError(f"{at}: variable ${{{name}}} is made of itself")
        value = self._draft.variables.get(name)
        if value is not None:
            return self._filled(value, at, (*within, name)) if "${" in value else value
        value = os.environ.get(name)
        if value is None and name == "HOSTNAME":
            return socket.gethostname()  # shells have it, and so everybody writes it, but processes are not given it
        if value is None:
            plain, default, _ = name.partition(":-")
            how = f"there are no defaults; write `@SET {plain}=...`, or `env`" if default else (
                "set it, or define it by `env` or @SET")  # fmt: skip
            self._complain(f"{at}: variable ${{{name}}} is not set; {how}")
        return value or ""

    def _complain(self, text: str) -> None:
        if self._strict:
            raise UsageError(text)
        if text not in self.warnings:
            self.warnings.append(text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
