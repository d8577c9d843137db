"""Input `dummy`: records as the configuration says, at a steady pace; for tests and for looking at a pipeline.

Source of keys and behaviour: Fluent Bit's manual, "Dummy".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Batch, Sink
from kubewitness.errors import UsageError
from kubewitness.formats.jsonstream import Bad, JsonStream
from kubewitness.inputs.made import RecordChunks

KEYS = (
    Key("dummy", default='{"message":"dummy"}', doc="the record, a JSON object; of several, one after the other, each "
        "becomes a record"),
    Key("metadata", default="{}", doc="what comes beside it, a JSON object (stdout's own notation shows it)"),
    Key("samples", "int", "0", "so many times, and then no more; 0: without end"),
    Key("copies", "int", "1", "so many records each time"),
    Key("rate", "int", "1", "times a second"),
    Key("interval_sec", "int", "0", "seconds between two times; with it or `interval_nsec`, `rate` has no effect"),
    Key("interval_nsec", "int", "0", "and nanoseconds"),
    Key("start_time_sec", default="-1", doc="what the clock is taken to show at the start, seconds since 1970; -1: "
        "the time it is"),
    Key("start_time_nsec", default="-1", doc="and nanoseconds"),
    Key("fixed_timestamp", "bool", "false", "all records have the first one's time"),
    Key("flush_on_startup", "bool", "false", "the first ones at once, not after the first interval"),
    Key("test_hang_on_exit", "bool", "false", "only false", refused="it makes the process hang at its end"),
    Key("cluster", default="default", doc="name in the store"),
)  # fmt: skip

#: times that are made up for when the process was late; what is older is left out, as a clock's ticks are (seconds)
_BEHIND = 1.0


class Dummy:
    """Ends after `samples` times; otherwise never."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("dummy", options, KEYS)
        self.name = opts.text("alias") or f"dummy/{opts.text('tag')}"
        self._records = _objects(opts, "dummy")
        metadata = _objects(opts, "metadata") if opts.text("metadata").strip() else []
        self._metadata = metadata[0].decode() if metadata and metadata[0] != b"{}" else ""
        self._samples, self._copies = opts.number("samples"), opts.number("copies")
        self._every = opts.number("interval_sec") + opts.number("interval_nsec") / 1e9 or 1 / max(
            1, opts.number("rate")
        )
        seconds, nanoseconds = _number(opts, "start_time_sec"), _number(opts, "start_time_nsec")
        self._start_ns = None if seconds < 0 and nanoseconds < 0 else max(0, seconds) * 10**9 + max(0, nanoseconds)
        self._fixed = opts.flag("fixed_timestamp")
        self._at_once = opts.flag("flush_on_startup")
        self._chunks = RecordChunks("dummy", opts.text("tag"), cluster=opts.text("cluster"), keyed=keyed)
        self._times = self._given = 0
        self._state = "starting"

    def health(self) -> Mapping[str, object]:
        return {"state": self._state, "records": self._given}

    async def run(self, sink: Sink) -> None:
        clock = asyncio.get_running_loop().time
        self._state = "running"
        begun_ns = time.time_ns()
        next_at = clock() + (0 if self._at_once else self._every)
        while not self._samples or self._times < self._samples:
            await asyncio.sleep(max(0.0, next_at - clock()))
            due = max(1, int((clock() - next_at) / self._every) + 1)
            if due * self._every > _BEHIND + self._every:
                next_at, due = clock(), 1
            if self._samples:
                due = min(due, self._samples - self._times)
            self._make(due, begun_ns)
            taken = await sink.put(Batch(self._chunks.take()))
            self._times += due
            self._given += taken.stored
            next_at += due * self._every
        self._state = "ended"

    def _make(self, times: int, begun_ns: int) -> None:
        now = time.time_ns()
        begin = self._start_ns if self._start_ns is not None else begun_ns
        stamp = begin if self._fixed else begin + now - begun_ns
        for _ in range(times * self._copies):
            for record in self._records:
                self._chunks.add(record, stamp, metadata=self._metadata)


def _objects(opts: Options, name: str) -> list[bytes]:
    """The JSON objects of a text, each on one line."""
    text = opts.text(name).strip()
    stream = JsonStream()
    found = [*stream.feed(text.encode()), *stream.close()]
    objects = [one for one in found if not isinstance(one, Bad) and one[:1] == b"{"]
    if not objects or len(objects) < len(found):
        reason = next((f": {one.reason}" for one in found if isinstance(one, Bad)), "")
        raise UsageError(f"dummy: {name!r} is {text!r}; it takes a JSON object{reason}")
    return objects


def _number(opts: Options, name: str) -> int:
    text = opts.text(name).strip()
    if not text.removeprefix("-").isdecimal():
        raise UsageError(f"dummy: {name!r} is {text!r}; it takes a whole number")
    return int(text)
