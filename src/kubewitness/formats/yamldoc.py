"""YAML captures (`kubectl get -o yaml`, hand-kept samples) turned into JSON, document by document.

Scalars stay as kubectl wrote them: times are text, never dates. A record that comes from YAML is flagged
"from-yaml", because its bytes are not the original ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from kubewitness.errors import Malformed

#: a document, or an item of a list, longer than this is not read (YAML costs fifty times its size in memory)
YAML_LIMIT = 4 * 1024 * 1024

_loader: Any = None


def to_json(document: bytes) -> bytes | None:
    """One YAML document as JSON; None when it is empty. Raises `Malformed`."""
    import yaml

    try:
        value = yaml.load(document, Loader=_safe_loader())  # noqa: S506 (derived from the safe loader)
        return None if value is None else msgspec.json.encode(value)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as e:
        raise Malformed(f"not YAML: {' '.join(str(e).split())[:200]}") from e


class Document(NamedTuple):
    """One document of a stream, or one item of a list in it."""

    text: bytes
    #: of its first byte in the stream
    offset: int
    #: length in the stream; `text` is shorter when it is over the limit
    length: int
    #: why it cannot be read, "" if it can
    reason: str


def documents(lines: Iterable[bytes]) -> Iterator[Document]:
    """The documents of a YAML stream that is given line by line.

    A top-level `items:` list is opened up: each item comes as a document of its own (what stands after the list
    says nothing that its items need), so that a List of any size takes constant memory.
    """
    part = _Part()
    mode: Literal["document", "items", "tail"] = "document"
    dash = b""  # what begins an item of the open list; b"" until the first one is seen
    offset = 0
    for line in lines:
        if line.startswith((b"---", b"...")) and not line[3:].strip():
            yield from part.take(offset + len(line))
            mode, dash = "document", b""
        elif mode == "document" and line.rstrip() == b"items:":
            part.take_nothing(offset + len(line))
            mode, dash = "items", b""
        elif mode == "items":
            content = line.strip()
            if not dash and content.startswith(b"- "):
                dash = line[: line.index(b"-")] + b"- "
            if dash and line.startswith(dash):
                yield from part.take(offset)
                part.add(b" " * len(dash) + line[len(dash) :])  # as a mapping of its own
            elif content and not content.startswith(b"#") and not line.startswith(b" " * (len(dash) or 1)):
                yield from part.take(offset)
                mode = "tail"
            else:
                part.add(line)
        elif mode == "document":
            part.add(line)
        offset += len(line)
    if mode != "tail":
        yield from part.take(offset)


class _Part:
    """The lines of one document so far, up to the limit."""

    def __init__(self) -> None:
        self._begin = 0
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        if self._size <= YAML_LIMIT:
            self._lines.append(line)
        self._size += len(line)

    def take(self, next_begin: int) -> Iterator[Document]:
        size, text = self._size, b"".join(self._lines)
        begin = self._begin
        self.take_nothing(next_begin)
        if text.strip():
            over = (
                f"a YAML document of {size} bytes; the limit is {YAML_LIMIT}: use -o json" if size > YAML_LIMIT else ""
            )
            yield Document(text, begin, size, over)

    def take_nothing(self, next_begin: int) -> None:
        self._lines, self._size, self._begin = [], 0, next_begin


def _safe_loader() -> Any:
    """The safe loader (in C where PyYAML has it) without its reading of dates."""
    global _loader
    if _loader is None:
        import yaml

        base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        _loader = type("_Loader", (base,), {})
        _loader.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
            for first, pairs in base.yaml_implicit_resolvers.items()
        }
    return _loader
