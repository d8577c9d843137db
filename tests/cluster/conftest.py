"""Leaves the suite out, loudly, where there is no control plane; gives clusters where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.cluster.harness import Binaries, ControlPlane, NotInstalled, Options, WebhookSink, locate

_LEFT_OUT = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Last, so that only what -m and -k chose is looked at."""
    wanted = [item for item in items if item.get_closest_marker("cluster")]
    if not wanted:
        return
    try:
        locate()
    except NotInstalled as e:
        config.stash[_LEFT_OUT] = f"cluster suite left out ({len(wanted)} tests): {e}"
        config.hook.pytest_deselected(items=wanted)
        items[:] = [item for item in items if item not in wanted]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if reason := config.stash.get(_LEFT_OUT, ""):
        terminalreporter.write_line(reason, yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, left out is failed; elsewhere, nothing left to run is no failure."""
    if not session.config.stash.get(_LEFT_OUT, ""):
        return
    if os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return locate()


@pytest.fixture(scope="module")
def start_cluster(binaries: Binaries) -> Iterator[Callable[[Options], ControlPlane]]:
    """Starts clusters with options of the test's choice; all end with the test module."""
    with ExitStack() as running:
        yield lambda options: running.enter_context(ControlPlane(options, binaries))


@pytest.fixture(scope="module")
def sink() -> Iterator[WebhookSink]:
    """Receives audit webhook batches."""
    sink = WebhookSink()
    yield sink
    sink.close()
