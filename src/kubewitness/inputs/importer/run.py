"""The import run: files to blocks, blocks to chunks, chunks to the store; counts, progress, an orderly stop."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kubewitness.config.state import StatePaths
from kubewitness.errors import Malformed, UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.importer.detect import shape
from kubewitness.inputs.importer.files import Source, read
from kubewitness.inputs.importer.readers import READERS, Reader, fingerprint
from kubewitness.inputs.importer.targets import Target, open_target
from kubewitness.record import Chunk
from kubewitness.store.writer import COMMIT_BYTES

#: raw bytes that are committed at once; chunks are handed on one at a time, so that memory does not grow with it
BATCH_BYTES = COMMIT_BYTES

_HEAD = 65_536

#: --format -> (reader, or "" for what the file's beginning says; tables that are accepted, or none for all)
FORMATS: dict[str, tuple[str, frozenset[str]]] = {
    "auto": ("", frozenset()),
    "audit": ("", frozenset(("audit",))),
    "events": ("", frozenset(("events", "objects"))),
    "admission": ("", frozenset(("admission",))),
    "cri": ("cri", frozenset()),
    "docker": ("docker", frozenset()),
    "klog": ("klog", frozenset()),
    "json": ("jsonlog", frozenset()),
}


@dataclass
class Summary:
    """What an import did. `read` = stored + duplicates + rejected; `bytes` decompressed; `sources` counts the records
    by what they came in (see formats/sniff.py)."""

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    bytes: int = 0
    seconds: float = 0.0
    sources: Counter[str] = field(default_factory=Counter)
    #: stopped before the end; what was read is stored
    interrupted: bool = False
    #: (file, why) of what could not be read to its end
    failed: list[tuple[str, str]] = field(default_factory=list)


class Progress:
    """What a run tells about its progress; this one keeps it to itself."""

    def begin(self, sources: Sequence[Source]) -> None:
        """The run begins."""

    def file(self, source: Source) -> None:
        """The next file begins."""

    def advance(self, stored_bytes: int, records: int) -> None:
        """`stored_bytes` of all sources are read; `records` so far."""

    def say(self, text: str) -> None:
        """One sentence for the person who waits."""


class Importer:
    """Imports sources into a state. `stop` may be called from a signal handler: the run ends after the current batch,
    and what was read until then is stored. Importing the rest later stores nothing twice."""

    def __init__(
        self,
        paths: StatePaths,
        *,
        cluster: str = "default",
        form: str = "auto",
        progress: Progress | None = None,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        if form not in FORMATS:
            raise UsageError(f"--format {form}: unknown; one of {', '.join(FORMATS)}")
        self._paths = paths
        self._form = form
        self._progress = progress or Progress()
        self._batch_bytes = batch_bytes
        self._stopped = False
        self._ingest = Ingest(cluster, "import", paths.redact_key(), only=FORMATS[form][1])
        self._read_bytes = 0  # as stored, of the files before the current one
        self.summary = Summary()

    def stop(self) -> None:
        """Asks the run to end soon."""
        self._stopped = True

    def run(self, sources: Sequence[Source]) -> Summary:
        """Reads all sources. Raises StateError when the state cannot be used; bad input never ends a run."""
        begin = time.monotonic()
        self._progress.begin(sources)
        with open_target(self._paths, self._progress.say) as target:
            self._ingest.keep_decoded = target.stores
            stream = self._chunks(sources)
            while (first := next(stream, None)) is not None:
                self._store(itertools.chain((first,), stream), target)
            if not self._stopped:
                target.finish()
        done, ingest = self.summary, self._ingest
        done.read, done.bytes, done.sources = ingest.read, ingest.bytes, ingest.kinds
        done.rejected += ingest.rejected
        done.seconds = time.monotonic() - begin
        done.interrupted = self._stopped
        return done

    def _store(self, stream: Iterator[Chunk], target: Target) -> None:
        """One batch. Rejects go after it, so that the counts tell records from rejects."""
        rejects: list[Chunk] = []
        result = target.put(self._batch(stream, rejects))
        self.summary.stored += result.stored
        self.summary.duplicates += result.duplicates
        self.summary.rejected += result.rejected
        if rejects:
            target.put(rejects)

    def _batch(self, stream: Iterator[Chunk], rejects: list[Chunk]) -> Iterator[Chunk]:
        """The next chunks, one at a time as the store takes them, up to the size of a batch."""
        size = 0
        for chunk in stream:
            size += len(chunk.data)
            if chunk.table == "rejects":
                rejects.append(chunk)
            else:
                yield chunk
            if size >= self._batch_bytes:
                return

    def _chunks(self, sources: Sequence[Source]) -> Iterator[Chunk]:
        """All chunks of all sources."""
        for source in sources:
            if self._stopped:
                return
            self._progress.file(source)
            yield from self._file(source)
            self._read_bytes += source.size
            self._progress.advance(self._read_bytes, self._ingest.read)

    def _file(self, source: Source) -> Iterator[Chunk]:
        self._ingest.fallback_us = source.changed_us
        reader: Reader | None = None
        head = b""
        failure = ""
        try:
            for block in read(source, self._counter(source)):
                if reader is None:
                    # enough to tell what it is: the first line, or 64 KiB of it
                    head += block
                    if b"\n" not in head and len(head) < _HEAD:
                        continue
                    block, reader = head, self._reader(source, head)
                yield from reader.feed(block)
                if self._stopped:
                    break
        except Malformed as e:
            failure = str(e)
        if reader is None:
            reader = self._reader(source, head)
            yield from reader.feed(head)
        yield from reader.close()
        if failure:
            self._ingest.add_reject(b"", failure, file=source.name)
            self.summary.failed.append((source.name, failure))
            yield from self._ingest.take()

    def _reader(self, source: Source, head: bytes) -> Reader:
        self._ingest.fingerprint = fingerprint(head)
        name = FORMATS[self._form][0] or shape(head[:_HEAD])
        return READERS[name](self._ingest, source.name)

    def _counter(self, source: Source) -> Callable[[int], None]:
        def taken(stored_bytes: int) -> None:
            self._progress.advance(self._read_bytes + stored_bytes, self._ingest.read)

        return taken
