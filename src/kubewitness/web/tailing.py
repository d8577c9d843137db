"""What arrives, as server-sent events (WHATWG HTML, section 9.2): the question of `kubewitness tail`.

Nothing is kept for a client but where it is: one that reads slowly is asked for less often, and the store keeps what it
has not seen. `id:` is that place; a client that comes back with it (Last-Event-ID) goes on there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.tail import LATE_US, Follower, TailQuestion
from kubewitness.questions.times import now_us
from kubewitness.web.guard import NotLoggedIn, TooOften
from kubewitness.web.params import FILTER, Param, Params, check, filter_of
from kubewitness.web.running import Questions, Sessions, TooBusy

PARAMETERS: tuple[Param, ...] = (
    *(p for p in FILTER if p.name not in ("since", "until")),
    Param("since", "from then on (default: from now on)"),
)

#: clients that follow at the same time
MOST_CLIENTS = 32
#: of these, one user's from one address
MOST_OF_ONE = 16
#: seconds between two looks, and between signs of life on a quiet stream
EVERY, HEARTBEAT = 0.5, 15.0
#: bytes that may wait in a connection before the next look
_BUFFER = 256 * 1024


class Tails:
    """The streams of one server."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        #: by stream: who follows, from where
        self._open: dict[asyncio.Task[object], tuple[str, str]] = {}

    @property
    def clients(self) -> int:
        return len(self._open)

    async def follow(
        self, request: web.Request, params: Params, sessions: Callable[[], Awaitable[Sessions]], user: str
    ) -> web.StreamResponse:
        """One client's stream, until it goes away. `sessions` gives what the client may see
        now; it raises `NotLoggedIn` when that is nothing any more.

        Raises `UsageError` for parameters that make no sense, `TooBusy` when too many follow already.
        """
        follower = follower_of(params, request.headers.get("Last-Event-ID", ""))
        if len(self._open) >= MOST_CLIENTS:
            raise TooBusy(f"{MOST_CLIENTS} clients follow already; close one, or ask again later")
        follows = (user, request.remote or "")
        if list(self._open.values()).count(follows) >= MOST_OF_ONE:
            raise TooBusy(f"{MOST_OF_ONE} of your clients follow already; close one")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = follows
        try:
            await response.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(high=_BUFFER)
            await response.write(b"retry: 2000\n\n")
            await self._stream(response, follower, sessions)
        except ConnectionError:
            pass  # the client went away
        finally:
            self._open.pop(task, None)
        return response

    async def _stream(
        self, response: web.StreamResponse, follower: Follower, sessions: Callable[[], Awaitable[Sessions]]
    ) -> None:
        spoken = time.monotonic()
        while True:
            try:
                rows = await self._questions.ask(await sessions(), follower.arrivals)
            except (NotLoggedIn, TooOften):
                await response.write(b'event: ended\ndata: {"error": "the login has ended"}\n\n')
                return
            except KubewitnessError as e:
                await response.write(_event("problem", {"error": str(e)}))
                rows, spoken = [], time.monotonic()
            for arrived, row in rows:
                await response.write(_row(row, arrived))  # waits while the connection's buffer is full
            if rows:
                spoken = time.monotonic()
            elif time.monotonic() - spoken >= HEARTBEAT:
                await response.write(b": alive\n\n")
                spoken = time.monotonic()
            await asyncio.sleep(EVERY)

    async def close(self) -> None:
        """Ends all streams."""
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(list(self._open), timeout=1)


def follower_of(params: Params, last: str) -> Follower:
    """Where a stream begins: after what the client had last, else at `since`, else now."""
    check(PARAMETERS, params)
    asked = filter_of(params)
    since = asked.since if asked.since is not None else now_us()
    if last:
        if not (last.isascii() and last.isdigit() and len(last) <= 17):
            raise UsageError("Last-Event-ID: not an id that this stream gave")
        since = int(last) - LATE_US  # what became visible late may not have been seen: rather twice than never
    return Follower(TailQuestion(msgspec.structs.replace(asked, since=None), since))


def _row(row: TimelineRow, place: int) -> bytes:
    return b"event: row\nid: %d\ndata: %s\n\n" % (place, msgspec.json.encode(row))


def _event(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))
