"""What outputs' far sides will never take: kept in a file of JSON lines for each output, fsynced, with the reason.

    {"time": "2026-11-27T09:30:00.000000Z", "output": "loki.0", "tag": "kube.shop", "table": "logs", "source": "...",
     "seq": 17, "reason": "400 Bad Request: ...", "raw": "<the record>"}

`raw` is the record's own bytes as text; `raw_base64` stands in its place where they are not UTF-8. Records may hold
secrets: only the owner reads the files.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from kubewitness.contracts import Refusal
from kubewitness.errors import Retry
from kubewitness.formats.recordform import objects
from kubewitness.formats.times import format_us

_encode = msgspec.json.Encoder().encode
_UNSAFE = re.compile(r"[^\w.-]+")


class Rejected:
    """The files in `directory` (made when the first record comes). `limit`: bytes a file may have; None: any.

    With `keep` off nothing is written: what is refused is only counted, as the user chose.
    """

    def __init__(self, directory: Path, *, limit: int | None = None, keep: bool = True) -> None:
        self._directory = directory
        self._limit = limit
        self.keeps = keep

    def path(self, output: str) -> Path:
        return self._directory / f"{_UNSAFE.sub('_', output)}.jsonl"

    def keep(self, output: str, refusals: Sequence[Refusal]) -> None:
        """Durable when it returns. Raises Retry when the disk or the limit has no room for it."""
        if not self.keeps:
            return
        data = b"".join(_lines(output, refusals))
        path = self.path(output)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                self._append(fd, data, path)
            finally:
                os.close(fd)
        except OSError as e:
            raise Retry(f"{path}: {e.strerror}; records that {output} was refused have no place") from e

    def _append(self, fd: int, data: bytes, path: Path) -> None:
        before = os.fstat(fd).st_size
        if self._limit is not None and before + len(data) > self._limit:
            raise Retry(f"{path} has reached storage.rejected.limit; look at it, move it away or raise the limit")
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, before)
            raise


def _lines(output: str, refusals: Sequence[Refusal]) -> Iterator[bytes]:
    now = format_us(time.time_ns() // 1000)
    for refusal in refusals:
        chunk = refusal.delivery.chunk
        head = {"time": now, "output": output, "tag": chunk.tag, "table": chunk.table, "source": chunk.source}
        # what was said of a record beside its bytes belongs to what the far side did not take
        for raw in objects(chunk) if chunk.also else chunk.records():
            yield _encode({**head, "seq": refusal.delivery.seq, "reason": refusal.reason, **_raw(raw)}) + b"\n"


def _raw(raw: bytes) -> dict[str, str]:
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}
