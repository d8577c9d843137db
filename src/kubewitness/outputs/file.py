"""Output `file`: appends JSON lines of the records' own bytes, fsynced before they count as delivered."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.file_rotation import Rotation
from kubewitness.outputs.lines import json_lines, tagged_lines
from kubewitness.outputs.text_forms import csv_header, csv_lines, delimiter, ltsv_lines, template_lines
from kubewitness.record import Chunk

#: A last line without its newline is looked at for being cut off, up to this many bytes.
_TAIL = 16 * 1024 * 1024
#: what stands before the JSON in a line with a tag, or the beginning of it
_TAGGED = re.compile(rb"[^\s{]+(?:: (?=\[)|:?\Z)")


#: why the keys of dynamic names are not taken
_LATER = "not built yet; `rotate` rotates by size, and a file that is moved away is begun anew"

KEYS = (
    Key("path", doc="directory; empty: the current one"),
    Key("file", doc="name; empty: the record's tag"),
    Key("format", doc="`plain`: JSON lines, the records' own bytes; `csv`, `ltsv`, `template`; else lines of "
        "`TAG: [SECONDS.NANOSECONDS, {...}]`", choices=("plain", "csv", "ltsv", "template")),
    Key("delimiter", doc="between values (csv: a comma, ltsv: a tab); may be `tab`, `space`, `comma`"),
    Key("label_delimiter", doc="between name and value (ltsv: a colon)"),
    Key("csv_column_names", "bool", "false", "a new file begins with the names of the first record's keys"),
    Key("template", default="{time} {message}", doc="a line; `{KEY}` stands for a value, `{time}` for the time"),
    Key("mkdir", "bool", "false", "makes the directory"),
    Key("rotate", "bool", "false", "a file that has `rotate_max_size` is put aside before more is written"),
    Key("rotate_max_size", "size", "100M", "bytes"),
    Key("rotate_max_files", "int", "7", "so many of those put aside are kept of each file"),
    Key("rotate_gzip", "bool", "true", "and packed"),
    Key("enable_strftime", "bool", "false", "only off", refused=_LATER),
    *(Key(name, doc="accepted, without effect: see `enable_strftime`") for name in ("max_dynamic_files",
        "on_missing_field", "on_limit_reached", "fallback_path", "fallback_file")),
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
        self._lines = _form(opts)
        self._header = csv_header if opts.choice("format") == "csv" and opts.flag("csv_column_names") else None
        self._by = delimiter(opts.text("delimiter"), ",")
        self.name = name
        self._directory = Path(opts.text("path") or ".")
        self._file = opts.text("file")
        if opts.flag("mkdir"):
            self._directory.mkdir(parents=True, exist_ok=True)
        if not self._directory.is_dir():
            raise UsageError(f"{what}: directory {self._directory} does not exist; create it, or set `mkdir: on`")
        self._rotation = Rotation(what, opts) if opts.flag("rotate") else None
        self._open: dict[str, int] = {}
        #: held by the thread that writes: it goes on when who waits for it is cancelled
        self._busy = threading.Lock()

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await asyncio.to_thread(self._write, deliveries)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._busy:
            for fd in self._open.values():
                os.close(fd)
            self._open.clear()

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        with self._busy:
            self._append(deliveries)

    def _append(self, deliveries: Sequence[Delivery]) -> None:
        for name, chunks in self._by_file(deliveries):
            path = self._directory / name
            try:
                fd = self._rotated(path)
                parts = [self._lines(chunk) for chunk in chunks]
                if self._header is not None and os.fstat(fd).st_size == 0:
                    parts.insert(0, self._header(chunks[0], self._by))
                _append(fd, parts)
            except OSError as e:
                raise Retry(f"{path}: {e.strerror}") from e

    def _by_file(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[str, list[Chunk]]]:
        """(file name, its chunks), neighbours of one file together."""
        for name, group in groupby(deliveries, lambda d: self._file or d.chunk.tag.replace("/", "_")):
            yield name, [d.chunk for d in group]

    def _rotated(self, path: Path) -> int:
        """The open file, put aside before if it is large enough."""
        fd = self._descriptor(path)
        if self._rotation is None or os.fstat(fd).st_size < self._rotation.size:
            return fd
        os.close(self._open.pop(path.name))
        self._rotation.put_aside(path)
        return self._descriptor(path)

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


def _form(opts: Options) -> Callable[[Chunk], bytes]:
    """A chunk's lines, as the keys say."""
    form = opts.choice("format")
    by, label_by = opts.text("delimiter"), opts.text("label_delimiter")
    if form == "csv":
        return lambda chunk: csv_lines(chunk, delimiter(by, ","))
    if form == "ltsv":
        return lambda chunk: ltsv_lines(chunk, delimiter(by, "\t"), delimiter(label_by, ":"))
    if form == "template":
        return lambda chunk: template_lines(chunk, opts.text("template"))
    return json_lines if form else tagged_lines


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
