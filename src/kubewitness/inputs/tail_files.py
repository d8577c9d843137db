"""The files that input `tail` follows: which there are, and how far each was read. No clock of its own, no tasks."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import logging
import os
import re
import stat
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from kubewitness.formats.ingest import LINE_LIMIT, Ingest
from kubewitness.inputs.rotation import BLOCK, Block, RotatedFile
from kubewitness.inputs.tail_lines import LineReader, Lines, Open
from kubewitness.inputs.tail_parsed import ParsedReader, Parsing
from kubewitness.record import Chunk, Origin

_log = logging.getLogger(__name__)

#: read of one file before the next one has its turn, and of all before it is handed over (bytes)
_TURN = 512 * 1024
_BATCH = 2 * 1024 * 1024
#: a file being read that is gone is looked for during so many seconds: some file systems show renames late
_LOST_WAIT = 5.0
_ROTATED = re.compile(r"(.+?)[.-]\d[\d.-]*(?:\.gz)?")
First = Literal["end", "rotated"]


class _Saved(msgspec.Struct, array_like=True):
    """A position: of the file, and the lines begun before it whose end is not there yet."""

    file: bytes
    open: list[Open]


_decoder = msgspec.msgpack.Decoder(_Saved)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files, and how they are read. Times are seconds."""

    paths: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    tag: str = "tail"
    tag_regex: re.Pattern[str] | None = None
    #: of `Lines`; "auto": each file's own, by its first line
    form: str = "text"
    rotate_wait: float = 5.0
    ignore_older: float = 0.0
    close_older: bool = False
    #: of `rotation.RotatedFile`
    encoding: str = ""


@dataclass(slots=True)
class Followed:
    """One file. `path` as it was found, `target` the file behind it."""

    path: str
    target: str
    file: RotatedFile
    reader: LineReader | ParsedReader
    #: when its name was missed first (monotonic); 0 as long as it is there
    gone: float = 0.0
    dirty: bool = True

    def position(self) -> bytes:
        return msgspec.msgpack.encode(_Saved(self.file.position(), list(self.reader.open.values())))


@dataclass(slots=True)
class FileSet:
    """`scan` for new ones, `take_up` each with its position, then `read` again and again."""

    choice: Choice
    lines: Lines
    origin: Origin
    rejects: Ingest
    parsing: Parsing | None = None
    followed: dict[str, Followed] = field(default_factory=dict)
    ignored: int = 0
    skipped: int = 0
    lost: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    _turn: int = 0
    #: of logs that are not followed any more
    _opened: int = 0
    _rotations: int = 0

    # --- which -------------------------------------------------------------------------------------------------------

    def scan(self) -> list[tuple[str, str]]:
        """(path, target) of files that are not followed yet, oldest first."""
        found: dict[str, tuple[float, str]] = {}
        ignored = 0
        for path in sorted(self._matching()):
            target = os.path.realpath(path)
            if target in self.followed or target in found:
                continue
            try:
                status = Path(target).stat()
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            if self.choice.ignore_older and time.time() - status.st_mtime > self.choice.ignore_older:
                ignored += 1
                continue
            found[target] = (status.st_mtime, path)
        self.ignored = ignored
        return [(path, target) for target, (_, path) in sorted(found.items(), key=lambda item: item[1])]

    def _matching(self) -> set[str]:
        found: set[str] = set()
        for pattern in self.choice.paths:
            found.update(glob.glob(pattern, recursive=True))  # noqa: PTH207 - patterns may be absolute
        for pattern in self.choice.excluded:
            found.difference_update(fnmatch.filter(found, pattern))
        # what a file was rotated to is read as a part of it
        return {p for p in found if not ((m := _ROTATED.fullmatch(p)) and m[1] in found)}

    def take_up(self, path: str, target: str, saved: bytes | None, first: First) -> None:
        """Follows it from its position, or without one from `first`."""
        position = None
        if saved:
            with contextlib.suppress(msgspec.MsgspecError):
                position = _decoder.decode(saved)
        try:
            file = RotatedFile(
                target,
                position.file if position is not None else None,
                rotate_wait=self.choice.rotate_wait,
                lost_wait=_LOST_WAIT,
                line_limit=max(self.lines.longest, BLOCK) if self.lines.longest else LINE_LIMIT,
                long_kept=self.lines.longest + 1 if self.lines.cut else 0,
                first=first,
                encoding=self.choice.encoding,
            )
            form = self.lines.form if self.choice.form != "auto" else _form_of(target)
        except OSError as e:
            self._cannot(path, e)
            return
        self.unreadable.pop(path, None)
        origin = msgspec.structs.replace(self.origin, file=path, target=target if target != path else "")
        lines = LineReader(_with_form(self.lines, form), self._tag(path), origin)
        reader = ParsedReader(lines, self.parsing) if self.parsing is not None else lines
        reader.open = {o.stream: o for o in position.open} if position is not None else {}
        self.followed[target] = Followed(path, target, file, reader)

    def _cannot(self, path: str, error: OSError) -> None:
        text = f"{path}: {error.strerror or error}"
        if self.unreadable.get(path) != text:
            _log.warning("%s; trying again", text)
        self.unreadable[path] = text

    def _tag(self, path: str) -> str:
        tag = self.choice.tag
        if self.choice.tag_regex is not None and (match := self.choice.tag_regex.search(path)):
            for name, value in match.groupdict("").items():
                tag = tag.replace(f"<{name}>", value)
        return tag.replace("*", path.strip("/").replace("/", "."))

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, *, final: bool = False) -> tuple[list[Chunk], dict[str, bytes]]:
        """What is new, and the positions after it by target; empty when nothing is. b"" for a file that is finished.

        `final`: no more will be written; what stands at the end without its newline, or its last part, is a line, too.
        """
        chunks: list[Chunk] = []
        positions: dict[str, bytes] = {}
        size = 0
        now = time.monotonic()
        files = list(self.followed.values())
        for i in range(len(files)):
            if size >= _BATCH:
                self._turn += i
                break
            one = files[(self._turn + i) % len(files)]
            try:
                size += self._read(one, now, chunks, final=final)
                if self._is_finished(one, now, chunks):
                    one.file.forget_removed()
                    # what it was rotated to must not be taken for new when its name comes back
                    positions[one.target] = one.position() if one.file.has_rotated else b""
                    self._close(one)
                    continue
            except OSError as e:
                self._cannot(one.path, e)
                continue
            if one.dirty:
                positions[one.target] = one.position()
                one.dirty = False
        return chunks, positions

    def _read(self, one: Followed, now: float, chunks: list[Chunk], *, final: bool) -> int:
        """Adds the chunks of one turn; returns how many bytes that was."""
        size = 0
        while size < _TURN:
            block = one.file.next_block(now, final=final)
            if block is None:
                late = one.reader.finish() if final and one.reader.open else one.reader.idle(now)
                chunks += late
                one.dirty = one.dirty or bool(late)
                break
            size += len(block.data)
            one.dirty = True
            chunks += self._long(one, block) if block.length else one.reader.feed(block)
            self.skipped, one.reader.skipped = self.skipped + one.reader.skipped, 0
        self.lost += len(one.file.lost)
        for inode, offset in one.file.lost:
            _log.warning("%s: a file (inode %d) went away; it was read up to byte %d only", one.path, inode, offset)
        one.file.lost.clear()
        return size

    def _long(self, one: Followed, block: Block) -> list[Chunk]:
        """A line of which only the beginning was read."""
        if self.lines.cut:
            return one.reader.feed(block._replace(length=0))
        if self.lines.longest:
            one.reader.skipped += 1
            return []
        reason = f"longer than a line may be ({LINE_LIMIT} bytes)"
        self.rejects.add_reject(block.data, reason, file=one.path, offset=block.offset, length=block.length)
        return self.rejects.take()

    def _is_finished(self, one: Followed, now: float, chunks: list[Chunk]) -> bool:
        """Whether the file was removed, has been read, and nobody has written to it for a while."""
        target = Path(one.target)
        if target.exists():
            one.gone = 0.0
            if self.choice.close_older and not one.dirty and self._is_old(target):
                self._close(one)  # its position is kept
            return False
        if not one.gone or one.dirty:
            one.gone = now
        if now - one.gone < self.choice.rotate_wait:
            return False
        if one.file.rotated_within(self.choice.rotate_wait):
            one.gone = now  # missed twice in the middle of rotations, and there in between
            return False
        self._read(one, now, chunks, final=True)
        return True

    def _is_old(self, target: Path) -> bool:
        return time.time() - target.stat().st_mtime > self.choice.ignore_older

    def counted(self) -> dict[str, int]:
        """Files opened, closed and rotated, long lines skipped."""
        files = [one.file for one in list(self.followed.values())]
        opened = self._opened + sum(file.opened for file in files)
        return {
            "files_opened": opened,
            "files_closed": opened - sum(file.open_files for file in files),
            "files_rotated": self._rotations + sum(file.rotations for file in files),
            "long_line_skipped": self.skipped,
        }

    def _close(self, one: Followed) -> None:
        self._opened += one.file.opened
        self._rotations += one.file.rotations
        one.file.close()
        self.followed.pop(one.target, None)

    def close(self) -> None:
        for one in list(self.followed.values()):
            self._close(one)

    def lag(self) -> int:
        """Bytes that are there and have not been read."""
        return sum(one.file.lag() for one in list(self.followed.values()))


def _form_of(target: str) -> str:
    with Path(target).open("rb") as file:
        return "docker" if b"{" in file.read(4) else "cri"  # behind what may mark the encoding


def _with_form(lines: Lines, form: str) -> Lines:
    return replace(lines, form=form)


def begun(position: bytes) -> bytes:
    """The position of a file that others have read so far, with no line begun."""
    return msgspec.msgpack.encode(_Saved(position, []))
