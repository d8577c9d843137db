"""An object store's Parquet files for DuckDB: ranged reads, small ones joined and kept for a while.

A file is never changed, so what was read stays right; its size is told by the table's log (`objectsizes`), which
spares a request. DuckDB's own way to object storage is an extension that has to be downloaded; this needs none.
"""

from __future__ import annotations

import datetime
import threading
from collections import OrderedDict
from typing import Any

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from kubewitness.store.objectdir import ObjectDir
from kubewitness.store.objectsizes import SIZES

#: Reads smaller than this (bytes) fetch so much; it is the unit of what is kept.
_BLOCK = 128 * 1024
#: How much is kept, of all files (bytes).
_KEPT = 24 * 1024**2

_blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
_lock = threading.Lock()


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc]
    """Read-only, for `register_filesystem`."""

    protocol = "s3"
    cachable = False

    def __init__(self, root: ObjectDir) -> None:
        super().__init__()
        self._uri = root.uri
        self._start = len(str(ObjectDir(root.uri, "")))

    def _at(self, path: str) -> ObjectDir:
        return ObjectDir(self._uri, self._full(path)[self._start :])

    @staticmethod
    def _full(path: str) -> str:
        return path if path.startswith("s3://") else f"s3://{path}"

    def _stat(self, path: str) -> tuple[int, float]:
        path = self._full(path)
        found = SIZES.get(path)
        if found is None:
            head = self._at(path).head()
            found = SIZES[path] = (head.size, head.modified)
        return found

    def open(self, path: str, mode: str = "rb", **_: Any) -> _Open:
        return _Open(self._at(path), self._full(path), self._stat(path)[0])

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        size, modified = self._stat(path)
        return {"name": path, "size": size, "type": "file", "mtime": modified}

    def size(self, path: str) -> int:
        return self._stat(path)[0]

    def modified(self, path: str) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._stat(path)[1], datetime.UTC)

    def exists(self, path: str, **_: Any) -> bool:
        try:
            self._stat(path)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        return False

    def glob(self, path: str, **_: Any) -> list[str]:
        return [self._full(path)]


class _Open:
    """One open file; one thread at a time."""

    def __init__(self, place: ObjectDir, path: str, size: int) -> None:
        self._place = place
        self._path = path
        self._size = size
        self._pos = 0
        self.closed = False

    def seek(self, to: int, whence: int = 0) -> int:
        self._pos = to + (self._pos if whence == 1 else self._size if whence == 2 else 0)
        return self._pos

    def tell(self) -> int:
        return self._pos

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def read(self, length: int = -1) -> bytes:
        end = self._size if length < 0 else min(self._pos + length, self._size)
        start, self._pos = self._pos, max(self._pos, end)
        if end <= start:
            return b""
        if end - start >= _BLOCK:
            return self._place.read_range(start, end - start)
        first, last = start // _BLOCK, (end - 1) // _BLOCK
        data = b"".join(self._block(n) for n in range(first, last + 1))
        return data[start - first * _BLOCK : end - first * _BLOCK]

    def _block(self, number: int) -> bytes:
        with _lock:
            found = _blocks.get((self._path, number))
            if found is not None:
                _blocks.move_to_end((self._path, number))
                return found
        start = number * _BLOCK
        data = self._place.read_range(start, min(_BLOCK, self._size - start))
        with _lock:
            _blocks[self._path, number] = data
            while len(_blocks) * _BLOCK > _KEPT:
                _blocks.popitem(last=False)
        return data

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> _Open:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
