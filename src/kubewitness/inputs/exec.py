"""Input `exec`: the lines that a command writes, each time it runs.

The command runs in /bin/sh with our rights; whoever may write the configuration may do what we may. Source of keys and
behaviour: Fluent Bit's manual, "Exec".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Mapping

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Sink
from kubewitness.errors import Finished, UsageError
from kubewitness.formats.ingest import LINE_LIMIT
from kubewitness.inputs.made import LineCutter, RecordChunks, json_of, put_whole, text_of
from kubewitness.parsers.library import Library, asked

_log = logging.getLogger(__name__)

KEYS = (
    Key("command", doc="what /bin/sh is to run; its standard error goes to ours"),
    Key("parser", doc="name of a parser for each line; a line that it does not fit, and every line without one, is "
        "`{\"exec\": LINE}`"),
    Key("interval_sec", "int", "1", "seconds from one run's beginning to the next one's; while it still runs, no other "
        "is begun"),
    Key("interval_nsec", "int", "0", "and nanoseconds"),
    Key("buf_size", "size", "4096", "accepted, without effect: a line may have 16 MB, and is one record"),
    Key("oneshot", "bool", "false", "runs once, at the start"),
    Key("exit_after_oneshot", "bool", "false", "runs once, and when it has ended and all is delivered, so do we"),
    Key("propagate_exit_code", "bool", "false", "with the command's exit code, or 128 and the signal's number; needs "
        "`exit_after_oneshot`"),
    Key("cluster", default="default", doc="name in the store"),
)  # fmt: skip

_BLOCK = 64 * 1024
#: seconds that a command has to end after SIGTERM
_PATIENCE = 2.0


class Exec:
    """Ends after one run with `oneshot`; otherwise never."""

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        library: Library | None = None,
    ) -> None:
        opts = Options("exec", options, KEYS)
        self.name = opts.text("alias") or f"exec/{opts.text('tag')}"
        self._command = opts.text("command").strip()
        if not self._command:
            raise UsageError("exec: 'command' is missing")
        self._exits = opts.flag("exit_after_oneshot")
        self._propagates = opts.flag("propagate_exit_code")
        if self._propagates and not self._exits:
            raise UsageError("exec: 'propagate_exit_code' needs 'exit_after_oneshot'")
        self._once = opts.flag("oneshot") or self._exits
        self._every = opts.number("interval_sec") + opts.number("interval_nsec") / 1e9 or 1.0
        name = opts.text("parser").strip()
        self._parser = asked("exec", "parser", name, (library or Library()).parser) if name else None
        self._chunks = RecordChunks("exec", opts.text("tag"), cluster=opts.text("cluster"), keyed=keyed)
        self._state = "starting"
        self._records = self._not_parsed = self._runs = self._failed = 0
        self._code = 0

    def health(self) -> Mapping[str, object]:
        return {
            "state": self._state,
            "records": self._records,
            "not_parsed": self._not_parsed,
            "runs": self._runs,
            "failed_runs": self._failed,
            "exit_code": self._code,
        }

    async def run(self, sink: Sink) -> None:
        clock = asyncio.get_running_loop().time
        next_at = clock() + (0 if self._once else self._every)
        while True:
            self._state = "waiting"
            await asyncio.sleep(max(0.0, next_at - clock()))
            next_at = max(next_at + self._every, clock())
            self._state = "running"
            self._ended(await self._run(sink))
            if self._once:
                break
        self._state = "ended"
        if self._exits:
            raise Finished(
                f"one-shot command exited with {self._code}, terminating", self._code if self._propagates else 0
            )

    def _ended(self, code: int) -> None:
        """Says it once when a command begins to fail, and not again each time."""
        code = code if code >= 0 else 128 - code
        if code and code != self._code:
            _log.warning("%s: the command ended with %d", self.name, code)
        self._runs += 1
        self._failed += code != 0
        self._code = code

    async def _run(self, sink: Sink) -> int:
        """Runs it to its end; returns what it ended with, as asyncio tells."""
        process = await asyncio.create_subprocess_shell(
            self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines = LineCutter(LINE_LIMIT)
        try:
            while block := await process.stdout.read(_BLOCK):
                await self._put(sink, lines.feed(block))
            await self._put(sink, lines.close())
            return await process.wait()
        finally:
            await _end(process)

    async def _put(self, sink: Sink, lines: list[bytes]) -> None:
        now = time.time_ns()
        for line in lines:
            parsed = self._parser.parse(line) if self._parser is not None else None
            if parsed is not None:
                self._chunks.add(json_of(parsed.fields), parsed.time_ns if parsed.time_ns is not None else now)
                continue
            self._not_parsed += self._parser is not None
            self._chunks.add(json_of({"exec": text_of(line)}), now)
        chunks = self._chunks.take()
        if chunks:
            self._records += (await put_whole(sink, chunks, self.name)).stored


async def _end(process: asyncio.subprocess.Process) -> None:
    """The command, and what it has begun, at a stop."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
