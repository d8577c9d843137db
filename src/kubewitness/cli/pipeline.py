"""A configuration that runs, and is replaced by another one while records go on: both ways in share this.

A reload checks the new configuration first. Then inputs end where they are, outputs at the end of what they have begun,
and new ones go on from there: positions, what filters hold, the queue and what each output has of it stay. A
configuration that is refused, or that fails within its first seconds, changes nothing: the one before goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kubewitness.cli import early
from kubewitness.cli.buffers import Buffer, directory_of, place_of
from kubewitness.cli.monitoring import Monitoring
from kubewitness.cli.pipeline_parts import Parts, Service
from kubewitness.config.state import StatePaths
from kubewitness.config.tree import Tree
from kubewitness.contracts import Counting
from kubewitness.errors import StateError, UsageError
from kubewitness.pipeline.counted import CountedSink
from kubewitness.pipeline.feeds import Feed
from kubewitness.pipeline.filtering import FilterSink
from kubewitness.pipeline.rejected import Rejected
from kubewitness.pipeline.supervisor import Supervisor
from kubewitness.web.fluent_bit_health import HealthWindow

log = logging.getLogger("kubewitness.run")

#: seconds in which a new configuration that cannot go on is taken back
_PROBATION = 10.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """One that was read and checked."""

    tree: Tree
    service: Service
    parts: Parts


class Pipeline:
    """Runs the first configuration that `read` gives, and after each `reload` the next. Signals are its own: SIGTERM
    and SIGINT stop it, SIGHUP reloads."""

    def __init__(
        self,
        first: Configuration,
        read: Callable[[], Tree],
        made: Callable[[Tree], Configuration],
        paths: StatePaths,
        *,
        exit_on_eof: bool = False,
        noted: Callable[[Configuration], None] = lambda now: None,
    ) -> None:
        """`read` gives the tree anew, `made` the parts of one, both raise UsageError. `noted` is told of each start."""
        self._now = first
        self._read = read
        self._made = made
        self._paths = paths
        self._exit_on_eof = exit_on_eof
        self._noted = noted
        self._supervisor = Supervisor()
        #: by the name that everybody sees
        self._inputs: dict[str, CountedSink] = {}
        self._next: Configuration | None = None
        #: what goes on if the present one cannot
        self._before: Configuration | None = None
        self._stopping = False
        self._buffer: Buffer | None = None
        self.reloads = 0
        self._monitoring = Monitoring(self, self.health, lambda: self._now.parts.metrics())

    # --- running -----------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Until a stop, or the end of the inputs. Returns what the process ends with: 0, unless an input says otherwise
        (`exec`). Raises UsageError or StateError for what a person must mend."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._caught, number.name, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._caught, "SIGHUP", self.reload)
        with Buffer(place_of(self._now.tree, self._now.service, self._now.parts, self._paths)) as self._buffer:
            if early.came():
                self.reload()
            try:
                while await self._generation_or_the_one_before(self._buffer):
                    pass
            finally:
                self._monitoring.close()
        return self._supervisor.exit_code

    async def _generation_or_the_one_before(self, buffer: Buffer) -> bool:
        """Whether another one follows."""
        try:
            await self._generation(buffer)
        except (UsageError, StateError) as e:
            if self._before is None:
                raise
            log.error("[reload] the new configuration cannot run, the one before goes on: %s", e)
            self._now, self._before, self._next = self._made(self._before.tree), None, None
            self.reloads -= 1
            return True
        if self._next is None:
            return False
        self._before, self._now, self._next = self._now, self._next, None
        return True

    @staticmethod
    def _caught(name: str, then: Callable[[], object]) -> None:
        log.info("[engine] caught signal (%s)", name)
        then()

    def stop(self) -> None:
        if not self._stopping:
            log.warning("[engine] service will shutdown in max %g seconds", self._supervisor.grace)
        self._stopping = True
        self._supervisor.stop()

    async def _generation(self, buffer: Buffer) -> None:
        """From the start of one configuration to its stop, or to where the next goes on."""
        now = self._now
        options = now.service.options
        supervisor = self._supervisor = Supervisor(grace=options.seconds("grace"), retry=_waits(now.service))
        self._noted(now)
        if self._before is None:
            buffer.forget_others(self._outputs(now), now.parts.held, now.tree.path)
        supervisor.add_buffer(buffer.told)
        sink, feed, close = buffer.ends(options.seconds("flush"))
        self._add_inputs(supervisor, now.parts, CountedSink(sink))
        if close is not None:
            supervisor.add_drain(close)
        self._add_outputs(supervisor, now, feed)
        if now.service.monitor is not None:
            supervisor.add_service("monitor", partial(self._monitoring.run, now.service))
        else:
            self._monitoring.close()
        supervisor.yields = self._before is not None
        if supervisor.yields:
            supervisor.add_service("reload", partial(self._proved, supervisor, buffer))
        if self._stopping:
            supervisor.stop()
        elif self._next is not None:  # asked for before this began
            supervisor.hand_over()
        await supervisor.run(until_inputs_end=self._exit_on_eof)
        if self._next is None:
            self._tell_losses(buffer)
            log.info("[engine] service has stopped (%d pending chunks)", buffer.health()["chunks"])

    def _tell_losses(self, buffer: Buffer) -> None:
        """What was in memory and is not delivered, at the very end."""
        for output in self._now.parts.outputs:
            if lost := buffer.lost(output.name, output.wants):
                log.error("%s: %d records were only in memory (storage.type) and are not delivered: those that their "
                          "input does not read again are lost", output.name, lost)  # fmt: skip

    @staticmethod
    def _outputs(now: Configuration) -> list[str]:
        return [output.name for output in now.parts.outputs]

    def _add_inputs(self, supervisor: Supervisor, parts: Parts, sink: CountedSink) -> None:
        filtered = FilterSink(sink, parts.filters, supervisor.fail)
        filters = [parts.filters]
        sinks = [filtered]
        self._inputs = {}
        for source, name, own in zip(parts.inputs, parts.input_names, parts.processors, strict=True):
            filters.append(own)
            sinks.append(FilterSink(filtered, own, supervisor.fail))
            self._inputs[name] = CountedSink(sinks[-1])
            supervisor.add_input(source, self._inputs[name])
            watch = getattr(source, "watch", None)
            if watch is not None:
                watch(supervisor.health, parts.metrics)
        for step in filters:
            supervisor.add_filters(step.health)
            for name, serve in step.services:
                supervisor.add_service(name, serve)
        for held in (s for s in reversed(sinks) if s.holds):
            # what an input's own filters let go still passes the others
            supervisor.add_service("filters", held.run)
            supervisor.add_drain(partial(self._end_of_filters, supervisor, held))

    async def _end_of_filters(self, supervisor: Supervisor, held: FilterSink) -> None:
        after = self._next or self._before
        if supervisor.handing_over and after is not None and held.positions <= after.parts.held:
            await held.keep()
        else:
            await held.finish(supervisor.stopped, supervisor.grace)

    def _add_outputs(self, supervisor: Supervisor, now: Configuration, feed: Feed) -> None:
        rejected = self._rejected(now)
        for output in now.parts.outputs:
            show = getattr(output.output, "show", None)
            if show is not None:
                show(supervisor.health, now.parts.metrics)
            numbers = getattr(output.output, "feed", None)  # of an output that takes no records
            taken = numbers(feed) if numbers is not None else feed
            for serving, serve in output.processors.services if output.processors is not None else ():
                supervisor.add_service(serving, serve)
            supervisor.add_output(
                output,
                taken,
                retry_limit=output.retry_limit,
                rejected=rejected,
                filters=output.processors,
                limit=output.limit,
            )

    def _rejected(self, now: Configuration) -> Rejected:
        options = now.service.options
        directory = options.text("storage.rejected.path")
        return Rejected(
            Path(directory) if directory else directory_of(now.tree, now.service, self._paths) / "rejected",
            limit=options.number("storage.rejected.limit") or None,
            keep=options.flag("storage.keep.rejected"),
        )

    # --- looking -----------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, object]:
        """Of the supervisor."""
        return self._supervisor.health()

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """What went through each part: {"input" | "filter" | "output": {name: {"records": ...}}}, since it was made."""
        parts = self._now.parts
        inputs = {
            name: {"records": sink.records, "bytes": sink.bytes, **_counted(source)}
            for (name, sink), source in zip(self._inputs.items(), parts.inputs, strict=False)
        }
        filters = {name: step for one in parts.all_filters for name, step in one.counts().items()}
        return {"input": inputs, "filter": filters, "output": self._supervisor.delivered()}

    def waiting(self) -> dict[str, int]:
        """Chunks, bytes and their limit between inputs and outputs; `memory`: 1 when they are there and not on the
        disk."""
        assert self._buffer is not None
        return {**self._buffer.health(), "memory": int(self._buffer.place.memory)}

    @property
    def window(self) -> HealthWindow:
        """Failures of the last `hc_period` seconds."""
        return self._monitoring.window

    def paused(self) -> dict[str, bool]:
        """By input: whether it waits for room."""
        return {name: sink.paused for name, sink in self._inputs.items()}

    # --- reload ------------------------------------------------------------------------------------------------------

    @property
    def may_reload(self) -> bool:
        return self._now.service.options.flag("hot_reload")

    @property
    def reloading(self) -> bool:
        return self._next is not None

    def reload(self) -> bool:
        """Goes on with what the files say now; False when that was refused, as the log says."""
        if not self.may_reload:
            log.warning("[reload] hot reloading is not enabled")
            return False
        if self._stopping or self._next is not None:
            log.warning("[reload] not now: %s", "it is stopping" if self._stopping else "a reload is in progress")
            return False
        try:
            found = self._made(self._read())
            self._check(found)
        except (UsageError, StateError) as e:
            log.error("[reload] reloaded config is invalid. Reloading is halted: %s", e)
            return False
        for warning in found.parts.warnings:
            log.warning("[config] %s", warning)
        log.info("reloading instance pid=%d", os.getpid())
        log.info("[reload] stop everything of the old context")
        self._next = found
        self.reloads += 1
        self._supervisor.hand_over()
        return True

    def _check(self, found: Configuration) -> None:
        """Raises UsageError for what cannot be changed while records wait there."""
        assert self._buffer is not None
        differs = self._buffer.place.differs(place_of(found.tree, found.service, found.parts, self._paths))
        if differs:
            raise UsageError(f"{found.service.where(differs)}: {differs!r} cannot be changed by a reload; restart")

    async def _proved(self, supervisor: Supervisor, buffer: Buffer) -> None:
        """Ends what a reload took out of the configuration, once it is not taken back."""
        log.info("[reload] successful reload done.")
        await asyncio.sleep(_PROBATION)
        supervisor.yields, self._before = False, None
        buffer.forget_others(self._outputs(self._now), self._now.parts.held, self._now.tree.path)


def _waits(service: Service) -> tuple[float, float]:
    """The first wait of an output that has to try again, and the longest (seconds)."""
    options = service.options
    first = options.seconds("scheduler.base") if options.given("scheduler.base") else 0.5
    longest = options.seconds("scheduler.cap") if options.given("scheduler.cap") else 60.0
    return first, max(first, longest)


def _counted(source: object) -> Mapping[str, int]:
    return source.counted() if isinstance(source, Counting) else {}
