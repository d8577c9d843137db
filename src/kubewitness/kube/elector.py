"""The loop of leader election: gets the Lease, keeps it, and says at once when it is lost.

`Leadership` is what the rest of the program sees of it; any thread may ask it, and it answers by the clock: one that
was frozen and goes on finds its time over before the loop has run once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from kubewitness.errors import KubewitnessError, StateError, UsageError
from kubewitness.kube.client import KubeClient
from kubewitness.kube.failures import Conflict, KubeFailure, Unsupported
from kubewitness.kube.lease import Candidacy, Clock, Lease, local_clock

_log = logging.getLogger(__name__)

#: Seconds that the parts of a lost term have to end before the process gives up and ends as a whole.
STAND_DOWN_SECONDS = 60.0


class Leadership:
    """Whether this process leads, and in which term. Safe for any thread."""

    def __init__(self, clock: Clock = local_clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._term: int | None = None
        self._until = -math.inf
        self._above = -1
        self._hand_over = False

    def holds(self, term: int) -> bool:
        """Whether that term goes on at this moment."""
        with self._lock:
            return self._term == term and self._clock() < self._until

    @property
    def term(self) -> int | None:
        """The term that this process leads in now; None when it does not lead."""
        with self._lock:
            return self._term if self._clock() < self._until else None

    def give_up(self, term: int, *, outdone_by: int | None = None) -> None:
        """Ends a term from within: its work cannot go on, another replica shall try. `outdone_by`: only because the
        store has seen that later term; this one may stand for one above it at once."""
        with self._lock:
            if self._term == term:
                self._term = None
                self._hand_over = outdone_by is None
            if outdone_by is not None:
                self._above = max(self._above, outdone_by)

    def hand_over(self) -> bool:
        """Whether the term that ended last is to be left to another; asked once."""
        with self._lock:
            asked, self._hand_over = self._hand_over, False
            return asked

    @property
    def term_above(self) -> int:
        """The next term must be greater than this."""
        with self._lock:
            return self._above

    def extend(self, term: int, until: float) -> None:
        with self._lock:
            self._term, self._until = term, until

    def extend_same(self, term: int, until: float) -> bool:
        """As `extend`; False, and nothing done, when that term was given up or had run out meanwhile."""
        with self._lock:
            if self._term != term or self._clock() >= self._until:
                return False
            self._until = until
            return True

    def end(self) -> None:
        with self._lock:
            self._term, self._until = None, -math.inf


class Elector:
    """Stands for one Lease until `stop`. `on_lost` is awaited after a term: only then it stands again."""

    def __init__(
        self,
        client: KubeClient,
        candidacy: Candidacy,
        leadership: Leadership,
        on_lost: Callable[[], Awaitable[None]],
        *,
        clock: Clock = local_clock,
    ) -> None:
        self._client = client
        self._candidacy = candidacy
        self._leadership = leadership
        self._on_lost = on_lost
        self._clock = clock
        #: standby, leading, stopping (a term was lost, its parts are ending), released
        self._state = "standby"
        self._counts = {"acquired": 0, "lost": 0, "errors": 0}
        self._last_error = ""

    def health(self) -> Mapping[str, object]:
        """For `status` and /metrics."""
        candidacy, term = self._candidacy, self._leadership.term
        state = self._state if term is not None or self._state != "leading" else "stopping"
        return {
            "state": state,
            "leading": term is not None,
            "term": candidacy.term if term is not None else candidacy.transitions,
            "transitions": candidacy.transitions,
            "identity": candidacy.identity,
            "holder": candidacy.holder,
            "lease": f"{candidacy.namespace}/{candidacy.name}",
            **self._counts,
            "last_error": self._last_error,
        }

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then `release` gives the Lease back. Raises UsageError for what a person must mend."""
        while True:
            await self._acquire()
            await self._keep()
            self._state = "stopping"
            self._counts["lost"] += 1
            await self._stand_down()
            self._state = "standby"
            if self._leadership.hand_over():
                await self._give_back()
                await asyncio.sleep(self._candidacy.times.duration)

    async def _stand_down(self) -> None:
        try:
            async with asyncio.timeout(STAND_DOWN_SECONDS):
                await self._on_lost()
        except TimeoutError as e:
            raise StateError(
                f"leadership was lost, and its work did not end within {STAND_DOWN_SECONDS:.0f} s; start again"
            ) from e

    async def _acquire(self) -> None:
        while True:
            if await self._try():
                break
            await asyncio.sleep(self._candidacy.times.wait())
        term = self._candidacy.term
        self._counts["acquired"] += 1
        self._state, self._last_error = "leading", ""
        _log.warning("leading now, in term %d, by lease %s", term, self._where)

    async def _keep(self) -> None:
        """Returns when the term is over, whatever ended it."""
        term = self._candidacy.term
        while True:
            await self._sleep_while_holding(term)
            if self._leadership.holds(term):
                await self._try(term)
            if not self._leadership.holds(term):
                break
        self._leadership.end()
        self._candidacy.lost()
        why = f" ({self._last_error})" if self._last_error else ""
        _log.warning("not leading any more: term %d of lease %s is over%s", term, self._where, why)

    async def _sleep_while_holding(self, term: int) -> None:
        """Until the next renewal is due, or the term is over: it may be given up from within."""
        until = self._clock() + self._candidacy.times.retry
        while (left := until - self._clock()) > 0:
            await asyncio.sleep(min(left, 0.1))
            if not self._leadership.holds(term):
                break

    async def _try(self, term: int | None = None) -> bool:
        """One round of tryAcquireOrRenew: whether this candidate holds the Lease after it.

        `term`: it leads in that one and wants to go on; a Lease that says otherwise ends it.
        """
        try:
            async with asyncio.timeout(self._candidacy.times.renew / 2):
                return await self._round(term)
        except Conflict:
            return False  # somebody was faster; the next round sees who
        except (KubeFailure, TimeoutError) as e:
            self._failed(str(e) or f"no answer about lease {self._where} in time")
            return False

    async def _round(self, term: int | None) -> bool:
        candidacy = self._candidacy
        candidacy.saw(await self._read())
        if foreign := candidacy.foreign_group:
            raise UsageError(
                f"lease {self._where} is held by {candidacy.holder}, which keeps its records in {foreign}, and this "
                f"process in {candidacy.group}: replicas need one store that all of them can reach (--store s3://...), "
                "another recording needs a lease of its own (--lease-name)"
            )
        if term is not None and (candidacy.holder != candidacy.identity or candidacy.transitions != term):
            self._last_error = f"held by {candidacy.holder or 'nobody'} now"
            self._leadership.end()
            return False
        if not candidacy.free:
            self._last_error = ""
            return False
        asked_at = self._clock()
        candidacy.wrote(await self._write(candidacy.claim(term_above=self._leadership.term_above)), asked_at)
        if term is None:
            self._leadership.extend(candidacy.term, candidacy.leads_until)
            return self._leadership.holds(candidacy.term)
        return self._leadership.extend_same(term, candidacy.leads_until)

    async def release(self) -> None:
        """Gives the Lease back, if it is held; at most a few seconds. After everything of the term has ended."""
        held = self._leadership.term is not None
        self._leadership.end()
        self._state = "released"
        if held:
            await self._give_back()

    async def _give_back(self) -> None:
        with contextlib.suppress(KubewitnessError, TimeoutError, OSError):
            async with asyncio.timeout(self._candidacy.times.renew / 2):
                # read again: a renewal may have been broken off after the server had taken it
                self._candidacy.saw(await self._read())
                if self._candidacy.holder == self._candidacy.identity:
                    self._candidacy.saw(await self._write(self._candidacy.release()))

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _read(self) -> Lease | None:
        candidacy = self._candidacy
        try:
            return _decoded(await self._client.get(candidacy.path, asked=f"get {self._what}"))
        except Unsupported as e:
            if "404" in str(e):
                return None
            raise

    async def _write(self, lease: Lease) -> Lease:
        candidacy, body = self._candidacy, msgspec.json.encode(lease)
        if candidacy.exists:
            return _decoded(await self._client.replace(candidacy.path, body, asked=f"update {self._what}"))
        return _decoded(await self._client.create(candidacy.collection, body, asked=f"create {self._what}"))

    def _failed(self, error: str) -> None:
        self._counts["errors"] += 1
        if error != self._last_error:  # one line per incident, not per try
            _log.warning("leader election: %s", error)
        self._last_error = error

    @property
    def _what(self) -> str:
        """As an RBAC rule names it."""
        return f"leases.coordination.k8s.io {self._candidacy.name!r} in namespace {self._candidacy.namespace!r}"

    @property
    def _where(self) -> str:
        return f"{self._candidacy.namespace}/{self._candidacy.name}"


def _decoded(body: bytes) -> Lease:
    try:
        lease: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise KubeFailure(f"leader election: the answer is no Lease ({e})") from e
    if not isinstance(lease, dict) or not isinstance(lease.get("metadata"), dict):
        raise KubeFailure("leader election: the answer is no Lease")
    return lease
