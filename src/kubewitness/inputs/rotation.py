"""A log file and what it was rotated to, read as one stream of whole lines. No threads, no clock of its own.

What may happen to the file, and what is done:

- renamed, and a new one made in its place (kube-apiserver: audit.log -> audit-<time>.log; logrotate: audit.log.1):
  the old one is read to its end through its open handle, and watched for `rotate_wait` seconds more for a writer
  that has not noticed; then the new one. Files made and rotated away between two looks, or while nobody looked
  (a restart), are found in the folder by their names and times.
- copied and cut to nothing (copytruncate): noticed by its size or its first bytes; what had not been read yet is
  read from the copy, which is told by its first bytes.
- compressed to `.gz` after its rotation, before it was read to its end: read on in the compressed one, which is told
  by its first bytes, unpacked.
- removed: read to the end as long as it is open.
- gone for a moment (a network file system that shows a rename late): looked for during `lost_wait` seconds.
- not there yet: waited for.

A file is known by inode and by a fingerprint of its first bytes (an inode is reused, a copy has another). Position:
offset of the first byte not yet handed over, in every file that is not finished.
"""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from kubewitness.inputs.forwards import Forwards
from kubewitness.inputs.gunzip import Gunzip
from kubewitness.inputs.recode import Recoded
from kubewitness.inputs.rotated_file import (
    BLOCK,
    Block,
    OpenFile,
    Position,
    Saved,
    fingerprint,
    head_of,
    open_if_there,
    opened_if_there,
    pread,
    stat_of,
)
from kubewitness.inputs.rotated_names import TRIES, RotatedNames

__all__ = ["BLOCK", "Block", "RotatedFile"]

#: file systems stamp with the kernel's tick (1 to 10 ms), some only whole seconds
_CLOCK_GRAIN_NS = 2_000_000_000
#: finished files that are remembered
_REMEMBERED = 64
#: of a line that is too long, this much is kept
_LONG_KEPT = 64 * 1024


_decoder = msgspec.json.Decoder(Position)


class RotatedFile:
    """`next_block(now)` until it gives None; `position()` is what to keep together with what was read so far."""

    def __init__(
        self,
        path: str | Path,
        saved: bytes | None,
        *,
        rotate_wait: float = 5.0,
        lost_wait: float = 0.0,
        line_limit: int = 16 * 1024 * 1024,
        long_kept: int = 0,
        first: Literal["head", "end", "rotated"] = "head",
        encoding: str = "",
    ) -> None:
        """`first`: where to begin without a position: at the head of the file, at its end, or with what was rotated.
        `encoding`: of files that are not in UTF-8, a name of `recode.UNICODE`; offsets are those of the text in UTF-8.
        """
        self.path = Path(path).expanduser().absolute()
        self._rotate_wait = rotate_wait
        self._lost_wait = lost_wait
        self._line_limit = line_limit
        self._long_kept = long_kept or _LONG_KEPT
        self._encoding = encoding
        self._names = RotatedNames(self.path).all
        self._files: list[OpenFile] = []
        self._done: list[Saved] = []
        self._floor_ns = 0
        #: inode of what has the file's name now; -1 as long as nothing has
        self._live = -1
        self._folder_ns = -1
        self._again = False
        #: files of the position that are not there (yet), and when they were first missed
        self._missing: list[tuple[Saved, float]] = []
        #: what could not be found again: (inode, offset) of files that went away before they were read to their end
        self.lost: list[tuple[int, int]] = []
        self.truncations = 0
        #: files that were opened, and how often the name got another one
        self.opened = self.rotations = 0
        position = None
        if saved is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                position = _decoder.decode(saved)
        if position is not None:
            self._resume(position)
        elif first != "rotated":
            self._start_here()
            if first == "end":
                self._skip_to_end()

    # --- the stream --------------------------------------------------------------------------------------------------

    def next_block(self, now: float, *, final: bool = False) -> Block | None:
        """More lines, oldest file first; None when there is nothing new. `now`: seconds of any steady clock.

        `final`: no more will be written; what stands at the end without a newline is a line, too.
        """
        while True:
            self._again = False
            for file in list(self._files):
                file.grew = file.grew or now
                block = self._read(file, now)
                if block is not None:
                    file.grew = now
                    return block
                if file is not self._files[-1] and (tail := self._end(file, now)) is not None:
                    return tail  # while newer ones keep coming, too: a file that was read must not stay open
            if self._search(now, final=final) or self._look(now) or self._again:
                continue
            for file in list(self._files):
                if (tail := self._end(file, now, final=final)) is not None:
                    return tail
            return None

    def _end(self, file: OpenFile, now: float, *, final: bool = False) -> Block | None:
        """Closes a file that was read and that nobody has written to for `rotate_wait`; gives its last line first."""
        # nobody writes to a compressed file any more
        wait = 0.0 if file.name.endswith(".gz") else self._rotate_wait
        superseded = file.inode != self._live and now - file.grew >= wait
        tail = file.tail(self._line_limit) if superseded or final else None
        if tail is None and superseded:
            self._finish(file)
        return tail

    def position(self) -> bytes:
        missing = [saved for saved, _ in self._missing]
        files = [f.saved() for f in self._files]
        return msgspec.json.encode(Position([*missing, *files], self._done, self._floor_ns))

    def forget_removed(self) -> None:
        """Of a log whose name is gone: only what is still there under another name will be looked for again."""
        for file in [file for file in self._files if not os.fstat(file.handle).st_nlink]:
            self._files.remove(file)
            os.close(file.handle)

    def lag(self) -> int:
        """Bytes that are there and have not been read."""
        total = 0
        for file in self._files:
            if file.unpacked:
                continue  # how large its contents are is known at its end
            with contextlib.suppress(OSError):
                total += max(0, os.fstat(file.handle).st_size - file.offset)
        return total

    @property
    def found(self) -> bool:
        """Whether there is a file at all."""
        return bool(self._files)

    @property
    def open_files(self) -> int:
        return len(self._files)

    @property
    def has_rotated(self) -> bool:
        """Whether there are files that it was rotated to."""
        return len(self._names()) > 1

    def rotated_within(self, seconds: float) -> bool:
        """Whether a file of this log was renamed or compressed so lately: its name may be missing for a moment."""
        since = time.time() - seconds
        found = (stat_of(name) for name in self._names())
        return any(stat is not None and stat.st_ctime > since for stat in found)

    def close(self) -> None:
        for file in self._files:
            os.close(file.handle)
        self._files = []

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, file: OpenFile, now: float) -> Block | None:
        stat = file.changed()
        if stat is None:
            return None
        if file.is_cut(stat):
            self._truncated(file, now)
            return None
        return file.lines(stat, self._line_limit, self._long_kept)

    def _file(
        self, name: Path, handle: int, stat: os.stat_result, saved: Saved | None = None, *, grew: float = 0.0
    ) -> OpenFile:
        unpacked: Forwards | None = Gunzip(handle) if name.suffix == ".gz" else None
        if self._encoding:
            unpacked = Recoded(unpacked.pread if unpacked else partial(pread, handle), self._encoding)
        self.opened += 1
        file = OpenFile(str(name), handle, stat.st_ino, grew=grew, unpacked=unpacked)
        if saved is not None:
            file.offset, file.print, file.print_bytes = saved.offset, saved.print, saved.print_bytes
            file.mtime_ns = saved.mtime_ns
        return file

    # --- which files -------------------------------------------------------------------------------------------------

    def _look(self, now: float) -> bool:
        """Takes up files that are new. Two stats as long as nothing in the folder was made, renamed or removed."""
        stat = stat_of(self.path)
        if stat is not None:
            self._live = stat.st_ino
        folder = stat_of(self.path.parent)
        folder_ns = folder.st_mtime_ns if folder is not None else -1
        if folder_ns == self._folder_ns and (stat is None or any(f.inode == stat.st_ino for f in self._files)):
            return False
        before = len(self._files)
        self._take_up(now)
        # A folder that changes again within the clock's grain would look the same: look until it has been quiet.
        self._folder_ns = folder_ns if abs(time.time_ns() - folder_ns) > _CLOCK_GRAIN_NS else -1
        return len(self._files) > before

    def _take_up(self, now: float) -> None:
        """Every file of this log that is neither known nor older than what is known, from its beginning."""
        for tries in range(TRIES):
            found = self._opened(last=tries + 1 == TRIES)
            if found is not None:
                break
        for name, handle in found or ():
            stat = os.fstat(handle)
            live = name == self.path
            known = (stat.st_mtime_ns < self._floor_ns and not live) or self._is_known(handle, name, stat, live=live)
            if known:
                os.close(handle)
                continue
            self.rotations += live and bool(self._files)
            self._files.append(self._file(name, handle, stat, grew=now))
        self._files.sort(key=lambda file: file.inode == self._live)

    def _opened(self, *, last: bool) -> list[tuple[Path, int]] | None:
        """The files as they were at one moment, oldest first; None when one was rotated, compressed or removed
        meanwhile: what is taken up later would be read behind what is newer. `last`: then it is as it is."""
        before = stat_of(self.path)
        if before is not None:
            self._live = before.st_ino
        found: list[tuple[Path, int]] = []
        for name in self._names():
            handle = open_if_there(name)
            if handle is not None:
                found.append((name, handle))
            moved = (
                (handle is None or before is None or os.fstat(handle).st_ino != before.st_ino)
                if name == self.path
                else handle is None
            )
            if moved and not last and not (name == self.path and handle is None and before is None):
                for _, opened in found:
                    os.close(opened)
                return None
        return found

    def _is_known(self, handle: int, name: Path, stat: os.stat_result, *, live: bool) -> bool:
        if any(file.inode == stat.st_ino for file in self._files):
            return True
        if not live and any(one.inode == stat.st_ino and one.mtime_ns == stat.st_mtime_ns for one in self._done):
            return True
        head = head_of(handle, name)
        for known in (*self._done, *(file.saved() for file in self._files)):
            same_start = bool(known.print_bytes) and fingerprint(head, known.print_bytes)[0] == known.print
            if same_start and (not live or known.inode == stat.st_ino):
                if not live and known in self._done:
                    # compressed since; it need not be unpacked at each look
                    self._done[self._done.index(known)] = msgspec.structs.replace(
                        known, inode=stat.st_ino, mtime_ns=stat.st_mtime_ns
                    )
                return True
        return False

    def _start_here(self) -> None:
        """First sight: the live file from its beginning; what was rotated away before is left to `import`."""
        for name in self._names()[:-1]:
            with opened_if_there(name) as handle:
                if handle is not None:
                    stat = os.fstat(handle)
                    head = head_of(handle, name)
                    start = fingerprint(head, len(head))
                    self._remember(Saved(stat.st_ino, *start, stat.st_size, stat.st_mtime_ns))
                    self._floor_ns = max(self._floor_ns, stat.st_mtime_ns)

    def _skip_to_end(self) -> None:
        """The last line that is not complete yet is read whole."""
        handle = open_if_there(self.path)
        if handle is None:
            return
        stat = os.fstat(handle)
        file = self._file(self.path, handle, stat)
        if file.unpacked:
            at = 0
            while data := file.pread(BLOCK, at):
                file.offset = at + data.rfind(b"\n") + 1 if b"\n" in data else file.offset
                at += len(data)
        else:
            begin = max(0, stat.st_size - self._line_limit)
            file.offset = begin + os.pread(handle, self._line_limit, begin).rfind(b"\n") + 1
        file.remember_start()
        self._files.append(file)
        self._live = stat.st_ino

    def _resume(self, position: Position) -> None:
        self._done = position.done
        self._floor_ns = position.floor_ns
        for saved in position.files:
            file = self._find_again(saved)
            if file is None:
                self._floor_ns = max(self._floor_ns, saved.mtime_ns)
                self._missing.append((saved, 0.0))
            else:
                self._files.append(file)
        if not self._lost_wait:
            self._give_up(0.0)

    def _search(self, now: float, *, final: bool) -> bool:
        """Looks again for files that were not there. Whether one was found."""
        found = False
        for entry in list(self._missing):
            saved, since = entry
            file = self._find_again(saved)
            self._missing.remove(entry)
            if file is None:
                self._missing.append((saved, since or now))
            else:
                self._files.insert(0, file)
                found = True
        self._give_up(float("inf") if final else now)
        return found

    def _give_up(self, now: float) -> None:
        for entry in list(self._missing):
            saved, since = entry
            if now - since >= self._lost_wait:
                self._missing.remove(entry)
                self.lost.append((saved.inode, saved.offset))

    def _find_again(self, saved: Saved) -> OpenFile | None:
        """The file of a position: by inode and first bytes, else a copy by its first bytes alone."""
        copy = None
        for name in reversed(self._names()):
            handle = open_if_there(name)
            if handle is None:
                continue
            stat = os.fstat(handle)
            same_inode = stat.st_ino == saved.inode
            taken = any(f.inode == stat.st_ino for f in self._files)
            if not taken and (same_inode or (saved.print_bytes and copy is None)) and self._fits(handle, name, saved):
                file = self._file(name, handle, stat, saved)
                if same_inode:
                    if copy is not None:
                        os.close(copy.handle)
                    return file
                copy = file
            else:
                os.close(handle)
        return copy

    def _fits(self, handle: int, name: Path, saved: Saved) -> bool:
        """Whether a file begins with the bytes that a position speaks of, and reaches as far."""
        if fingerprint(head_of(handle, name), saved.print_bytes)[0] != saved.print:
            return False
        if self._encoding:
            return True  # how long its text is would have to be read
        if name.suffix == ".gz":
            return not saved.offset or bool(Gunzip(handle).pread(1, saved.offset - 1))
        return os.fstat(handle).st_size >= saved.offset

    def _truncated(self, file: OpenFile, now: float) -> None:
        """The file was cut in place. What was not read yet may be in a copy."""
        self.truncations += 1
        old = file.saved()
        self._remember(old)
        if old.print_bytes:
            for name in self._names():
                handle = open_if_there(name)
                if handle is None:
                    continue
                stat = os.fstat(handle)
                known = any(f.inode == stat.st_ino for f in self._files)
                if known or not self._fits(handle, name, old):
                    os.close(handle)
                    continue
                copy = self._file(name, handle, stat, old, grew=now)
                self._files.insert(self._files.index(file), copy)
                break
        file.begin_anew()
        self._again = True

    def _finish(self, file: OpenFile) -> None:
        self._files.remove(file)
        if file.unpacked and file.unpacked.broken:
            self.lost.append((file.inode, file.offset))
        self._remember(file.saved())
        self._floor_ns = max(self._floor_ns, file.mtime_ns)
        os.close(file.handle)

    def _remember(self, saved: Saved) -> None:
        # what is still in the folder must be known as long as it is there
        self._done = [*self._done, saved][-max(_REMEMBERED, len(self._names())) :]
