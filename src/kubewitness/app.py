"""A recorder: inputs, the journal, the store and the server of one state, wired together and stopped in order.

Several recorders may share a state: the journal takes from all of them, and one of them (whoever holds the store's
lock) writes the tables; the others say so and take over when it ends.

With an election, inputs run and tables are written in the terms that this process leads only (`pipeline.terms`); it
answers questions, and says who leads, all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubewitness.config import alive
from kubewitness.config.state import StatePaths
from kubewitness.contracts import Input, Sink
from kubewitness.journal import SIZE_LIMIT, Journal
from kubewitness.pipeline.committer import Committer
from kubewitness.pipeline.supervisor import Supervisor
from kubewitness.store.keeper import KeeperOptions as KeeperOptions
from kubewitness.store.keeper import StoreKeeper

if TYPE_CHECKING:
    from kubewitness.election import Election, ElectionOptions
    from kubewitness.inputs.server_tls import TlsFiles
    from kubewitness.kube.access import KubeAccess
    from kubewitness.store import Store
    from kubewitness.web.server import Server

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the recorder answers questions, and whom. Other addresses than loopback need `token_file` or `cluster`.

    `cluster`: users log in with tokens of that cluster and see what it lets them read; `access_log`: who asked what;
    `tls`: its files (None: plain HTTP).
    """

    host: str
    port: int
    token_file: Path | None = None
    cluster: ClusterAccess | None = None
    access_log: Path | None = None
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The cluster that tells whose token it is and what they may read; `name`: as the store calls it."""

    access: KubeAccess
    name: str


def server_of(store: Store, serving: Serving, health: Callable[[], Mapping[str, object]], **more: Any) -> Server:
    """The server of a state, not started yet. Raises UsageError for what a person must mend."""
    from kubewitness.store.sqlprocess import run_apart
    from kubewitness.web.accesslog import AccessLog
    from kubewitness.web.server import Server

    login = None
    if serving.cluster is not None:
        from kubewitness.kube.client import KubeClient
        from kubewitness.web.clusterlogin import ClusterLogin, Places

        login = ClusterLogin(KubeClient(serving.cluster.access), serving.cluster.name, Places(store.session))
    return Server(
        lambda scope: store.session(scope=scope),
        health,
        lambda query, stop, scope: run_apart(store.paths, query, stop, scope),
        host=serving.host,
        port=serving.port,
        token_file=serving.token_file,
        login=login,
        access_log=AccessLog(serving.access_log) if serving.access_log is not None else None,
        tls=serving.tls,
        **more,
    )


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
    #: inputs that listen: those of a standby listen, too, and refuse
    receivers: Sequence[Input] = ()
    #: stands for the leadership among several recorders of one store
    election: ElectionOptions | None = None
    supervisor: Supervisor = field(init=False)
    _election: Election | None = field(init=False, default=None)

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
            self.supervisor.add_service("status file", self._publish)
            async with self._electing(journal):
                keeper = self._parts(committer)
                await asyncio.to_thread(keeper.start)
                try:
                    async with self._server(committer, keeper) as address:
                        self.on_started(address)
                        await self.supervisor.run()
                finally:
                    # Drains what the inputs' last batches put into the journal; what fails now is safe there.
                    await asyncio.to_thread(keeper.stop)

    @contextlib.asynccontextmanager
    async def _electing(self, journal: Journal) -> AsyncIterator[None]:
        if self.election is None:
            yield
            return
        from kubewitness.election import Election

        self._election = Election(self.election, self.paths.store_identity(journal.id))
        async with self._election.standing(self.stop):
            yield

    def _parts(self, committer: Committer) -> StoreKeeper:
        """Adds the inputs; gives the keeper of the store."""
        sink: Sink = committer
        inputs, journal = self.inputs, committer.journal
        keeper = StoreKeeper(self.paths, journal, self.keeping)
        if self._election is not None:
            from kubewitness.pipeline.terms import LeaderSink, WhileLeading
            from kubewitness.store.elected import ElectedKeeper

            terms = self._election.terms
            sink = LeaderSink(committer, terms)
            inputs = [WhileLeading(source, terms) for source in inputs]
            keeper = ElectedKeeper(self.paths, journal, terms, self.keeping)
        for source in (*inputs, *self.receivers):
            self.supervisor.add_input(source, sink)
        return keeper

    def _standing(self) -> dict[str, object]:
        return {"election": self._election.health()} if self._election is not None else {}

    async def _publish(self) -> None:
        """Tells `kubewitness status`, another process, how the inputs are, and who leads."""
        try:
            while True:
                said = {**self.supervisor.health(), **self._standing()}
                await asyncio.to_thread(alive.publish, self.paths.root, said)
                await asyncio.sleep(alive.EVERY)
        finally:
            alive.withdraw(self.paths.root)

    @contextlib.asynccontextmanager
    async def _server(self, committer: Committer, keeper: StoreKeeper) -> AsyncIterator[str]:
        if self.serving is None:
            yield ""
            return
        from kubewitness.store import Store

        store = Store(self.paths)
        not_ready = self._election.not_ready if self._election is not None else None
        server = server_of(store, self.serving, lambda: self._health(committer, keeper), not_ready=not_ready)
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
            **self._standing(),
            "recorder": {**self.supervisor.health(), "committer": committer.health(), "store": keeper.health()},
        }
