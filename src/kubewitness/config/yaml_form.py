"""Fluent Bit's YAML format. The source is its manual ("YAML configuration").

`env`, `includes`, `service`, `parsers`, `multiline_parsers` and `pipeline` with `inputs`, `filters`, `outputs`; a list
as the value of a key is that key several times, and so is a key that is written twice. `processors.logs` of inputs and
outputs become sections of their own. The form of Fluent Bit 1.9 is taken, too: `- tail: {path: ...}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from kubewitness.config.keys import nearest
from kubewitness.config.tree import Draft, Entry, Section, section_of
from kubewitness.errors import UsageError

_TOP = ("env", "service", "pipeline", "includes", "parsers", "multiline_parsers")
_PIPELINE = {"inputs": "input", "filters": "filter", "outputs": "output"}
_REFUSED = {
    "customs": "custom plugins are not supported",
    "plugins": "external plugins cannot be loaded",
    "upstream_servers": "upstream servers stand in a file of their own, which key `upstream` of output forward names",
    "stream_processor": "there is no stream processor; use `kubewitness sql`",
    "extensions": "extensions are not supported",
}
#: keys whose value is a tree -> what to write instead
_TREES = {
    "condition": "conditions of processors are not supported; `grep` keeps and drops records by their fields, `modify` "
    "has `condition` lines of its own, and `expr` sets fields by an expression",
    "routes": "routes by content are not supported; filter `rewrite_tag` gives records another tag for outputs",
}
_STAR = "; a value that begins with * stands in quotes: match: '*'"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read(path: Path, draft: Draft, at: str = "") -> None:
    """Adds a file and what it includes. UsageError with file and line for what is not understood."""
    text = draft.enter(path, at)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(e, "problem", None) or str(e).partition("\n")[0]
        hint = _STAR if "alias" in (getattr(e, "context", None) or problem) else ""
        raise UsageError(f"{path}{line}: not valid YAML: {problem}{hint}") from e
    except (RecursionError, ValueError) as e:
        raise UsageError(f"{path}: not valid YAML: {e}") from e
    _Reader(path, draft).read(root)


def _snake(name: str) -> str:
    """`memBufLimit` is another way to write `mem_buf_limit`."""
    return (name if "_" in name else _HUMP.sub("_", name)).lower()


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _by_name(node: yaml.Node) -> bool:
    """Whether all keys are names of plugins: each has keys of its own. Processors stand beside a plugin's keys."""
    return (
        isinstance(node, yaml.MappingNode)
        and bool(node.value)
        and all(isinstance(value, yaml.MappingNode) and key.value != "processors" for key, value in node.value)
    )


def _name_of(plugin: yaml.Node, keys: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    if any(str(key.value).lower() == "name" for key, _ in keys.value):
        return []
    return [(yaml.ScalarNode("tag:yaml.org,2002:str", "name", plugin.start_mark, plugin.end_mark), plugin)]


class _Reader:
    def __init__(self, path: Path, draft: Draft) -> None:
        self._path = path
        self._draft = draft

    def read(self, root: yaml.Node | None) -> None:
        if root is None:
            if len(self._draft.files) > 1:
                return  # an included file may be empty
            raise UsageError(f"{self._path}: empty; a pipeline needs `pipeline` with `inputs` and `outputs`")
        top = {k: v for k, v in self._mapping(root, "the file", _TOP).items() if not v.tag.endswith(":null")}
        if "env" in top:
            self._env(top["env"])
        for item in self._items(top.get("includes"), "includes"):
            at = self._at(item)
            for path in self._draft.included(self._text(item, "includes"), self._path, at):
                read(path, self._draft, at)
        if "service" in top:
            self._section("service", top["service"])
        for kind in ("parser", "multiline_parser"):
            for item in self._items(top.get(f"{kind}s"), f"{kind}s"):
                self._section(kind, item)
        pipeline = self._mapping(top["pipeline"], "pipeline", tuple(_PIPELINE)) if "pipeline" in top else {}
        for name, kind in _PIPELINE.items():
            for item in self._plugins(pipeline.get(name), name):
                self._section(kind, item)

    def _plugins(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """The items of a list; in the form of 1.9 each is its plugin's name and keys, and the list may be a mapping."""
        nodes = [node] if isinstance(node, yaml.MappingNode) and _by_name(node) else self._items(node, what)
        return [item for node in nodes for item in (self._named(node) if _by_name(node) else [node])]

    def _named(self, node: yaml.Node) -> list[yaml.Node]:
        """Of `{tail: {path: x}}`: `{name: tail, path: x}`, unless it has a name within."""
        return [
            yaml.MappingNode(keys.tag, [*_name_of(plugin, keys), *keys.value], plugin.start_mark, keys.end_mark)
            for plugin, keys in node.value
        ]

    def _env(self, node: yaml.Node) -> None:
        """A mapping, or a list of `name` and `value` or `uri` (a file that holds the value)."""
        if not isinstance(node, yaml.SequenceNode):
            for name, (value, _) in self._entries(node, "env").items():
                self._draft.variables[name] = self._text(value, name)
            return
        for item in node.value:
            entries = self._mapping(item, "env", ("name", "value", "uri", "refresh_interval"))
            if "name" not in entries or ("value" in entries) == ("uri" in entries):
                raise UsageError(f"{self._at(item)}: an item of env has `name`, and `value` or `uri`")
            name = self._text(entries["name"], "name")
            self._draft.variables[name] = self._value(entries)

    def _value(self, entries: dict[str, yaml.Node]) -> str:
        if "value" in entries:
            return self._text(entries["value"], "value")
        uri = self._text(entries["uri"], "uri")
        if not uri.startswith("file://"):
            raise UsageError(f"{self._at(entries['uri'])}: 'uri' is {uri!r}; it takes file:///PATH")
        try:
            return Path(uri.removeprefix("file://")).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, ValueError) as e:
            raise UsageError(f"{self._at(entries['uri'])}: {uri}: {getattr(e, 'strerror', None) or e}") from e

    def _section(self, kind: str, node: yaml.Node) -> None:
        self._draft.add(self._made(kind, node))

    def _made(self, kind: str, node: yaml.Node) -> Section:
        entries: list[Entry] = []
        processors: list[Section] = []
        # a key of the service that is written twice is a mistake; a plugin says which of its keys may be
        given = list(self._entries(node, kind).items()) if kind == "service" else self._pairs(node, _words(kind))
        seen: set[str] = set()
        for name, (value, line) in given:
            lower = _snake(name)
            if lower == "processors" and kind in ("input", "output"):
                processors = self._processors(value)
            elif lower == "rules" and kind == "multiline_parser":
                entries += [Entry("rule", self._rule(item), self._line(item)) for item in self._items(value, "rules")]
            elif lower == "name" and value.tag.endswith(":null"):
                # `name: null` means the plugin of that name, though YAML reads no value there
                entries.append(Entry(lower, "null", line))
            else:
                if lower in _TREES and not isinstance(value, yaml.ScalarNode):
                    raise UsageError(f"{self._path}:{line}: {name}: {_TREES[lower]}")
                values = [Entry(lower, text, at) for text, at in self._values(value, name, line)]
                entries += [entry._replace(again=not i and lower in seen) for i, entry in enumerate(values)]
            seen.add(lower)
        return section_of(kind, self._path, self._line(node), entries, processors, lists=True)

    def _processors(self, node: yaml.Node) -> list[Section]:
        found = self._mapping(node, "processors", ("logs", "metrics", "traces", "profiles"))
        for name, value in found.items():
            if name != "logs":
                raise UsageError(f"{self._at(value)}: processors of {name} are not supported; there are only records")
        return [self._made("processor", item) for item in self._items(found.get("logs"), "logs")]

    def _rule(self, node: yaml.Node) -> str:
        """Its words as a JSON list; in the classic format they stand in quotes one after the other."""
        words = self._mapping(node, "rule", ("state", "regex", "next_state"))
        return json.dumps([self._text(words[k], k) for k in ("state", "regex", "next_state") if k in words])

    def _values(self, node: yaml.Node, key: str, line: int) -> Iterator[tuple[str, int]]:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield self._text(item, key), self._line(item)
        else:
            yield self._text(node, key), line

    def _items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if node is None or node.tag.endswith(":null"):
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise UsageError(f"{self._at(node)}: {what} is a list (`- ...`)")
        return list(node.value)

    def _mapping(self, node: yaml.Node, what: str, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        found = {}
        for name, (value, line) in self._entries(node, what).items():
            if name.lower() in _REFUSED and what in ("the file", "pipeline"):
                raise UsageError(f"{self._path}:{line}: {name}: {_REFUSED[name.lower()]}")
            if name.lower() not in known:
                raise UsageError(f"{self._path}:{line}: unknown key {name!r} in {what}{nearest(name, known)}")
            found[name.lower()] = value
        return found

    def _entries(self, node: yaml.Node, what: str) -> dict[str, tuple[yaml.Node, int]]:
        """key -> (value, line). A key given twice is an error: YAML would silently keep one of them."""
        entries: dict[str, tuple[yaml.Node, int]] = {}
        lower: set[str] = set()
        for name, (value, line) in self._pairs(node, what):
            if name in entries or (what != "env" and _snake(name) in lower):
                raise UsageError(f"{self._path}:{line}: key {name!r} is given twice")
            lower.add(_snake(name))
            entries[name] = (value, line)
        return entries

    def _pairs(self, node: yaml.Node, what: str) -> list[tuple[str, tuple[yaml.Node, int]]]:
        """The same in the order of the file, also when a key is there twice."""
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{self._at(node)}: {what} is a mapping (`key: value`)")
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{self._at(key)}: a key is a word")
        return [(str(key.value), (value, self._line(key))) for key, value in node.value]

    def _text(self, node: yaml.Node, key: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return "" if node.tag.endswith(":null") else str(node.value).rstrip("\n")
        raise UsageError(f"{self._at(node)}: key {key!r} takes a value, or a list of values")

    def _line(self, node: yaml.Node) -> int:
        return int(node.start_mark.line) + 1

    def _at(self, node: yaml.Node) -> str:
        return f"{self._path}:{self._line(node)}"
