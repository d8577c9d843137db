"""SQL in a process of its own: the same answers, and whatever a query does, nothing else ends with it."""

from __future__ import annotations

import threading
import time

import pytest

from kubewitness.errors import UsageError
from kubewitness.formats.scope import Scope
from kubewitness.store import Store
from kubewitness.store.sandbox import SqlLimits, TimedOut, run_sql
from kubewitness.store.sqlprocess import run_apart
from tests.questions.builder import Trail
from tests.questions.recordings import imported, written


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("sql")
    trail = Trail()
    for n in range(50):
        trail.add(n, "alice", "get", "pods", f"web-{n}", namespace="shop" if n % 2 else "payments")
    return Store(imported(folder / "state", [written(folder / "audit", trail.events)]))


def nested(function: str, depth: int) -> str:
    value = "uri"
    for _ in range(depth):
        value = f"{function}({value})"
    return f"SELECT length({value}) FROM audit"


def test_the_answer_is_that_of_the_same_query_in_this_process(store: Store) -> None:
    sql = "SELECT verb, count(*) AS n, max(ts) AS last FROM audit GROUP BY 1"
    here, apart = run_sql(store, sql), run_apart(store.paths, sql, threading.Event())
    assert (apart.columns, apart.types) == (here.columns, here.types)
    assert apart.rows == [("get", 50, "2026-03-01T10:00:49.004000Z")]
    assert run_apart(store.paths, "SELECT name FROM audit", threading.Event(), limits=SqlLimits(rows=3)).truncated


def test_errors_and_scopes_are_those_of_this_process(store: Store) -> None:
    with pytest.raises(UsageError, match="there is no table"):
        run_apart(store.paths, "SELECT * FROM secrets", threading.Event())
    scope = Scope("default", within=frozenset({("shop", "", "pods")}))
    seen = run_apart(store.paths, "SELECT DISTINCT namespace FROM audit", threading.Event(), scope)
    assert seen.rows == [("shop",)]


def test_values_that_double_outside_of_the_databases_own_limit_end_only_their_query(store: Store) -> None:
    with pytest.raises((UsageError, TimedOut)):
        run_apart(store.paths, nested("hex", 26), threading.Event(), limits=SqlLimits(memory_mb=64, seconds=20))
    assert run_apart(store.paths, "SELECT count(*) FROM audit", threading.Event()).rows == [(50,)]


def test_a_query_that_does_not_look_for_an_interrupt_ends_when_it_is_stopped(store: Store) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    began = time.monotonic()
    with pytest.raises(TimedOut):
        run_apart(store.paths, "SELECT count(*) FROM range(10000000000) a, range(1000) b", stop)
    assert time.monotonic() - began < 15
