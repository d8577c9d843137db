"""States for the tests of the questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.questions.model import WhoAnswer
from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Session, Store
from tests.fixtures_demo import Demo
from tests.questions.builder import Trail
from tests.questions.recordings import imported, written

Who = Callable[..., WhoAnswer]


@pytest.fixture(scope="session")
def demo_state(tmp_path_factory: pytest.TempPathFactory) -> StatePaths:
    """The demo recording, imported."""
    return imported(tmp_path_factory.mktemp("demo") / "state", Demo().captures)


@pytest.fixture(scope="session")
def truth() -> dict[str, Any]:
    """What the demo recording's driver knows."""
    found: dict[str, Any] = json.loads(Demo().truth_file.read_text())
    return found


@pytest.fixture
def demo_session(demo_state: StatePaths) -> Iterator[Session]:
    store = Store(demo_state)
    with store.session() as session:
        yield session
    store.close()


@pytest.fixture
def trail() -> Trail:
    """An empty audit trail to write into."""
    return Trail()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[Trail], Session]]:
    """Opens a session on a trail, through the real importer and store."""
    stores: list[Store] = []
    sessions: list[Any] = []

    def open_(trail: Trail) -> Session:
        number = len(stores)
        file = written(tmp_path / f"capture{number}", trail.events)
        core = file.with_name("events.json")
        core.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": trail.core_events}))
        files = [file, core] if trail.core_events else [file]
        store = Store(imported(tmp_path / f"state{number}", files))
        context = store.session()
        stores.append(store)
        sessions.append(context)
        return context.__enter__()

    yield open_
    for context in sessions:
        context.__exit__(None, None, None)
    for store in stores:
        store.close()


@pytest.fixture
def who(opened: Callable[[Trail], Session]) -> Who:
    """Asks `who` of a trail."""

    def ask_(trail: Trail, target: str, verb: str = "", **rest: Any) -> WhoAnswer:
        ref = parse_target([target], namespace="shop", cluster="default")
        return ask(opened(trail), WhoQuestion(ref, verb, **rest))

    return ask_
