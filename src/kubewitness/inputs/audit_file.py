"""The API server's audit file, followed across rotation and restarts (see `rotation` for what may happen to it)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from kubewitness.contracts import Batch, Sink
from kubewitness.formats.ingest import LINE_LIMIT, Ingest
from kubewitness.inputs.rotation import Block, RotatedFile
from kubewitness.record import Chunk

_log = logging.getLogger(__name__)

#: handed over at once: bytes of lines. Frames of this size compress best for their cost.
_BATCH_BYTES = 512 * 1024
#: after an error of the file system, the file is looked at again in so many seconds
_RETRY = 2.0
#: a file that was being read and is gone is looked for during so many seconds: some file systems show renames late
_LOST_WAIT = 30.0


class AuditFile:
    """One file. Reading and decoding happen in a thread, one batch at a time."""

    def __init__(
        self,
        path: str,
        ingest: Ingest,
        position_name: str,
        *,
        poll: float = 0.2,
        rotate_wait: float = 5.0,
        exit_on_eof: bool = False,
    ) -> None:
        self._path = path
        self._ingest = ingest
        self._position_name = position_name
        self._poll = poll
        self._rotate_wait = rotate_wait
        self._exit_on_eof = exit_on_eof
        self._follower: RotatedFile | None = None
        self._health: dict[str, object] = {"state": "starting", "file": path, "last_record_us": 0, "last_error": ""}
        self._told = 0
        self._records = 0
        self._duplicates = 0

    def health(self) -> Mapping[str, object]:
        follower = self._follower
        return {
            **self._health,
            "records": self._records,
            "duplicates": self._duplicates,
            "rejected": self._ingest.rejected,
            "lag_bytes": follower.lag() if follower is not None else 0,
            "truncations": follower.truncations if follower is not None else 0,
            "files_lost": len(follower.lost) if follower is not None else 0,
        }

    async def run(self, sink: Sink) -> None:
        """Follows the file until cancelled; with `exit_on_eof`, until its end."""
        saved = await sink.position(self._position_name)
        while self._follower is None:
            try:
                self._follower = await asyncio.to_thread(self._open, saved)
            except OSError as e:
                await self._failed(e)
        try:
            # From now on a restart knows where we began, even if the file is rotated before its first line.
            await sink.put(Batch([], {self._position_name: self._follower.position()}))
            await self._follow(sink, self._follower)
        finally:
            self._follower.close()
            self._follower = None

    def _open(self, saved: bytes | None) -> RotatedFile:
        return RotatedFile(
            self._path, saved, rotate_wait=self._rotate_wait, lost_wait=_LOST_WAIT, line_limit=LINE_LIMIT
        )

    def _tell_losses(self, follower: RotatedFile) -> None:
        for inode, offset in follower.lost[self._told :]:
            _log.warning(
                "%s: the file read last (inode %d) is gone; what it held after byte %d was not recorded. If it was "
                "moved elsewhere, `kubewitness import` it: nothing is stored twice",
                self._path,
                inode,
                offset,
            )
        self._told = len(follower.lost)

    async def _follow(self, sink: Sink, follower: RotatedFile) -> None:
        while True:
            try:
                chunks, position = await asyncio.to_thread(self._batch, follower)
            except OSError as e:
                await self._failed(e)
                continue
            self._tell_losses(follower)
            if position is not None:
                taken = await sink.put(Batch(chunks, {self._position_name: position}))
                self._records += taken.stored
                self._duplicates += taken.duplicates
                self._health.update(state="following", last_error="", last_record_us=time.time_ns() // 1000)
            elif self._exit_on_eof:
                self._health["state"] = "ended"
                return
            else:
                self._health["state"] = "following" if follower.found else "waiting for the file"
                await asyncio.sleep(self._poll)

    def _batch(self, follower: RotatedFile) -> tuple[list[Chunk], bytes | None]:
        """The chunks of what is there, and the position after them; no position when there is nothing."""
        chunks: list[Chunk] = []
        size = 0
        now = time.monotonic()
        while size < _BATCH_BYTES:
            block = follower.next_block(now, final=self._exit_on_eof)
            if block is None:
                break
            size += len(block.data)
            chunks += self._chunks(block)
        return chunks, follower.position() if size else None

    def _chunks(self, block: Block) -> list[Chunk]:
        if block.length:
            reason = f"longer than a line may be ({LINE_LIMIT} bytes)"
            self._ingest.add_reject(block.data, reason, file=block.file, offset=block.offset, length=block.length)
            return self._ingest.take()
        return self._ingest.feed(block.data, file=block.file, offset=block.offset)

    async def _failed(self, error: OSError) -> None:
        text = f"{self._path}: {error.strerror or error}"
        if text != self._health["last_error"]:
            _log.warning("%s; trying again", text)
        self._health.update(state="failing", last_error=text)
        await asyncio.sleep(_RETRY)
