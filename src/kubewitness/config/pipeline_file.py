"""Pipeline files in Fluent Bit's YAML form: `env`, `service` and `pipeline` with `inputs` and `outputs`.

The source of the format is Fluent Bit's manual ("YAML configuration"). Keys are case-insensitive, `${NAME}` is
replaced from `env` or the environment, lists become comma-separated text. What is not supported is refused with its
line, never ignored. The classic format is not read yet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from kubewitness.config.keys import nearest
from kubewitness.errors import UsageError

_TOP = ("env", "service", "pipeline")
_PIPELINE = ("inputs", "outputs")
_LATER = {
    "filters": "filters",
    "parsers": "parsers",
    "multiline_parsers": "multiline parsers",
    "includes": "includes",
    "customs": "customs",
    "plugins": "external plugins",
    "upstream_servers": "upstream servers",
    "stream_processor": "the stream processor",
    "processors": "processors",
    "extensions": "extensions",
}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Section:
    """One plugin's keys, or those of `service`: lower-case names, values as text."""

    plugin: str
    file: Path
    line: int
    keys: dict[str, str]
    lines: dict[str, int]

    def where(self, key: str = "") -> str:
        """ "file:line" of a key, or of the section."""
        return f"{self.file}:{self.lines.get(key, self.line)}"

    def rest(self, *without: str) -> dict[str, str]:
        """The keys but for these."""
        return {k: v for k, v in self.keys.items() if k not in without}


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """A pipeline as written. Names of plugins are known ones; their keys are for the plugins to check."""

    path: Path
    service: Section
    inputs: list[Section]
    outputs: list[Section]


def load_pipeline(path: Path, *, inputs: Collection[str], outputs: Collection[str]) -> PipelineFile:
    """Reads a file. UsageError, with file and line, for everything that is not understood."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: {getattr(e, 'strerror', None) or e}") from e
    if path.suffix.lower() not in (".yaml", ".yml") and re.match(r"(\s|#[^\n]*\n)*\[|(\s|#[^\n]*\n)*@", text):
        raise UsageError(f"{path}: the classic format is not supported yet; write the pipeline as YAML")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line}: not valid YAML: {getattr(e, 'problem', None) or e}") from e
    return _Reader(path, inputs, outputs).file(root)


class _Reader:
    def __init__(self, path: Path, inputs: Collection[str], outputs: Collection[str]) -> None:
        self._path = path
        self._inputs = inputs
        self._outputs = outputs
        self._env: dict[str, str] = {}

    def file(self, root: yaml.Node | None) -> PipelineFile:
        if root is None:
            raise UsageError(f"{self._path}: empty; a pipeline needs `pipeline` with `inputs` and `outputs`")
        top = self._mapping(root, "the file", _TOP)
        if "env" in top:
            entries = self._entries(top["env"], "env")
            self._env = {name: self._text(node, name) for name, (node, _) in entries.items()}
        if "pipeline" not in top:
            raise UsageError(f"{self._path}: there is no `pipeline` with `inputs` and `outputs`")
        pipeline = self._mapping(top["pipeline"], "pipeline", _PIPELINE)
        return PipelineFile(
            self._path,
            self._service(top.get("service")),
            self._plugins(pipeline.get("inputs"), "input", self._inputs),
            self._plugins(pipeline.get("outputs"), "output", self._outputs),
        )

    def _service(self, node: yaml.Node | None) -> Section:
        if node is None:
            return Section("service", self._path, 1, {}, {})
        return self._section("service", node, {k.lower(): v for k, v in self._entries(node, "service").items()})

    def _plugins(self, node: yaml.Node | None, kind: str, known: Collection[str]) -> list[Section]:
        if node is None or (isinstance(node, yaml.SequenceNode) and not node.value):
            raise UsageError(f"{self._path}: pipeline has no {kind}s")
        if not isinstance(node, yaml.SequenceNode):
            raise UsageError(f"{self._at(node)}: {kind}s is a list (`- name: ...`)")
        sections = []
        for item in node.value:
            entries = {k.lower(): v for k, v in self._entries(item, kind).items()}
            if "processors" in entries:
                raise UsageError(f"{self._path}:{entries['processors'][1]}: processors are not supported yet")
            if "name" not in entries:
                raise UsageError(f"{self._at(item)}: this {kind} has no `name`")
            name_node, line = entries.pop("name")
            # `name: null` means the plugin of that name, though YAML reads no value there.
            plugin = "null" if name_node.tag.endswith(":null") else self._text(name_node, "name").lower()
            if plugin not in known:
                raise UsageError(f"{self._path}:{line}: unknown {kind} {plugin!r}{nearest(plugin, known)}")
            sections.append(self._section(plugin, item, entries))
        return sections

    def _section(self, plugin: str, node: yaml.Node, entries: Mapping[str, tuple[yaml.Node, int]]) -> Section:
        keys = {key: self._text(value, key) for key, (value, _) in entries.items()}
        lines = {key: line for key, (_, line) in entries.items()}
        return Section(plugin, self._path, node.start_mark.line + 1, keys, lines)

    def _mapping(self, node: yaml.Node, what: str, known: Collection[str]) -> dict[str, yaml.Node]:
        found = {}
        for name, (value, line) in self._entries(node, what).items():
            if name.lower() in _LATER:
                raise UsageError(f"{self._path}:{line}: {_LATER[name.lower()]} are not supported yet")
            if name.lower() not in known:
                raise UsageError(f"{self._path}:{line}: unknown key {name!r} in {what}{nearest(name, known)}")
            found[name.lower()] = value
        return found

    def _entries(self, node: yaml.Node, what: str) -> dict[str, tuple[yaml.Node, int]]:
        """key -> (value, line). A key given twice is an error: YAML would silently keep one of them."""
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{self._at(node)}: {what} is a mapping (`key: value`)")
        entries: dict[str, tuple[yaml.Node, int]] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            name = str(key_node.value)
            if name in entries:
                raise UsageError(f"{self._path}:{line}: key {name!r} is given twice")
            entries[name] = (value, line)
        return entries

    def _text(self, node: yaml.Node, key: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            if node.tag.endswith(":null"):
                return ""
            return _VARIABLE.sub(lambda m: self._variable(m[1], node), str(node.value))
        if isinstance(node, yaml.SequenceNode):
            return ",".join(self._text(item, key) for item in node.value)
        raise UsageError(f"{self._at(node)}: key {key!r} takes a value, not a mapping")

    def _variable(self, name: str, node: yaml.Node) -> str:
        value = self._env.get(name, os.environ.get(name))
        if value is None:
            raise UsageError(f"{self._at(node)}: variable ${{{name}}} is not set; set it, or define it under `env`")
        return value

    def _at(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"
