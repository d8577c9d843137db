"""JSON in files: lines, single documents of any size, pretty-printed ones, and all of these in one file.

Lines are the rule and are handed on as they are, a block at a time. A line that is only an opening bracket, or that
is very long, begins a document: the scanner takes over until that document's last bracket.
"""

from __future__ import annotations

import re

from kubewitness.formats.ingest import Ingest
from kubewitness.formats.jsonscan import Broken, DocumentScanner
from kubewitness.formats.sniff import sniff_item
from kubewitness.record import Chunk

#: a line that is longer is read as a document, whose long lists are opened up (bytes)
LONG_LINE = 1024 * 1024
#: text that is no JSON is cut here when it has no newline (bytes)
_TEXT_LIMIT = 4 * LONG_LINE

_OPENINGS = (b"\n{\n", b"\n[\n", b"\n{\r\n", b"\n[\r\n")
#: bytes of such a line without its newline
_LONGEST_OPENING = 2
# where another record begins although a document has not ended: JSON lines, klog and CRI lines
_NEXT = re.compile(rb"\{\"|[IWEF]\d{4} \d\d:|\d{4}-\d\d-\d\dT")
# that, or where a pretty-printed document may end
_BORDER = re.compile(rb"^(?:[}\]][^\n]*\n|(?=" + _NEXT.pattern + rb"))", re.MULTILINE)


class JsonReader:
    """Reads JSON in any of these arrangements. See `readers.Reader`."""

    def __init__(self, ingest: Ingest, file: str) -> None:
        self._ingest = ingest
        self._file = file
        self._rest = b""
        self._offset = 0  # of rest[0] in the file
        self._scanner: DocumentScanner | None = None
        self._one_line = False  # the open document is one long line
        self._begun = False

    def feed(self, block: bytes) -> list[Chunk]:
        if not self._begun:
            self._begun = True
            if block.startswith(b"\xef\xbb\xbf"):  # a byte order mark, as Windows writes
                block = block[3:]
                self._offset = 3
        data = self._rest + block if self._rest else block
        self._rest = b""
        chunks: list[Chunk] = []
        while data:
            data = self._document(data) if self._scanner is not None else self._lines(data, chunks)
            if self._rest:
                break
        if self._ingest.pending:
            chunks += self._ingest.take()
        return chunks

    def close(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        rest, self._rest = self._rest, b""
        if rest:
            if self._scanner is not None:
                rest = self._document(rest, whole=True)
            if rest:
                chunks += self._ingest.feed(rest, file=self._file, offset=self._offset)
        if self._scanner is not None:
            self._end_document()
        return chunks + self._ingest.take()

    def _lines(self, data: bytes, chunks: list[Chunk]) -> bytes:
        """Hands on whole lines; returns what comes after, once a document begins."""
        lines = data.split(b"\n")
        # short lines are rare, and found at once where the lines are known
        opening = _opening(data) if min(map(len, lines)) <= _LONGEST_OPENING else -1
        if opening >= 0:
            self._hand_on(data[:opening], chunks)
            self._begin_document(one_line=False)
            return data[opening:]
        end = len(data) - len(lines[-1])
        if end:
            lines[-1] = b""
            self._hand_on(data[:end], chunks, lines)
            data = data[end:]
        if len(data) > LONG_LINE:
            if data.lstrip()[:1] in (b"{", b"["):
                self._begin_document(one_line=True)
                return data
            if len(data) > _TEXT_LIMIT:
                self._hand_on(data, chunks)
                return b""
        self._rest = data
        return b""

    def _hand_on(self, block: bytes, chunks: list[Chunk], lines: list[bytes] | None = None) -> None:
        if block:
            chunks += self._ingest.feed(block, file=self._file, offset=self._offset, lines=lines)
            self._offset += len(block)

    def _begin_document(self, *, one_line: bool) -> None:
        self._scanner = DocumentScanner(offset=self._offset)
        self._one_line = one_line

    def _document(self, data: bytes, *, whole: bool = False) -> bytes:
        """Feeds the scanner up to where the document may have ended; returns what comes after its end.

        `whole`: the last line is complete although it has no newline.
        """
        while data and self._scanner is not None:
            scanner = self._scanner
            if scanner.begun and not self._one_line and not scanner.in_list and _NEXT.match(data):
                self._end_document()  # it was cut off
                break
            end = self._border(data, whole=whole)
            if end == 0:  # wait for the rest of the line
                self._rest = data
                return b""
            self._scan(data[:end])
            data = data[end:]
            if scanner.begun and not scanner.inside:
                self._end_document()
        return data

    def _border(self, data: bytes, *, whole: bool) -> int:
        if self._one_line:
            newline = data.find(b"\n")
            if newline >= 0:
                self._one_line = False
                return newline + 1
            return len(data)
        end = len(data) if whole or len(data) > LONG_LINE else data.rfind(b"\n") + 1
        for match in _BORDER.finditer(data, 0, end):
            if match.end() > 0:
                return match.end()
        return end

    def _scan(self, data: bytes) -> None:
        assert self._scanner is not None
        self._offset += len(data)
        for found in self._scanner.feed(data):
            if isinstance(found, Broken):
                self._broken(found)
                continue
            records = sniff_item(found.raw, found.path, found.head)
            for record in records:
                self._ingest.add(record, file=self._file, offset=found.offset)

    def _end_document(self) -> None:
        assert self._scanner is not None
        for found in self._scanner.close():
            if isinstance(found, Broken):
                self._broken(found)
        self._scanner = None
        self._one_line = False

    def _broken(self, part: Broken) -> None:
        self._ingest.add_reject(part.raw, part.reason, file=self._file, offset=part.offset, length=part.length)


def _opening(data: bytes) -> int:
    """Where a line that is only an opening bracket begins; -1 if there is none."""
    found = [0] if data.startswith(tuple(needle[1:] for needle in _OPENINGS)) else []
    found += [at + 1 for needle in _OPENINGS if (at := data.find(needle)) >= 0]
    return min(found, default=-1)
