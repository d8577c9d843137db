"""One reader per shape of file: blocks of any borders in, records given to an `Ingest`.

`feed` takes the next block, `close` the end of the file; offsets are those of the decompressed file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from kubewitness.errors import Malformed
from kubewitness.formats import yamldoc
from kubewitness.formats.ingest import LINE_LIMIT, Ingest
from kubewitness.inputs.importer.documents import JsonReader
from kubewitness.inputs.importer.loglines import CriReader, DockerReader, JsonLogReader, KlogReader
from kubewitness.record import Chunk


class Reader(Protocol):
    """What all readers do. Chunks are complete; what is pending comes with a later call."""

    def feed(self, block: bytes) -> list[Chunk]: ...

    def close(self) -> list[Chunk]: ...


class YamlReader:
    """YAML documents; lists are opened up item by item."""

    def __init__(self, ingest: Ingest, file: str) -> None:
        self._ingest = ingest
        self._file = file
        self._lines = _LineFeeder()
        self._documents = yamldoc.Documents()

    def feed(self, block: bytes) -> list[Chunk]:
        for line in self._lines.feed(block):
            self._take(self._documents.line(line))
        return self._ingest.take() if self._ingest.pending else []

    def close(self) -> list[Chunk]:
        for line in self._lines.close():
            self._take(self._documents.line(line))
        self._take(self._documents.close())
        return self._ingest.take()

    def _take(self, document: yamldoc.Document | None) -> None:
        if document is None:
            return
        reason, text = document.reason, document.text
        if not reason:
            try:
                converted = yamldoc.to_json(text)
            except Malformed as e:
                reason = str(e)
            else:
                if converted is not None:
                    self._ingest.add_any(converted, file=self._file, offset=document.offset, flags=("from-yaml",))
                return
        self._ingest.add_reject(text, reason, file=self._file, offset=document.offset, length=document.length)


class BinaryReader:
    """What is no text: one reject for the file, and only its beginning is kept."""

    def __init__(self, ingest: Ingest, file: str) -> None:
        self._ingest = ingest
        self._file = file
        self._size = 0
        self._head = b""

    def feed(self, block: bytes) -> list[Chunk]:
        self._head = self._head or block[:256]
        self._size += len(block)
        return []

    def close(self) -> list[Chunk]:
        if self._size:
            reason = "binary data; import reads text, and text in gzip or zstd"
            self._ingest.add_reject(self._head, reason, file=self._file, offset=0, length=self._size)
        return self._ingest.take()


class _LineFeeder:
    """Blocks to lines with their newline."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, block: bytes) -> list[bytes]:
        lines = (self._rest + block).splitlines(keepends=True) if self._rest else block.splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._rest) > LINE_LIMIT:
            lines.append(self._rest)
            self._rest = b""
        return lines

    def close(self) -> list[bytes]:
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


READERS: dict[str, Callable[[Ingest, str], Reader]] = {
    "json": JsonReader,
    "yaml": YamlReader,
    "binary": BinaryReader,
    "cri": CriReader,
    "docker": DockerReader,
    "klog": KlogReader,
    "jsonlog": JsonLogReader,
}


def fingerprint(head: bytes) -> str:
    """What a file is known by, whatever its name: a digest of its first line (at most 1024 bytes of it)."""
    return hashlib.blake2b(head[:1024].split(b"\n", 1)[0], digest_size=16).hexdigest()
