"""Several far sides of one output, in a file of their own. Source: Fluent Bit's manual, "Upstream servers".

    [UPSTREAM]
        name  aggregators

    [NODE]
        name  node-1
        host  10.0.0.7
        port  24224

or in YAML `upstream_servers: [{name, nodes: [{name, host, port, ...}]}]`. A node's other keys are the output's, for it
alone; `${NAME}` is the environment's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kubewitness.config import classic
from kubewitness.config.keys import Key
from kubewitness.config.tree import Draft, Section
from kubewitness.errors import UsageError

UPSTREAM_KEY = Key(
    "upstream",
    doc="file of several far sides, in place of host and port: they take turns, and one that fails is left out for a "
    "while; its nodes may have any of these keys for themselves",
)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    keys: dict[str, str]
    #: file, and line where that is known
    where: str


@dataclass(slots=True)
class _Draft(Draft):
    def add(self, section: Section) -> None:
        self.sections.append(section)


def nodes_of(file: str) -> list[Node]:
    """UsageError, with file and line, for what is not understood."""
    path = Path(file)
    nodes = _yaml(path) if path.suffix.lower() in (".yaml", ".yml") else _classic(path)
    if not nodes:
        raise UsageError(f"{path}: it has no node")
    for node in nodes:
        if not node.keys.get("host") and not node.keys.get("unix_path"):
            raise UsageError(f"{node.where}: node {node.name!r} has no 'host'")
    return nodes


def _classic(path: Path) -> list[Node]:
    draft = _Draft(path)
    classic.read(path, draft)
    for section in draft.sections:
        if section.kind not in ("upstream", "node"):
            raise UsageError(f"{section.where()}: [{section.kind.upper()}] does not belong into a file of upstreams")
    return [
        Node(s.plugin, {k: _filled(v, s.where(k)) for k, v in s.keys.items()}, s.where())
        for s in draft.sections
        if s.kind == "node"
    ]


def _yaml(path: Path) -> list[Node]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        servers: Sequence[dict[str, Any]] = found["upstream_servers"]
        nodes = [dict(node) for server in servers for node in server["nodes"]]
        made = [{str(k).lower(): str(v) for k, v in node.items()} for node in nodes]
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: {getattr(e, 'strerror', None) or e}") from e
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as e:
        raise UsageError(f"{path}: it is to have `upstream_servers`, a list with `name` and `nodes`: {e}") from e
    return [
        Node(keys.pop("name", f"node {n}"), {k: _filled(v, str(path)) for k, v in keys.items()}, str(path))
        for n, keys in enumerate(made)
    ]


def _filled(text: str, at: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"{at}: variable ${{{match[1]}}} is not set")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)
