"""Stores on a disk and on an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from tests.object_store import ObjectStore, object_store


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """The object store of all tests, each of which has a prefix of its own."""
    with object_store(tmp_path_factory.mktemp("objects") / "weed") as server:
        yield server


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`--store` of a new, empty store that several states of this test may use."""
    if request.param == "disk":
        return str(tmp_path / "shared")
    server: ObjectStore = request.getfixturevalue("objects")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server.uri(tmp_path.name)


@pytest.fixture
def paths(tmp_path: Path, shared: str) -> StatePaths:
    """A state with a store of that kind."""
    return StatePaths(tmp_path / "state", shared).create()
