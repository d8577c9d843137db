"""Input `tail`: lines of log files, above all those of containers, across rotation, removal and restarts.

A file is read to its end whatever happens to its name (see `rotation`). At a stop everything that is there is read
once more before the outputs end: a sidecar loses nothing of what its pod's containers wrote before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path

from kubewitness.config.keys import Options
from kubewitness.contracts import Batch, Sink
from kubewitness.errors import UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.tail_files import Choice, FileSet, First, begun
from kubewitness.inputs.tail_keys import KEYS, shape_of
from kubewitness.inputs.tail_lines import Lines
from kubewitness.inputs.tail_takeover import taken_over
from kubewitness.parsers.library import Library
from kubewitness.record import Origin

__all__ = ["KEYS", "Tail"]

_log = logging.getLogger(__name__)

#: seconds between two looks at the files, and at the folders
_POLL = 0.25
_LOOK = 1.0
#: seconds that the last reading may take at a stop
_LAST = 20.0


class Tail:
    """All files of one section."""

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        library: Library | None = None,
    ) -> None:
        """`library`: the parsers that there are; by default those that are bundled."""
        opts = Options("tail", options, KEYS)
        paths = _list(opts.text("path"))
        if not paths:
            raise UsageError("tail: 'path' is missing; for the containers of a node: /var/log/containers/*.log")
        at_stop = opts.text("unfinished_at_stop").lower()
        if at_stop not in ("keep", "deliver"):
            raise UsageError(f"tail: 'unfinished_at_stop' is {at_stop!r}; it takes keep or deliver")
        self.cluster = opts.text("cluster")
        self.name = opts.text("alias") or f"tail/{self.cluster}/{','.join(paths)}"
        # what Fluent Bit counted in a file of another encoding is not what is counted here
        self._db = Path(opts.text("db")) if opts.text("db") and not opts.text("unicode.encoding") else None
        self._deliver = at_stop == "deliver"
        self._exit_on_eof = opts.flag("exit_on_eof")
        self._refresh = opts.seconds("refresh_interval")
        self._first: First = "rotated" if opts.flag("read_from_head") else "end"
        self._later: First = "rotated" if opts.flag("read_newly_discovered_files_from_head") else "end"
        shape = shape_of(opts, library or Library())
        origin = Origin(
            "",
            node=opts.text("node"),
            key=opts.text("key"),
            path_key=opts.text("path_key"),
            offset_key=opts.text("offset_key"),
            fields=shape.fields,
        )
        self._files = FileSet(
            _choice(opts, paths, shape.form),
            _lines(opts, shape.form, keyed),
            origin,
            Ingest(self.cluster, "tail", redact_key, keyed=keyed, tag=opts.text("tag")),
            shape.parsing,
        )
        self._state, self._last_error = "starting", ""
        self._records = self._duplicates = self._last_record_us = 0

    def health(self) -> Mapping[str, object]:
        files = self._files
        return {
            "state": self._state,
            "files": len(files.followed),
            "lag_bytes": files.lag(),
            "records": self._records,
            "duplicates": self._duplicates,
            "rejected": files.rejects.rejected,
            "skipped_long_lines": files.skipped,
            "ignored_older_files": files.ignored,
            "files_lost": files.lost,
            "truncations": sum(one.file.truncations for one in list(files.followed.values())),
            "unreadable_files": sorted(files.unreadable),
            "last_record_us": self._last_record_us,
            "last_error": self._last_error or next(iter(files.unreadable.values()), ""),
        }

    def counted(self) -> Mapping[str, int]:
        return self._files.counted()

    async def run(self, sink: Sink) -> None:
        """Follows until cancelled, and reads what is there to its end before it obeys."""
        stop = asyncio.Event()
        # Not cancelled itself: what was read and is being made durable must be known to be, or not to be.
        work = asyncio.create_task(self._work(sink, stop), name=f"{self.name} reader")
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            try:
                async with asyncio.timeout(_LAST):
                    await work
            except TimeoutError:
                _log.warning("%s: stopped %d bytes before the end of the files", self.name, self._files.lag())
            raise
        finally:
            self._files.close()

    async def _work(self, sink: Sink, stop: asyncio.Event) -> None:
        first: First = self._later if await sink.position(self.name) or await self._take_over(sink) else self._first
        # With it, a restart knows that the files it has no position of are new.
        mark = {self.name: b"1"}
        look_at = 0.0
        while True:
            stopping = stop.is_set()
            if stopping or time.monotonic() >= look_at:
                took = await self._look(sink, first)
                first = self._later
                look_at = time.monotonic() + min(max(_LOOK, 50 * took), max(_LOOK, self._refresh))
            if await self._step(sink, mark, final=self._exit_on_eof or (stopping and self._deliver)):
                mark = {}
                continue
            if stopping or self._exit_on_eof:
                self._state = "ended"
                return
            self._state = "following" if self._files.followed else "waiting for files"
            try:
                async with asyncio.timeout(_POLL):
                    await stop.wait()
            except TimeoutError:
                pass

    async def _take_over(self, sink: Sink) -> bool:
        """At the very first start: goes on where Fluent Bit stopped, if there is a `db` of its. Whether there is."""
        before = await asyncio.to_thread(taken_over, self._db) if self._db else None
        if before is None:
            return False
        positions = {self.name: b"1"}
        for path, target in await asyncio.to_thread(self._files.scan):
            found = await asyncio.to_thread(before.position, target)
            if found is not None:
                positions[self._position(target)] = begun(found)
                _log.debug("%s: %s goes on where Fluent Bit stopped", self.name, path)
        await sink.put(Batch([], positions))
        _log.info(
            "%s: goes on where Fluent Bit stopped in %d files, as %s says", self.name, len(positions) - 1, self._db
        )
        return True

    async def _look(self, sink: Sink, first: First) -> float:
        """Takes up new files; returns the seconds that finding them took."""
        started = time.monotonic()
        found = await asyncio.to_thread(self._files.scan)
        took = time.monotonic() - started
        for path, target in found:
            saved = await sink.position(self._position(target))
            await asyncio.to_thread(self._files.take_up, path, target, saved, first)
        return took

    async def _step(self, sink: Sink, mark: dict[str, bytes], *, final: bool) -> bool:
        """Hands over what is new; whether anything was."""
        chunks, positions = await asyncio.to_thread(self._files.read, final=final)
        if not chunks and not positions and not mark:
            return False
        taken = await sink.put(Batch(chunks, {self._position(t): p for t, p in positions.items()} | mark))
        self._records += taken.stored
        self._duplicates += taken.duplicates
        if chunks:
            self._last_record_us = time.time_ns() // 1000
        return True

    def _position(self, target: str) -> str:
        return f"{self.name}:{hashlib.blake2b(target.encode(), digest_size=8).hexdigest()}"


def _choice(opts: Options, paths: tuple[str, ...], form: str) -> Choice:
    regex = None
    if opts.text("tag_regex"):
        try:
            regex = re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", opts.text("tag_regex")))
        except re.error as e:
            raise UsageError(f"tail: 'tag_regex' is no regular expression: {e}") from e
    return Choice(
        paths,
        _list(opts.text("exclude_path")),
        opts.text("tag") or "tail",
        regex,
        form,
        rotate_wait=opts.seconds("rotate_wait"),
        ignore_older=opts.seconds("ignore_older"),
        encoding=opts.choice("unicode.encoding"),
        close_older=opts.flag("ignore_active_older_files") and opts.seconds("ignore_older") > 0,
    )


def _lines(opts: Options, form: str, keyed: bool) -> Lines:
    skip, cut = opts.flag("skip_long_lines"), opts.flag("truncate_long_lines")
    return Lines(
        form,
        opts.text("cluster"),
        keyed,
        opts.flag("skip_empty_lines"),
        longest=opts.number("buffer_max_size") if skip or cut else 0,
        cut=cut,
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
