"""The contract of a pipeline's parts, on one page.

An **input** captures. It builds batches (chunks and the positions after them) and gives them to its
`Sink`; when `put` returns, the batch is durable and only then may the source be acknowledged (HTTP 200,
advanced position). An **output** delivers. It is given chunks in order of their journal sequence, at
least once; when `write` returns, the engine moves that output's durable cursor. Between them a **filter**
leaves out, changes or retags records before they are durable; a **parser** takes one record's bytes apart,
and knows nothing else. Retry, batching, queueing, dedupe, limits and shutdown live in the engine, not in
the parts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from kubewitness.errors import KubewitnessError
from kubewitness.record import Chunk


@dataclass(frozen=True, slots=True)
class Batch:
    """What an input hands over at once: committed in one transaction, or not at all."""

    chunks: Sequence[Chunk]
    #: where this input goes on after a restart, by name; opaque bytes that only the input reads; b"" removes it
    positions: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch. `duplicates` were recognised by their keys and not stored again."""

    stored: int
    duplicates: int


class Sink(Protocol):
    """Where an input puts what it captured."""

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        """Makes the batch durable.

        At the journal's size limit: waits for room if `wait`, else raises `errors.Full` at once.
        """
        ...

    async def position(self, name: str) -> bytes | None:
        """The last durable position of that name."""
        ...


class Input(Protocol):
    """One source. Inner order of every input: keys (options), start, the loop apart from its logic, stop."""

    name: str

    async def run(self, sink: Sink) -> None:
        """Captures until cancelled. Ends by itself only when the source has a definite end.

        Raises `errors.UsageError` for what a person must mend, `errors.Finished` when the whole pipeline's work is done
        with it; everything else is retried inside.
        """
        ...

    def health(self) -> Mapping[str, object]:
        """For `status` and /metrics: numbers and strings (connected, last_record_us, lag_bytes, errors, ...)."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An input that counts more than records and bytes, as Fluent Bit's plugin of its name does."""

    def counted(self) -> Mapping[str, int]:
        """What -> how many since it was made."""
        ...


class Filter(Protocol):
    """One step between inputs and the journal, for the chunks whose tag matches.

    Pure but for its own state. A record that it did not change keeps its bytes; one that it left out is the user's
    choice, and counted by the engine. What it cannot read it lets pass.
    """

    name: str

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        """What is left of a chunk, in order. A chunk with another tag goes through the filters from the first one."""
        ...

    def health(self) -> Mapping[str, object]:
        """For `status` and /metrics: numbers of its own (changed, unread, ...)."""
        ...


class Settling(Protocol):
    """A filter whose state depends on what has been taken in: a batch that was refused comes again."""

    def settle(self) -> Callable[[bool], None]:
        """Called when a batch went through the filters; what it returns is called with whether the batch is durable."""
        ...


class Holding(Protocol):
    """A filter that holds records back until more have come. What it holds is committed like a position, in the
    transaction of the batch that it came with: a crash neither loses it nor brings it twice."""

    def held(self) -> bytes:
        """All that it holds, b"" for nothing; opaque bytes that only the filter reads."""
        ...

    def restore(self, held: bytes) -> None:
        """From now on exactly this is held: after a start, and when a batch was not taken."""
        ...

    def expire(self, *, everything: bool = False) -> Sequence[Chunk]:
        """What waited long enough, or all of it."""
        ...


class Serving(Protocol):
    """A filter that learns elsewhere what it says of records. The engine runs `serve` beside the inputs, and asks
    `missing` about each chunk before `apply`, which itself waits for nothing."""

    async def serve(self) -> None:
        """Learns until cancelled. What cannot be reached now is tried again inside."""
        ...

    def missing(self, chunk: Chunk) -> Awaitable[None] | None:
        """None when all is known that `apply` needs for this chunk; else what ends when it is, or when it has been
        waited for long enough. Only the input that put the chunk waits."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """A chunk with its place in the journal; `seq` grows strictly and identifies the chunk for ever."""

    seq: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Refusal:
    """Records that the far side will never take, and why."""

    delivery: Delivery
    reason: str


class Partly(KubewitnessError):
    """Some of what was given is through. `left` may be later, `refused` never.

    `after`: seconds to wait at least, if the far side says so; 0: nothing is to be waited for.
    """

    def __init__(
        self,
        message: str,
        *,
        left: Sequence[Delivery] = (),
        refused: Sequence[Refusal] = (),
        after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.left = left
        self.refused = refused
        self.after = after


class Output(Protocol):
    """One destination.

    It may have more: `batch_bytes` is how much it is given at once, about; `async def start()` is called once, before
    the first `write`; `def health()` gives numbers of its own.
    """

    name: str

    def wants(self, chunk_table: str, tag: str) -> bool:
        """Whether chunks of this table and tag are routed here."""
        ...

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        """Delivers. May see the same delivery again.

        Raises `errors.Retry` when it may work later, `errors.Refused` when it never will, `Partly` when it knows which
        records are through and which are not; the engine waits, halves, sets aside.
        """
        ...

    async def close(self) -> None:
        """Flushes and releases what it holds."""
        ...


class Parsed(NamedTuple):
    """What a parser made of a record."""

    fields: dict[str, Any]
    #: nanoseconds since 1970 UTC, when the parser was asked for a time and found it
    time_ns: int | None


class Parser(Protocol):
    """Bytes to fields. Pure, and never raises: what does not match is None, and the caller keeps it as it was."""

    name: str

    def parse(self, raw: bytes) -> Parsed | None:
        """The fields of one record, without its newline."""
        ...
