"""Output `file`: appends JSON lines of the records' own bytes, fsynced before they count as delivered."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.lines import json_lines, tagged_lines

#: A last line without its newline is looked at for being cut off, up to this many bytes.
_TAIL = 16 * 1024 * 1024
#: what stands before the JSON in a line with a tag, or the beginning of it
_TAGGED = re.compile(rb"[^\s{]+(?:: (?=\[)|:?\Z)")


KEYS = (
    Key("path", doc="directory; empty: the current one"),
    Key("file", doc="name; empty: the record's tag"),
    Key("format", doc="`plain`: JSON lines, the records' own bytes; else lines of `TAG: [SECONDS.NANOSECONDS, {...}]`",
        choices=("plain",)),
    Key("mkdir", "bool", "false", "makes the directory"),
)  # fmt: skip


class FileOutput:
    """Appends to one file, or one for each tag.

    Delivered at least once: what was written but not acknowledged when the process died is written again. A line that
    was cut off by that is removed when the file is opened next. When the disk is full, what was written of a delivery
    is taken back and tried again.
    """

    def __init__(self, keys: Mapping[str, str], name: str = "file") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self._lines = json_lines if opts.choice("format") else tagged_lines
        self.name = name
        self._directory = Path(opts.text("path") or ".")
        self._file = opts.text("file")
        if opts.flag("mkdir"):
            self._directory.mkdir(parents=True, exist_ok=True)
        if not self._directory.is_dir():
            raise UsageError(f"{what}: directory {self._directory} does not exist; create it, or set `mkdir: on`")
        self._open: dict[str, int] = {}

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await asyncio.to_thread(self._write, deliveries)

    async def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        for name, parts in self._by_file(deliveries):
            path = self._directory / name
            try:
                _append(self._descriptor(path), parts)
            except OSError as e:
                raise Retry(f"{path}: {e.strerror}") from e

    def _by_file(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[str, list[bytes]]]:
        """(file name, its lines), neighbours of one file together."""
        for name, group in groupby(deliveries, lambda d: self._file or d.chunk.tag.replace("/", "_")):
            yield name, [self._lines(d.chunk) for d in group]

    def _descriptor(self, path: Path) -> int:
        """The open file, opened again when somebody moved it away (rotation)."""
        fd = self._open.get(path.name)
        if fd is not None:
            try:
                here, there = os.fstat(fd), path.stat()
                if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                    return fd
            except FileNotFoundError:
                pass
            os.close(self._open.pop(path.name))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            _mend_tail(fd)
        except BaseException:
            os.close(fd)
            raise
        self._open[path.name] = fd
        return fd


def _append(fd: int, parts: Sequence[bytes]) -> None:
    """Writes and fsyncs all, or (an error raised) leaves the file as long as it was."""
    before = os.fstat(fd).st_size
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(fd, view) :]
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, before)
        raise


def _mend_tail(fd: int) -> None:
    """Ends a last line without newline: cut when it is the beginning of one of ours, else given its newline."""
    size = os.fstat(fd).st_size
    if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
        return
    start = max(0, size - _TAIL)
    tail = os.pread(fd, size - start, start)
    line = tail[tail.rfind(b"\n") + 1 :]
    tagged = _TAGGED.match(line)
    if (line.startswith(b"{") or tagged) and not _is_json(line[tagged.end() :] if tagged else line):
        os.ftruncate(fd, size - len(line))
    else:
        os.write(fd, b"\n")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
