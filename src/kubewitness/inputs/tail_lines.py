"""From a log file's blocks to chunks: lines, and the parts of lines that the runtime has split, joined again.

Containerd and CRI-O split what a container writes at 16 KB (tag P, the last part F); docker's json-file driver does
so too (a `log` without its newline). Parts of stdout and stderr may alternate, and a line may begin in one file and
end in the next. A block in which nothing is odd becomes a chunk as it is, without a copy.
"""

from __future__ import annotations

import hashlib
import sys
import time
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, count, repeat
from operator import add

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.logs import docker_part
from kubewitness.inputs.rotation import Block
from kubewitness.record import Chunk, Note, Origin

#: a line in parts is cut when it becomes longer (Fluent Bit's multiline_buffer_limit); every piece is kept
JOIN_LIMIT = 2_000_000
CUT = ("line-cut",)
UNFINISHED = ("line-unfinished",)
#: what stands between the time and the text of a CRI line
_PARTS = frozenset((b" stdout P ", b" stderr P "))
_HEADS = _PARTS | {b" stdout F ", b" stderr F "}


class Open(msgspec.Struct, array_like=True):
    """A line whose end has not come yet. Part of the position: what is not handed over must not be passed over."""

    stream: str
    identity: bytes
    offset: int
    #: the parts so far, a newline between them
    raw: bytes


@dataclass(frozen=True, slots=True)
class Lines:
    """What all files of an input have in common. `form` as in `formats.logs`; "text" for lines as they are."""

    form: str = "text"
    cluster: str = "default"
    keyed: bool = True
    skip_empty: bool = False
    limit: int = JOIN_LIMIT
    #: of one line in a file, 0 for any: longer ones are cut there, or left out
    longest: int = 0
    cut: bool = False


@dataclass(slots=True)
class LineReader:
    """One file, and what it was rotated to."""

    how: Lines
    tag: str
    origin: Origin
    open: dict[str, Open] = field(default_factory=dict)
    #: lines left out because they are too long
    skipped: int = 0

    def feed(self, block: Block) -> list[Chunk]:
        """The records that end in this block of whole lines."""
        data = block.data if block.data.endswith(b"\n") else block.data + b"\n"
        lines = data.split(b"\n")
        lines.pop()
        if self.how.longest and max(map(len, lines)) > self.how.longest:
            made = self._one_by_one(block, lines, 0)
            return [] if made is None else [made]
        if self._is_plain(data, len(lines)):
            return [self._plain(block, data, lines, [])]
        chunks = []
        begin, end, parts = self._whole(data, lines)
        if (begin, end) == (0, len(lines)):
            return [self._plain(block, data, lines, parts)]
        if end > begin:
            first = sum(map(len, lines[:begin])) + begin
            middle = lines[begin:end]
            length = sum(map(len, middle)) + len(middle)
            chunks.append(self._one_by_one(block, lines[:begin], 0))
            chunks.append(self._plain(block, data[first : first + length], middle, parts, first))
            chunks.append(self._one_by_one(block, lines[end:], first + length))
        else:
            chunks.append(self._one_by_one(block, lines, 0))
        return [chunk for chunk in chunks if chunk is not None]

    def _one_by_one(self, block: Block, lines: list[bytes], start: int) -> Chunk | None:
        making = _Making(self, block)
        offset = block.offset + start
        for line in lines:
            self._line(making, line, offset)
            offset += len(line) + 1
        return making.chunk()

    def _whole(self, data: bytes, lines: list[bytes]) -> tuple[int, int, list[int]]:
        """The lines (from, to) of a block whose parts follow one another, and which of them go on in the next line.

        Before them are the ends of lines begun earlier, after them is the beginning of one that goes on in the next
        block. (0, 0, []) when the streams alternate within a line, or something else is odd.
        """
        if self.how.form != "cri" or b"\0" in data or b"\r" in data:
            return 0, 0, []
        first = lines[0].find(b" ")
        last = first + 10
        heads = {line[first:last] for line in lines}
        if not heads <= _HEADS:
            return 0, 0, []
        begin, end = 0, len(lines)
        for stream in list(self.open):
            # one line that goes on from the block before; more of them, or others in between, are rare
            mark = b" %b F " % stream.encode()
            while begin < end and lines[begin][first : last - 2] == mark[:-2] and lines[begin][first:last] != mark:
                begin += 1
            if begin == end or lines[begin][first:last] != mark or len(self.open) > 1:
                return 0, 0, []
            begin += 1
        going_on: list[int] = []
        if heads & _PARTS:
            going_on = [i for i, line in enumerate(lines) if line[last - 2 : last - 1] == b"P" and i >= begin]
            while going_on and going_on[-1] + 1 == end:
                end = going_on.pop()
            if any(lines[i][first : last - 2] != lines[i + 1][first : last - 2] for i in going_on):
                return 0, 0, []
            if sum(len(lines[i]) for i in going_on) > self.how.limit:
                return 0, 0, []  # one of them may be too long
        return begin, end, [i - begin for i in going_on]

    def finish(self) -> list[Chunk]:
        """What has no end and will get none: nobody writes any more."""
        making = _Making(self, None)
        for waiting in self.open.values():
            making.add(waiting.raw, waiting.offset, waiting.identity, UNFINISHED)
        self.open = {}
        chunk = making.chunk()
        return [] if chunk is None else [chunk]

    def _is_plain(self, data: bytes, lines: int) -> bool:
        """Whether each line is a record of its own (of CRI, `_whole` tells)."""
        form = self.how.form
        if form == "cri" or self.open or b"\0" in data or b"\r\n" in data:
            return False
        if form == "docker" and data.count(b'\\n","stream":"') != lines:
            return False
        drops_empty = self.how.skip_empty or form not in ("text", "")
        return not drops_empty or not (data.startswith(b"\n") or b"\n\n" in data)

    def _plain(self, block: Block, data: bytes, lines: list[bytes], going_on: list[int], first: int = 0) -> Chunk:
        """Records that follow one another: of each line one, but for those that go on in the next."""
        ends = array("I", map(add, accumulate(map(len, lines)), count()))
        for i in reversed(going_on):
            del ends[i]
        offset = block.offset + first
        keys = b""
        if self.how.keyed:
            starts = array("Q", [offset])
            starts.extend(map(add, ends[:-1], repeat(offset + 1)))
            pairs = array("Q", self.prefix(block.identity)) * (2 * len(ends))
            pairs[1::2] = starts
            keys = pairs.tobytes()
        return self.made(data, ends, keys, offset, {}, lines=not going_on)

    def _line(self, making: _Making, line: bytes, offset: int) -> None:
        clean = line.removesuffix(b"\r").lstrip(b"\0")  # a file cut by copytruncate may begin with a hole
        offset += len(line) - len(line.lstrip(b"\0"))
        if not clean and (self.how.skip_empty or self.how.form not in ("text", "")):
            return
        flags: tuple[str, ...] = ()
        if self.how.longest and len(clean) > self.how.longest:
            if not self.how.cut:
                self.skipped += 1
                return
            clean, flags = clean[: self.how.longest], CUT
        stream, last = self._part(clean)
        waiting = self.open.get(stream)
        if waiting is None:
            if last:
                making.add(clean, offset, making.identity, flags)
            else:
                self.open[stream] = Open(stream, making.identity, offset, clean)
            return
        waiting.raw += b"\n" + clean
        if last or len(waiting.raw) > self.how.limit:
            del self.open[stream]
            making.add(waiting.raw, waiting.offset, waiting.identity, () if last else CUT)

    def _part(self, line: bytes) -> tuple[str, bool]:
        """(stream, whether the line ends here); what is not of the form ends for itself, and waits for nothing."""
        if self.how.form == "cri":
            fields = line.split(b" ", 3)
            if len(fields) >= 3 and fields[1] in (b"stdout", b"stderr"):
                return fields[1].decode(), fields[2][:1] != b"P"
            return "?", True
        if self.how.form == "docker":
            try:
                return docker_part(line)
            except Malformed:
                return "?", True
        return "", True

    def prefix(self, identity: bytes) -> bytes:
        """The first half of the keys of a file's records; the second is the offset."""
        return hashlib.blake2b(self.how.cluster.encode() + b"\0" + identity, digest_size=8).digest()

    def idle(self, now: float) -> list[Chunk]:
        """When the file has no more: nothing here waits for the clock."""
        return []

    def key_at(self, identity: bytes, offset: int) -> bytes:
        """The key of the record that begins there."""
        return self.prefix(identity) + offset.to_bytes(8, sys.byteorder) if self.how.keyed else b""

    def made(
        self, data: bytes, ends: array[int], keys: bytes, offset: int, notes: dict[int, Note], *, lines: bool
    ) -> Chunk:
        return Chunk(
            "logs",
            data=data,
            ends=ends,
            keys=keys,
            cluster=self.how.cluster,
            source="tail",
            tag=self.tag,
            received_us=time.time_ns() // 1000,
            form=self.how.form,
            notes=notes,
            lines=lines,
            origin=msgspec.structs.replace(self.origin, offset=offset),
        )


class _Making:
    """One chunk in the making, record by record."""

    def __init__(self, reader: LineReader, block: Block | None) -> None:
        self._reader = reader
        self.identity = block.identity if block is not None else b""
        self._begin = -1
        self._parts: list[bytes] = []
        self._ends: array[int] = array("I")
        self._keys: list[bytes] = []
        self._notes: dict[int, Note] = {}
        self._prefixes: dict[bytes, bytes] = {}

    def add(self, raw: bytes, offset: int, identity: bytes, flags: tuple[str, ...] = ()) -> None:
        start = self._ends[-1] + 1 if self._ends else 0
        if self._begin < 0:
            self._begin = offset
        if flags or offset != self._begin + start:
            self._notes[len(self._ends)] = Note(offset=offset, flags=flags)
        if self._reader.how.keyed:
            prefix = self._prefixes.get(identity)
            if prefix is None:
                prefix = self._prefixes[identity] = self._reader.prefix(identity)
            self._keys.append(prefix + offset.to_bytes(8, sys.byteorder))
        self._parts.append(raw)
        self._ends.append(start + len(raw))

    def chunk(self) -> Chunk | None:
        if not self._ends:
            return None
        self._parts.append(b"")
        data = b"\n".join(self._parts)
        lines = data.count(b"\n") == len(self._ends)
        return self._reader.made(data, self._ends, b"".join(self._keys), self._begin, self._notes, lines=lines)
