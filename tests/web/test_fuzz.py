"""The API against its own description: whatever is sent, no answer is a fault of the server's; all are as described."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kubewitness.store import Store
from kubewitness.web import openapi
from kubewitness.web.others import OTHERS
from tests.web.conftest import serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def address(demo_store: Store) -> Iterator[str]:
    """A server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = serving(demo_store)
    yield asyncio.run_coroutine_threadsafe(server.start(), loop).result(10).rstrip("/")
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def operations() -> dict[str, schemathesis.APIOperation[Any, Any, Any, Any]]:
    """All of them but the stream, which has no end."""
    schema = schemathesis.openapi.from_dict(openapi.describe(*OTHERS))
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {operation.label: operation for operation in found if operation.path != "/api/v1/tail"}


OPERATIONS = operations()


def play(address: str, name: str, examples: int, **options: Any) -> int:
    """Sends so many requests of an operation; how many were sent."""
    sent = 0

    @given(case=OPERATIONS[name].as_strategy())
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), **options)
    def run(case: schemathesis.Case[Any]) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(base_url=address, checks=CHECKS, timeout=40)

    run()
    return sent


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_makes_the_server_fail(address: str, name: str) -> None:
    assert play(address, name, 4, derandomize=True, phases=[Phase.generate]) > 0


@pytest.mark.soak
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_makes_the_server_fail_long(address: str, name: str) -> None:
    assert play(address, name, 500) > 0
