"""One browser and one served demo for the whole suite; a fresh page for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import stage


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with stage.launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def demo_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = stage.demo_state(tmp_path_factory.mktemp("demo") / "state")
    with stage.served(state) as address:
        yield address


@pytest.fixture
def demo_page(browser: Browser, demo_address: str) -> Iterator[stage.Sheet]:
    with stage.sheet(browser, demo_address, viewport={"width": 1280, "height": 800}) as made:
        yield made
    assert made.faults == []


@pytest.fixture
def empty_page(browser: Browser, tmp_path: Path) -> Iterator[stage.Sheet]:
    with (
        stage.served(stage.empty_state(tmp_path / "state")) as address,
        stage.sheet(browser, address, viewport={"width": 1280, "height": 800}) as made,
    ):
        yield made
    assert made.faults == []
