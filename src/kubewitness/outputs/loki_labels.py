"""Labels and structured metadata of a record, as Loki's outputs name them.

`NAME=TEXT` and `NAME=$accessor` give a label; `$a['b']` alone is called `a_b`. Names have only letters, digits and `_`.
Source of the rule: Loki's manual, "Label names"; of the syntax: Fluent Bit's manual, "Loki".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.accessor import Path, Template, path_of, text_of, value_at

_ODD = re.compile(r"[^a-zA-Z0-9_]")


def label_name(text: str) -> str:
    """The text as a name that Loki takes."""
    name = _ODD.sub("_", text)
    return f"_{name}" if name[:1].isdigit() else name


class Pairs:
    """Names and where their values come from. UsageError for what is no such list."""

    def __init__(self, what: str, key: str, items: Sequence[str]) -> None:
        self._pairs = [_pair(what, key, item) for item in items]

    def add(self, name: str, path: Path) -> None:
        self._pairs.append((label_name(name), Template(str(path))))

    @property
    def paths(self) -> list[Path]:
        """What of the record they show."""
        return [path for _, template in self._pairs for path in template.paths]

    @property
    def read(self) -> bool:
        """Whether they depend on the record, or its tag."""
        return any("$" in template.text for _, template in self._pairs)

    def of(self, fields: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str]]:
        """Those that have a value."""
        for name, template in self._pairs:
            if value := template.render(fields, tag):
                yield name, value


def _pair(what: str, key: str, item: str) -> tuple[str, Template]:
    if item.startswith("$"):
        path = path_of(item)
        return label_name("_".join(map(str, path.steps))), Template(item)
    name, equals, value = item.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise UsageError(f"{what}: {key!r} takes NAME=VALUE, NAME=$accessor or $accessor, not {item!r}")
    return name.strip(), Template(value.strip())


def maps_of(paths: Sequence[Path], fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every entry of the objects at these paths."""
    for path in paths:
        found = value_at(fields, path)
        if isinstance(found, dict):
            yield from ((label_name(name), text_of(value)) for name, value in found.items() if value != "")


def label_map(what: str, file: str) -> list[tuple[str, Path]]:
    """(label, path) of each leaf of the JSON object in the file `label_map_path`."""
    try:
        found = msgspec.json.decode(FilePath(file).read_bytes(), type=dict[str, Any])
        return list(_leaves((), found))
    except (OSError, msgspec.MsgspecError, ValueError) as e:
        raise UsageError(f"{what}: 'label_map_path' {file}: {getattr(e, 'strerror', None) or e}") from e


def _leaves(steps: tuple[str | int, ...], value: Any) -> Iterator[tuple[str, Path]]:
    if isinstance(value, str):
        yield value, Path(steps)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves((*steps, name), inner)
    else:
        raise ValueError("values are labels' names, or objects of them")
