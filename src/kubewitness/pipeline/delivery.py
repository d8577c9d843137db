"""One output's delivery loop: takes chunks, writes them, moves the cursor; tries again until they are through.

What a far side will never take is found by halves and set aside (`Rejected`), so that one record neither holds up the
others for ever nor vanishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from kubewitness.contracts import Delivery, Output, Partly, Refusal
from kubewitness.errors import Full, KubewitnessError, Refused, Retry
from kubewitness.pipeline.backlog import Backlog
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.feeds import Feed
from kubewitness.pipeline.filtering import Filters
from kubewitness.pipeline.rejected import Rejected
from kubewitness.pipeline.tally import Tally

log = logging.getLogger("kubewitness.pipeline")

#: what is said of an incident; the drop-in says it in Fluent Bit's words
RETRIED = "%s: %s; trying again, next in %.1f s"
NOT_TAKEN = "%s: not taken (%d records), %s: %s"
RECOVERED = "%s delivers again"

#: Seconds that an output has for its `close`.
_CLOSE_SECONDS = 10.0
#: Seconds between two moves of the cursor within what was taken at once.
_MOVE_SECONDS = 1.0
#: Seconds between two looks at what waits for an output that has a limit, while that does not deliver.
_LOOK_SECONDS = 1.0
#: After so many refusals in a row without one success it is not the records: each further one waits first.
_STREAK = 100


class DeliveryLoop:
    """Delays nobody but itself.

    `retry_limit`: tries after the first until a batch is given up, and set aside like what was refused; None: never.
    Without `rejected` nothing is ever given up: what cannot be delivered stays in the feed. `filters`: the output's
    own; what they leave out is delivered as far as the cursor is concerned, and counted by them. `limit`: bytes that
    may wait for this output in the feed (`backlog`); at it the oldest are dropped, and counted.
    """

    def __init__(
        self,
        output: Output,
        feed: Feed,
        cursor: str,
        backoff: Backoff,
        *,
        retry_limit: int | None = None,
        rejected: Rejected | None = None,
        filters: Filters | None = None,
        limit: int | None = None,
    ) -> None:
        self.name = output.name
        self._output = output
        self._feed = feed
        self._cursor = cursor
        self._backoff = backoff
        self._retry_limit = retry_limit
        self._rejected = rejected
        self._filters = filters
        self._backlog = Backlog(limit, output.wants, feed.waiting) if limit else None
        #: dropped up to here, and whether that was told; the last seq that was taken
        self._floor = self._taken = 0
        self._told = False
        #: tries failed, and nothing was taken since
        self._failing = False
        #: starting, running, waiting (to try again), ended
        self.state = "starting"
        self._tally = Tally()
        self._streak = 0
        self._last_error = ""
        self._last_refusal = ""
        self._seq = 0
        #: asked to end at the next boundary; between two of them; waiting; some of this part is through
        self._leaving = self._delivering = self._sleeping = self._part_through = False

    async def open(self) -> None:
        """Registers with the feed, so that nothing is deleted before this output has it."""
        self._seq = await self._feed.open(self._cursor)
        begin = getattr(self._output, "start", None)
        if begin is not None:
            await begin()

    async def run(self) -> None:
        """Until the feed is finished and everything is delivered, or `leave`. Raises only what the feed raises, and
        what a person must mend in a filter."""
        self.state = "running"
        while not self._leaving and (found := await self._feed.take(self._cursor)):
            self._delivering = True
            try:
                await self._take(found)
            finally:
                self._delivering = False
        self.state = "ended"

    def leave(self) -> bool:
        """Asks it to end where another loop can go on without repeating anything. True: it is there already, and
        may be cancelled."""
        self._leaving = True
        return not self._delivering or (self._sleeping and not self._part_through)

    async def _take(self, found: Sequence[Delivery]) -> None:
        """Delivers what was taken at once; the cursor moves after it, and within it now and then."""
        clock = asyncio.get_running_loop().time
        moved = clock()
        self._taken = found[-1].seq
        await self._shed()
        try:
            async for part in self._parts(found):
                if self._leaving:
                    break
                await self._deliver(part)
                self._seq = max(part[-1].seq, self._floor)
                if clock() - moved > _MOVE_SECONDS:
                    await self._move()
                    moved = clock()
            else:
                self._seq = max(found[-1].seq, self._floor)
            await self._move()
        except asyncio.CancelledError:  # stopped: what is through must not come again
            with contextlib.suppress(Full):  # unless there is no room on the disk to note it
                await self._feed.done(self._cursor, self._seq)
            raise

    async def _move(self) -> None:
        """The cursor, to what is through. Waits while the disk has no room for that."""
        while True:
            try:
                await self._feed.done(self._cursor, self._seq)
                break
            except Full as e:
                await self._wait(str(e), None)
        if self.state == "waiting":
            self._recovered()

    async def _parts(self, found: Sequence[Delivery]) -> AsyncIterator[Sequence[Delivery]]:
        """What is wanted, in parts of about the size that the output asks for."""
        limit = getattr(self._output, "batch_bytes", None)
        part: list[Delivery] = []
        size = 0
        for delivery in found:
            if not self._output.wants(delivery.chunk.table, delivery.chunk.tag):
                continue
            if delivery.seq <= self._floor:
                self._drop(len(delivery.chunk))
                continue
            # What the filters made of one delivery stays together: the cursor passes it as a whole.
            left = [delivery] if self._filters is None else await self._filtered(delivery, self._filters)
            length = sum(len(d.chunk.data) for d in left)
            if part and limit and size + length > limit:
                yield part
                part, size = [], 0
            part += left
            size += length
        if part:
            yield part

    # --- a limit of its own ------------------------------------------------------------------------------------------

    async def _shed(self) -> None:
        """Lets go of the oldest that wait, where there are too many. What is in hand is counted when it is let go."""
        if self._backlog is None:
            return
        gone = await asyncio.to_thread(self._backlog.over, max(self._seq, self._floor))
        if not gone:
            return
        self._floor = gone[-1].seq
        if not self._told:
            self._told = True
            log.error("%s: storage.total_limit_size (%d bytes) is reached: its oldest records are dropped until it "
                      "delivers again, counted as over_limit", self.name, self._backlog.limit)  # fmt: skip
        self._drop(sum(chunk.records for chunk in gone if chunk.seq > self._taken))
        with contextlib.suppress(Full):  # the cursor passes it later
            await self._feed.done(self._cursor, self._floor)

    def _drop(self, records: int) -> None:
        self._tally.dropped(records)

    def _kept(self, part: Sequence[Delivery]) -> Sequence[Delivery]:
        """What of a part is not over the limit."""
        if not part or part[0].seq > self._floor:
            return part
        left = [delivery for delivery in part if delivery.seq > self._floor]
        self._drop(_records(part) - _records(left))
        return left

    async def _filtered(self, delivery: Delivery, filters: Filters) -> list[Delivery]:
        """What the output's own filters leave. Applied once, however often it has to be written."""
        while True:
            try:
                if waits := filters.missing([delivery.chunk]):
                    await asyncio.gather(*waits)
                left = [Delivery(delivery.seq, chunk) for chunk in filters.apply(delivery.chunk)]
                for settle in filters.settle():
                    settle(True)  # it is in the journal, and will be delivered
                return left
            except KubewitnessError:
                raise
            except Exception as e:
                self._tally.failed()
                log.debug("%s", self.name, exc_info=True)
                await self._wait(f"processor: {type(e).__name__}: {e}", None)

    # --- one part ----------------------------------------------------------------------------------------------------

    async def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Until each of its records is delivered or set aside."""
        self._part_through = False
        dropped = self._tally.over_limit
        stack = [deliveries]
        while stack:
            part = stack.pop()
            stack += reversed(await self._through(part))
        if self._tally.over_limit == dropped:
            self._recovered()

    async def _through(self, part: Sequence[Delivery]) -> Sequence[Sequence[Delivery]]:
        """Tries until it is through; or the halves of what was refused as a whole."""
        tries = 0
        asked_again = False
        while part := self._kept(part):
            tries += 1
            try:
                await self._output.write(part)
            except Retry as e:
                if await self._may_wait(part, tries, str(e), e.after):
                    continue
                return []
            except Partly as e:
                part, tries = await self._partly(part, e, tries)
            except Refused as e:
                if self._rejected is None:
                    await self._wait(str(e), None)
                elif _records(part) > 1:
                    return _halves(part)
                elif self._streak >= _STREAK and not asked_again:
                    asked_again = True
                    await self._wait(f"{self._streak} records in a row were refused, the last: {e}", None)
                else:
                    await self._set_aside([Refusal(part[0], str(e))], "refused")
                    return []
            except Exception as e:
                self._tally.failed()
                log.debug("%s", self.name, exc_info=True)
                if not await self._may_wait(part, tries, f"{type(e).__name__}: {e}", None):
                    return []
            else:
                self._succeeded(part)
                return []
        return []

    async def _partly(self, part: Sequence[Delivery], e: Partly, tries: int) -> tuple[Sequence[Delivery], int]:
        """(what is left to deliver, tries so far without any progress)."""
        refused = sum(len(r.delivery.chunk) for r in e.refused)
        through = _records(part) - _records(e.left) - refused
        self._count(through, sum(len(d.chunk.data) for d in part) if not e.left else 0)
        if through:
            self._streak = 0
        if e.refused and self._rejected is None:
            e = Partly(str(e), left=[*e.left, *(r.delivery for r in e.refused)], after=e.after)
        elif e.refused:
            if self._streak >= _STREAK:
                await self._wait(f"{self._streak} records in a row were refused: {e}", e.after)
            await self._set_aside(e.refused, "refused")
        if not e.left:
            self._recovered(through)
            return [], 0
        progress = _records(e.left) < _records(part)
        if progress and e.after == 0:
            return e.left, 0
        tries = 0 if progress else tries
        return (e.left if await self._may_wait(e.left, tries, str(e), e.after) else []), tries

    async def _may_wait(self, part: Sequence[Delivery], tries: int, error: str, after: float | None) -> bool:
        """Waits for the next try; False when it was given up instead."""
        if self._retry_limit is not None and self._rejected is not None and tries > self._retry_limit:
            reason = f"given up after {tries - 1} retries: {error}"
            await self._set_aside([Refusal(d, reason) for d in part], "given_up")
            self._backoff.reset()
            return False
        self._tally.retried(_records(part))
        await self._wait(error, after)
        return True

    async def _wait(self, error: str, after: float | None) -> None:
        wait = self._backoff.next(after)
        if error != self._last_error:  # one line per incident, not per try
            log.warning(RETRIED, self.name, error, wait)
        self.state, self._last_error, self._failing = "waiting", error, True
        if self._leaving and not self._part_through:
            raise asyncio.CancelledError
        self._sleeping = True
        try:
            while self._backlog is not None and wait > _LOOK_SECONDS:
                await asyncio.sleep(_LOOK_SECONDS)
                await self._shed()
                wait -= _LOOK_SECONDS
            await asyncio.sleep(wait)
        finally:
            self._sleeping = False
        await self._shed()

    async def _set_aside(self, refusals: Sequence[Refusal], why: Literal["refused", "given_up"]) -> None:
        """Durable, or dropped where the user chose so, and counted in either case."""
        assert self._rejected is not None
        while True:
            try:
                await asyncio.to_thread(self._rejected.keep, self.name, refusals)
                break
            except Retry as e:
                await self._wait(str(e), e.after)
        count = sum(len(r.delivery.chunk) for r in refusals)
        self._part_through = True
        self._tally.not_taken(count, why, kept=self._rejected.keeps)
        self._streak += count
        if refusals[-1].reason != self._last_refusal:  # one line per incident here too
            place = f"kept in {self._rejected.path(self.name)}" if self._rejected.keeps else "dropped"
            log.error(NOT_TAKEN, self.name, count, place, refusals[-1].reason)
        self._last_refusal = refusals[-1].reason

    def _succeeded(self, part: Sequence[Delivery]) -> None:
        self._streak = 0
        self._count(_records(part), sum(len(d.chunk.data) for d in part))
        self._recovered(_records(part))

    def _count(self, records: int, size: int) -> None:
        if records:
            self._part_through = True
            self._tally.delivered(records, size)

    def _recovered(self, delivered: int = 0) -> None:
        """An incident ends when the far side takes records; not, when what waited was given up."""
        self._backoff.reset()
        if self._failing and delivered:
            log.info(RECOVERED, self.name)
            self._failing = self._told = False
        self.state, self._last_error = "running", ""

    # --- its end, and looking ----------------------------------------------------------------------------------------

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._output.close()
        except Exception as e:
            log.warning("%s could not be closed: %s: %s", self.name, type(e).__name__, e)

    def delivered(self) -> dict[str, int]:
        """As Fluent Bit names and counts it."""
        return self._tally.as_fluent_bit()

    def health(self) -> dict[str, object]:
        own = getattr(self._output, "health", None)
        return {
            **(own() if own is not None else {}),
            "state": self.state,
            **self._tally.health(),
            "cursor": self._seq,
            "last_error": self._last_error,
            "last_refusal": self._last_refusal,
        }


def _records(deliveries: Sequence[Delivery]) -> int:
    return sum(len(d.chunk) for d in deliveries)


def _halves(part: Sequence[Delivery]) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
    """By deliveries, as long as there are several; then by records."""
    if len(part) > 1:
        middle = len(part) // 2
        return part[:middle], part[middle:]
    seq, chunk = part[0].seq, part[0].chunk
    middle = len(chunk) // 2
    return (
        [Delivery(seq, chunk.select(range(middle)))],
        [Delivery(seq, chunk.select(range(middle, len(chunk))))],
    )
