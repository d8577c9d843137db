"""A recorder: inputs, the journal, the store and the server of one state, wired together and stopped in order.

Several recorders may share a state: the journal takes from all of them, and one of them (whoever holds the store's
lock) writes the tables; the others say so and take over when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubewitness.config import alive
from kubewitness.config.state import StatePaths
from kubewitness.contracts import Input
from kubewitness.journal import SIZE_LIMIT, Journal
from kubewitness.pipeline.committer import Committer
from kubewitness.pipeline.supervisor import Supervisor
from kubewitness.store.keeper import KeeperOptions as KeeperOptions
from kubewitness.store.keeper import StoreKeeper

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the recorder answers questions. `token_file`: needed for other addresses than loopback."""

    host: str
    port: int
    token_file: Path | None = None


@dataclass(slots=True)
class Recorder:
    """Everything one `kubewitness record` runs. `run` returns after `stop` (or a signal) and the staged shutdown."""

    paths: StatePaths
    inputs: Sequence[Input]
    serving: Serving | None = None
    keeping: KeeperOptions = field(default_factory=KeeperOptions)
    journal_limit: int = SIZE_LIMIT
    grace: float = 10.0
    #: told once everything has started: the server's address, "" without one
    on_started: Callable[[str], None] = lambda address: None
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(grace=self.grace)

    def stop(self) -> None:
        self.supervisor.stop()

    async def run(self) -> None:
        """Records until stopped. Raises UsageError or StateError for what a person must mend."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError):  # not in a thread other than the main one
                loop.add_signal_handler(number, self.stop)
        with Journal(self.paths.create().journal, size_limit=self.journal_limit) as journal:
            if journal.was_unclean:
                _log.info("the last recorder of this state did not end by itself; the journal was checked and is sound")
            committer = Committer(journal)
            self.supervisor.add_drain(committer.close)
            for source in self.inputs:
                self.supervisor.add_input(source, committer)
            self.supervisor.add_service("status file", self._publish)
            keeper = StoreKeeper(self.paths, journal, self.keeping)
            await asyncio.to_thread(keeper.start)
            try:
                async with self._server(committer, keeper) as address:
                    self.on_started(address)
                    await self.supervisor.run()
            finally:
                # Drains what the inputs' last batches put into the journal; what fails now is safe there.
                await asyncio.to_thread(keeper.stop)

    async def _publish(self) -> None:
        """Tells `kubewitness status`, another process, how the inputs are."""
        try:
            while True:
                await asyncio.to_thread(alive.publish, self.paths.root, self.supervisor.health())
                await asyncio.sleep(alive.EVERY)
        finally:
            alive.withdraw(self.paths.root)

    @contextlib.asynccontextmanager
    async def _server(self, committer: Committer, keeper: StoreKeeper) -> AsyncIterator[str]:
        if self.serving is None:
            yield ""
            return
        from kubewitness.store import Store
        from kubewitness.store.sandbox import sql_rows
        from kubewitness.web.server import Server

        store = Store(self.paths)
        server = Server(
            store.session,
            lambda: self._health(committer, keeper),
            lambda query, gone: sql_rows(store, query, gone),
            host=self.serving.host,
            port=self.serving.port,
            token_file=self.serving.token_file,
        )
        try:
            yield await server.start()
        finally:
            await server.stop()
            store.close()

    def _health(self, committer: Committer, keeper: StoreKeeper) -> Mapping[str, object]:
        """For /api/v1/status and /metrics: the state as everyone sees it, and this process's live parts."""
        from kubewitness.store.status import status

        return {
            **status(self.paths),
            "recorder": {**self.supervisor.health(), "committer": committer.health(), "store": keeper.health()},
        }
