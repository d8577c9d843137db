"""Runs a pipeline: inputs restarted when they crash, a delivery loop per output, and a shutdown in stages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubewitness.contracts import Input, Output, Sink
from kubewitness.errors import Finished, StateError, UsageError
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import Feed
from kubewitness.pipeline.filtering import Filters
from kubewitness.pipeline.rejected import Rejected

log = logging.getLogger("kubewitness.pipeline")

#: A part that ran for so many seconds before it crashed starts again with the shortest wait.
_STEADY = 60.0
#: seconds between two looks at outputs that are waited for
_LOOK = 0.1


@dataclass(slots=True)
class Part:
    """What is known of one supervised task."""

    name: str
    run: Callable[[], Awaitable[None]]
    #: starting, running, waiting (crashed, to be restarted), ended, failed (a person must mend it)
    state: str = "starting"
    restarts: int = 0
    last_error: str = ""
    backoff: Backoff = field(default_factory=Backoff)

    def health(self) -> dict[str, object]:
        return {"state": self.state, "restarts": self.restarts, "last_error": self.last_error}


class Supervisor:
    """Add parts, then `run`. Use it in one event loop; `stop` may be called from a signal handler of that loop.

    `retry`: seconds of an output's first wait for another try, and of the longest; as parts' restarts if not given.
    `grace`: seconds that outputs have to deliver what is left once a stop was asked for; the journal keeps the rest.
    """

    def __init__(
        self,
        *,
        grace: float = 5.0,
        restart_first: float = 0.5,
        restart_limit: float = 60.0,
        retry: tuple[float, float] | None = None,
    ) -> None:
        self.grace = grace
        self._restart = (restart_first, restart_limit)
        self._retry = retry or self._restart
        self._inputs: list[tuple[Part, Input]] = []
        self._services: list[Part] = []
        self._loops: list[DeliveryLoop] = []
        self._feeds: list[Feed] = []
        self._drains: list[Callable[[], Awaitable[None]]] = []
        self._buffer: Callable[[], Mapping[str, int]] = dict
        self._filters: list[Callable[[], Mapping[str, object]]] = []
        self._stop = asyncio.Event()
        #: an input has said that the work is done
        self._done = asyncio.Event()
        self.exit_code = 0
        self.handing_over = False
        #: others go on when this one fails
        self.yields = False
        self._fatal: Exception | None = None
        self.stage = "starting"

    # --- parts -------------------------------------------------------------------------------------------------------

    def add_input(self, source: Input, sink: Sink) -> None:
        part = Part(source.name, lambda: source.run(sink), backoff=Backoff(*self._restart))
        self._inputs.append((part, source))

    def add_filters(self, health: Callable[[], Mapping[str, object]]) -> None:
        """Filters run with the inputs; only what they tell, by name, is shown."""
        self._filters.append(health)

    def add_buffer(self, told: Callable[[], Mapping[str, int]]) -> None:
        """What is between inputs and outputs, where records can be lost there: how many are held, and were dropped."""
        self._buffer = told

    def add_output(
        self,
        output: Output,
        feed: Feed,
        *,
        cursor: str = "",
        retry_limit: int | None = None,
        rejected: Rejected | None = None,
        filters: Filters | None = None,
        limit: int | None = None,
    ) -> None:
        """`cursor`: the output's name in the journal, where that differs from `output.name`; see `DeliveryLoop`."""
        name = cursor or output.name
        backoff = Backoff(*self._retry)
        self._loops.append(
            DeliveryLoop(
                output, feed, name, backoff, retry_limit=retry_limit, rejected=rejected, filters=filters, limit=limit
            )
        )
        if filters is not None:
            self.add_filters(filters.health)
        if feed not in self._feeds:
            self._feeds.append(feed)

    def add_service(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A task beside the pipeline (a server, the store's own drain): cancelled after the outputs have ended."""
        self._services.append(Part(name, run, backoff=Backoff(*self._restart)))

    def add_drain(self, close: Callable[[], Awaitable[None]]) -> None:
        """Called between the end of the inputs and the end of the outputs: `Committer.close`."""
        self._drains.append(close)

    # --- running -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Asks for the staged shutdown; `run` returns when it is through."""
        self._stop.set()

    def hand_over(self) -> None:
        """Asks for a stop after which another supervisor goes on with the same feeds: outputs end where nothing is
        repeated, and within the grace; what they have not delivered stays in the feed."""
        self.handing_over = True
        self._stop.set()

    async def stopped(self) -> None:
        """Waits until somebody asked for the shutdown."""
        await self._stop.wait()

    async def run(self, *, until_inputs_end: bool = False) -> None:
        """Runs until `stop`, or with `until_inputs_end` until every input has come to its own end and all is delivered.

        Without that, an input may end it, too (`errors.Finished`). Raises the UsageError or StateError that made it
        impossible to go on, after the staged shutdown.
        """
        for loop in self._loops:
            await loop.open()
        deliveries = [asyncio.create_task(self._guard(x.run()), name=f"output {x.name}") for x in self._loops]
        services = [asyncio.create_task(self._keep(p), name=f"service {p.name}") for p in self._services]
        inputs = [asyncio.create_task(self._keep(p), name=f"input {p.name}") for p, _ in self._inputs]
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        end: asyncio.Future[Any] = asyncio.ensure_future(_all(inputs) if until_inputs_end else self._done.wait())
        self.stage = "running"
        try:
            await asyncio.wait([stopping, end], return_when=asyncio.FIRST_COMPLETED)
            await self._shut_down(inputs, deliveries, stopping, patient=until_inputs_end)
        finally:
            for task in (*inputs, *deliveries, *services, stopping, end):
                task.cancel()
            await _all([*inputs, *deliveries, *services, stopping, end])
            for loop in self._loops:
                await loop.close()
            self.stage = "stopped"
        if self._fatal is not None:
            raise self._fatal

    async def _shut_down(
        self,
        inputs: Sequence[asyncio.Task[None]],
        deliveries: Sequence[asyncio.Task[None]],
        stopping: asyncio.Task[bool],
        *,
        patient: bool,
    ) -> None:
        self.stage = "stopping inputs"
        for task in inputs:
            task.cancel()
        await _all(inputs)
        self.stage = "committing"
        for drain in self._drains:
            await drain()
        if self.handing_over:
            await self._leave(deliveries)
            return
        self.stage = "delivering"
        for feed in self._feeds:
            feed.finish()
        finished = asyncio.ensure_future(_all(deliveries))
        # At the natural end of the inputs there is no hurry; once somebody asks for a stop, there is.
        await self._delivered(finished, stopping, patient)
        if not finished.done():
            if stopping.done():
                await asyncio.wait([finished], timeout=self.grace)
            late = [loop.name for loop in self._loops if loop.state != "ended"]
            if late:
                log.warning("stopped while %s had not delivered everything", ", ".join(late))

    async def _delivered(self, finished: asyncio.Future[None], stopping: asyncio.Task[bool], patient: bool) -> None:
        """Waits for all deliveries, or for somebody to ask for a stop. Not `patient` (an input has said that it is the
        end): as long as something is being delivered, and for `grace` seconds in which outputs only wait to try again.
        """
        clock = asyncio.get_running_loop().time
        busy_at = clock()
        while not finished.done() and not stopping.done() and (patient or clock() - busy_at < self.grace):
            timeout = None if patient else _LOOK
            both: list[asyncio.Future[Any]] = [finished, stopping]
            await asyncio.wait(both, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if any(loop.state == "running" for loop in self._loops):
                busy_at = clock()

    async def _leave(self, deliveries: Sequence[asyncio.Task[None]]) -> None:
        self.stage = "handing over"
        for task, loop in zip(deliveries, self._loops, strict=True):
            if loop.leave():
                task.cancel()
        await asyncio.wait(deliveries, timeout=self.grace)
        late = [loop.name for task, loop in zip(deliveries, self._loops, strict=True) if not task.done()]
        if late:
            log.warning("%s did not finish what it had begun; that is delivered once more", ", ".join(late))

    async def _guard(self, work: Awaitable[None]) -> None:
        """Runs something that must not fail; when it does all the same, the pipeline stops with that error."""
        try:
            await work
        except Exception as e:
            self.fail(e)

    def fail(self, error: Exception) -> None:
        """The pipeline cannot go on: it shuts down, and `run` raises the first such error."""
        self._fatal = self._fatal or error
        self.handing_over = self.handing_over or self.yields
        self._stop.set()

    async def _keep(self, part: Part) -> None:
        """Runs a part until it ends by itself, again and again when it crashes."""
        clock = asyncio.get_running_loop().time
        while True:
            part.state = "running"
            started = clock()
            try:
                await part.run()
                part.state = "ended"
                return
            except Finished as e:
                part.state = "ended"
                log.info("%s: %s", part.name, e)
                self.exit_code = self.exit_code or e.exit_code
                self._done.set()
                return
            except (UsageError, StateError) as e:
                part.state, part.last_error = "failed", str(e)
                self.fail(e)
                return
            except Exception as e:
                part.state, part.last_error = "waiting", f"{type(e).__name__}: {e}"
                part.restarts += 1
                if clock() - started > _STEADY:
                    part.backoff.reset()
                wait = part.backoff.next()
                log.warning(
                    "%s failed (%s); starting it again in %.1f s", part.name, part.last_error, wait, exc_info=True
                )
            await asyncio.sleep(wait)

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether nothing waits for a restart or a retry."""
        parts = [*(p for p, _ in self._inputs), *self._services]
        return (
            self._fatal is None
            and all(p.state in ("running", "ended") for p in parts)
            and all(loop.state in ("running", "ended") for loop in self._loops)
        )

    def delivered(self) -> dict[str, dict[str, int]]:
        """By output: what Fluent Bit counts of one."""
        return {loop.name: loop.delivered() for loop in self._loops}

    def health(self) -> dict[str, object]:
        """{"stage", "healthy", "inputs": {name: ...}, "filters": ..., "outputs": ..., "services": ...}, JSON-ready."""
        return {
            "stage": self.stage,
            "healthy": self.healthy,
            "inputs": {part.name: {**part.health(), **source.health()} for part, source in self._inputs},
            "filters": {name: told for health in self._filters for name, told in health().items()},
            "outputs": {loop.name: loop.health() for loop in self._loops},
            "services": {part.name: part.health() for part in self._services},
            **({"buffer": dict(told)} if (told := self._buffer()) else {}),
        }


async def _all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Waits for all; their errors were dealt with where they happened."""
    if tasks:
        await asyncio.wait(tasks)
