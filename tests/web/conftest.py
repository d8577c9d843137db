"""A server on the demo's recording."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from kubewitness.config.state import StatePaths
from kubewitness.formats.scope import Scope
from kubewitness.store import Store
from kubewitness.store.sandbox import SqlResult, run_sql
from kubewitness.store.status import status
from kubewitness.web.server import Server
from tests.fixtures_demo import Demo
from tests.questions.recordings import imported

Client = TestClient[Any, Any]


@pytest.fixture(scope="package")
def demo_state(tmp_path_factory: pytest.TempPathFactory) -> StatePaths:
    """The demo recording, imported."""
    return imported(tmp_path_factory.mktemp("demo") / "state", Demo().captures)


@pytest.fixture(scope="package")
def demo_store(demo_state: StatePaths) -> Iterator[Store]:
    store = Store(demo_state)
    yield store
    store.close()


def serving(store: Store, **options: Any) -> Server:
    """A server on a store, on no port."""

    def sql(query: str, stop: threading.Event, scope: Scope | None) -> SqlResult:
        return run_sql(store, query, stop=stop, scope=scope)

    given = {"host": "127.0.0.1", "port": 0, **options}
    return Server(lambda scope: store.session(scope=scope), lambda: status(store.paths), sql, **given)


@pytest.fixture
async def api(demo_store: Store) -> AsyncIterator[Client]:
    plain = {"Accept-Encoding": "identity"}
    server = TestServer(serving(demo_store).application())
    async with TestClient(server, auto_decompress=False, headers=plain) as client:
        yield client
