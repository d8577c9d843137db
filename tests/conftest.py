"""Settings of all suites. `pytest --reliability`: only the tests that play a fault, and docs/reliability.md anew.
`pytest --keys`: tests/config/tried.json anew, which says what keys tests set (`tests.tried`)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.faults import MATRIX, PAGE, Matrix, fault, input_fault, output_fault

__all__ = ["fault", "input_fault", "output_fault"]

# A busy machine makes inputs slowly and examples late; neither says anything about the code.
settings.register_profile("kubewitness", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("kubewitness")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", action="store_true", help="run what plays a fault, and write the matrix")
    parser.addoption("--keys", action="store_true", help="note the keys that tests set")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MATRIX] = Matrix()
    if config.getoption("--keys"):
        from tests.tried import Plugin

        config.pluginmanager.register(Plugin())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--reliability"):
        items[:] = [
            item for item in items if {"fault", "input_fault", "output_fault"} & set(getattr(item, "fixturenames", ()))
        ]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--reliability") and exitstatus == 0:
        matrix = session.config.stash[MATRIX]
        matrix.keep(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "")
        PAGE.write_text(matrix.page(), encoding="utf-8")
