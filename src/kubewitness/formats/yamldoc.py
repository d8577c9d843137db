"""YAML captures (`kubectl get -o yaml`, hand-kept samples) turned into JSON, document by document.

Scalars stay as kubectl wrote them: times are text, never dates. A record that comes from YAML is flagged
"from-yaml", because its bytes are not the original ones.
"""

from __future__ import annotations

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


class Documents:
    """The documents of a YAML stream that is given line by line.

    A top-level `items:` list is opened up: each item comes as a document of its own (what stands after the list
    says nothing that its items need), so that a List of any size takes constant memory.
    """

    def __init__(self) -> None:
        self._part = _Part()
        self._mode: Literal["document", "items", "tail"] = "document"
        self._dash = b""  # what begins an item of the open list; b"" until the first one is seen
        self._offset = 0

    def line(self, line: bytes) -> Document | None:
        """Takes the next line (with its newline); gives the document that ended with it or before it."""
        begin = self._offset
        self._offset += len(line)
        if line.startswith((b"---", b"...")) and not line[3:].strip():
            self._mode, self._dash = "document", b""
            return self._part.take(self._offset)
        if self._mode == "items":
            return self._item_line(line, begin)
        if self._mode == "document":
            if line.rstrip() == b"items:":
                self._part.take(self._offset)  # what stands before the list, likewise
                self._mode = "items"
            else:
                self._part.add(line)
        return None

    def close(self) -> Document | None:
        """The document that ends with the stream."""
        return self._part.take(self._offset)

    def _item_line(self, line: bytes, begin: int) -> Document | None:
        content = line.strip()
        if not self._dash and content.startswith(b"- "):
            self._dash = line[: line.index(b"-")] + b"- "
        if self._dash and line.startswith(self._dash):
            ended = self._part.take(begin)
            self._part.add(b" " * len(self._dash) + line[len(self._dash) :])  # as a mapping of its own
            return ended
        inside = line.startswith(b" " * (len(self._dash) or 1)) or not content or content.startswith(b"#")
        if inside:
            self._part.add(line)
            return None
        self._mode = "tail"
        return self._part.take(begin)


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

    def take(self, next_begin: int) -> Document | None:
        """The document so far, None if it is empty; the next one begins at `next_begin`."""
        size, text, begin = self._size, b"".join(self._lines), self._begin
        self._lines, self._size, self._begin = [], 0, next_begin
        if not text.strip():
            return None
        over = f"a YAML document of {size} bytes; the limit is {YAML_LIMIT}: use -o json" if size > YAML_LIMIT else ""
        return Document(text, begin, size, over)


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
