"""Questions run in threads of their own: at most so many at once, each for a limited time, and none for nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from kubewitness.errors import KubewitnessError
from kubewitness.formats.scope import Scope
from kubewitness.questions.facts import RawPointer, Session

#: Questions answered at the same time; more wait. Each holds a database connection and a thread.
CONCURRENT_QUESTIONS = 4
#: so many wait at most, and so long (seconds) may one take
MOST_WAITING = 64
#: of these, one user's
MOST_OF_ONE = 24
LONGEST_QUESTION = 30.0
#: an interrupt between two phases of a query is lost, so it is said again
_AGAIN = 0.05

T = TypeVar("T")


class OpenSession(Session, Protocol):
    """A session that another thread may interrupt."""

    def interrupt(self) -> None: ...


Sessions = Callable[[], AbstractContextManager[OpenSession]]


class Abandoned(KubewitnessError):
    """Nobody waits for the answer any more, or it took too long."""


class TooBusy(KubewitnessError):
    """Too many questions wait already."""


class _Watched:
    """A session of which every query ends once nobody waits for it."""

    def __init__(self, inner: OpenSession, stopped: threading.Event) -> None:
        self._inner = inner
        self._stopped = stopped

    @property
    def scope(self) -> Scope | None:
        return self._inner.scope

    def query(self, sql: str, params: Any = (), /) -> list[tuple[Any, ...]]:
        return self._ended(lambda: self._inner.query(sql, params))

    def raw(self, pointers: Sequence[RawPointer], /) -> list[bytes]:
        return self._ended(lambda: self._inner.raw(pointers))

    def summary(self, table: str, select: str, /, *, make: bool = True) -> str | None:
        return self._ended(lambda: self._inner.summary(table, select, make=make))

    def _ended(self, ask: Callable[[], T]) -> T:
        if self._stopped.is_set():
            raise Abandoned("nobody waits for the answer")
        try:
            return ask()
        except Exception:
            if self._stopped.is_set():
                raise Abandoned("nobody waits for the answer") from None
            raise


class _Job:
    """One question in its thread."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._inner: OpenSession | None = None

    def ask(self, sessions: Sessions, question: Callable[[Session], T]) -> T:
        with sessions() as inner:
            self._inner = inner
            try:
                return question(_Watched(inner, self.stopped))
            finally:
                self._inner = None

    def interrupt(self) -> None:
        self.stopped.set()
        inner = self._inner
        if inner is not None:
            inner.interrupt()


def _seen(answer: asyncio.Future[Any]) -> None:
    """An error that comes when nobody waits any more is nobody's: asyncio would log it with all its frames."""
    if not answer.cancelled():
        answer.exception()


class Questions:
    """Runs questions. Close it to end those that still run."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(CONCURRENT_QUESTIONS, "question")
        #: by question: who asks
        self._running: dict[Future[Any], str] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def ask(self, sessions: Sessions, question: Callable[[Session], T], user: str = "") -> T:
        """The answer. When the caller is cancelled, or it takes too long, the running query is interrupted.

        `user`: who asks ("": the server itself); one user's questions leave room for others'. Raises `TooBusy`,
        `Abandoned` (it took too long), and what the question raises.
        """
        job = _Job()
        return await self._run(lambda: job.ask(sessions, question), job.interrupt, user)

    async def sql(self, run: Callable[[threading.Event], T], user: str = "") -> T:
        """As `ask`, of something that ends when an event is set."""
        stop = threading.Event()
        return await self._run(lambda: run(stop), stop.set, user)

    async def _run(self, work: Callable[[], T], interrupt: Callable[[], None], user: str) -> T:
        if len(self._running) >= CONCURRENT_QUESTIONS + MOST_WAITING:
            raise TooBusy("too many questions wait for an answer; ask again in a moment")
        if user and list(self._running.values()).count(user) >= MOST_OF_ONE:
            raise TooBusy("too many of your questions wait for an answer; ask again in a moment")
        future = self._pool.submit(work)
        self._running[future] = user
        future.add_done_callback(lambda done: self._running.pop(done, None))
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(_seen)
        try:
            async with asyncio.timeout(LONGEST_QUESTION):
                return await asyncio.shield(answer)
        except TimeoutError:
            self._end(future, interrupt)
            said = f"stopped after {LONGEST_QUESTION:g} s; narrow it, for instance by since and until"
            raise Abandoned(said) from None
        except asyncio.CancelledError:
            self._end(future, interrupt)
            raise

    def _end(self, future: Future[Any], interrupt: Callable[[], None]) -> None:
        async def until_ended() -> None:
            while not future.done():
                interrupt()
                await asyncio.sleep(_AGAIN)

        if future.cancel():  # one that waits never begins
            return
        task = asyncio.ensure_future(until_ended())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Ends what still runs."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=2)
        self._pool.shutdown(wait=False, cancel_futures=True)
