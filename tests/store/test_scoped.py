"""A session on what somebody may read: nothing else is in it, however it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kubewitness.config.state import state_paths
from kubewitness.contracts import Batch
from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.formats.scope import POD_LOGS, Scope
from kubewitness.journal import Journal
from kubewitness.store import Store
from kubewitness.store.sandbox import run_sql
from kubewitness.store.schema import TABLE_COLUMNS
from kubewitness.web.accesslog import AccessLog
from tests.questions.builder import Trail
from tests.questions.recordings import imported, written
from tests.store.states import audit_chunk, audit_line


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("scoped")
    trail = Trail()
    for n in range(20):
        trail.add(n, "alice", "update", "configmaps", f"open-{n}", namespace="shop")
        trail.add(n, "alice", "update", "configmaps", f"hidden-{n}", namespace="vault")
        trail.add(n, "alice", "get", "secrets", f"hidden-secret-{n}", namespace="shop")
        trail.add(n, "alice", "get", "nodes", f"hidden-node-{n}", namespace="")
        trail.add(n, "alice", "update", "deployments", f"hidden-deploy-{n}", namespace="shop", group="apps")
    paths = imported(folder / "state", [written(folder / "capture", trail.events)])
    store = Store(paths)
    yield store
    store.close()


SHOP = Scope("default", within=frozenset({("shop", "", "configmaps"), ("shop", "", "events"), ("shop", "", "pods")}))


def test_only_readable_resources_of_readable_namespaces_are_there(store: Store) -> None:
    with store.session(scope=SHOP) as session:
        rows = session.query("SELECT DISTINCT namespace, resource FROM audit")
        assert rows == [("shop", "configmaps")]
        assert session.query("SELECT count(*) FROM audit") == [(20,)]
        assert session.query("SELECT DISTINCT namespace FROM activity") == [("shop",)]


def test_a_right_everywhere_lets_through_every_namespace_and_what_is_in_none(store: Store) -> None:
    scope = Scope("default", anywhere=frozenset({("", "nodes"), ("", "configmaps")}))
    with store.session(scope=scope) as session:
        rows = session.query("SELECT DISTINCT namespace, resource FROM audit ORDER BY 1, 2")
    assert rows == [("", "nodes"), ("shop", "configmaps"), ("vault", "configmaps")]


def test_no_rights_are_no_rows_in_any_table(store: Store) -> None:
    for scope in (Scope("default"), Scope("other", everything=True)):
        with store.session(scope=scope) as session:
            assert [session.query(f"SELECT count(*) FROM {t}")[0][0] for t in TABLE_COLUMNS] == [0] * len(TABLE_COLUMNS)


def test_a_name_with_a_quote_is_a_name(store: Store) -> None:
    scope = Scope("default", within=frozenset({("shop' OR '1'='1", "", "configmaps")}))
    with store.session(scope=scope) as session:
        assert session.query("SELECT count(*) FROM audit") == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM audit",
        "SELECT raw FROM audit",
        "SELECT name, raw FROM audit WHERE raw LIKE '%hidden%'",
        "SELECT * FROM activity",
        "SELECT summary FROM activity",
        "SELECT a FROM audit a",
        "SELECT audit FROM audit",
        "SELECT COLUMNS('na.*') FROM audit",
        "WITH x AS (SELECT name FROM audit) SELECT * FROM x",
        "SELECT max(name), min(name), count(*) FROM audit",
        "SELECT name FROM audit UNION ALL SELECT name FROM activity",
        "SUMMARIZE audit",
        "DESCRIBE audit",
        "EXPLAIN ANALYZE SELECT name FROM audit WHERE name LIKE 'hidden%'",
        "SELECT name FROM audit WHERE CAST(substr(name, 1, 1) AS INTEGER) > 0",
        "SELECT error(name) FROM audit WHERE name LIKE 'hidden%'",
        "SELECT CASE WHEN name LIKE 'hidden%' THEN error(name) END FROM audit",
        "SELECT count(*) FROM audit WHERE CASE WHEN namespace = 'vault' THEN 1/(SELECT 0) = 1 ELSE true END",
        "SELECT (name || namespace)::INTEGER FROM audit ORDER BY name DESC LIMIT 1",
        "SELECT * FROM kw_audit_0",
        "SELECT * FROM kw_own_audit",
        "SELECT name FROM main.audit",
        "SELECT name FROM temp.audit",
    ],
)
def test_no_query_shows_what_is_hidden_neither_in_its_answer_nor_in_its_error(store: Store, sql: str) -> None:
    try:
        said = repr(run_sql(store, sql, scope=SHOP).rows)
    except KubewitnessError as e:
        said = str(e)
        assert "open-" in said or "hidden" not in said.replace("hidden%", "")
    assert "hidden-" not in said
    assert "vault" not in said.replace("'vault'", "")


def test_an_error_that_only_hidden_rows_could_cause_does_not_happen(store: Store) -> None:
    oracle = "SELECT count(*) FROM audit WHERE CASE WHEN name LIKE 'hidden%' THEN error('seen') ELSE true END"
    assert run_sql(store, oracle, scope=SHOP).rows == [(20,)]
    with pytest.raises(UsageError, match="seen"):
        run_sql(store, oracle.replace("hidden%", "open%"), scope=SHOP)


def test_an_operator_of_the_only_cluster_is_answered_as_ever(store: Store) -> None:
    everything = Scope("default", everything=True)
    sql = "SELECT count(*), count(DISTINCT name) FROM audit"
    assert run_sql(store, sql, scope=everything).rows == run_sql(store, sql).rows == [(100, 100)]


def test_uncommitted_rows_are_hidden_too(tmp_path: Path) -> None:
    paths = state_paths(str(tmp_path / "state"))
    with Journal(paths.create().journal) as journal:
        journal.append([Batch([audit_chunk([audit_line(1), audit_line(2).replace(b'"shop"', b'"vault"')])])])
    store = Store(paths)
    scope = Scope("default", within=frozenset({("shop", "", "pods"), ("shop", "", POD_LOGS)}))
    with store.session(scope=scope) as session:
        assert session.query("SELECT namespace FROM audit") == [("shop",)]
    assert run_sql(store, "SELECT namespace FROM audit WHERE raw LIKE '%auditID%'", scope=scope).rows == [("shop",)]
    store.close()


def test_who_asked_what_is_a_table_for_those_who_see_everything(tmp_path: Path) -> None:
    paths = imported(tmp_path / "state", [written(tmp_path / "capture", Trail().events)])
    asked = "SELECT \"user\", path, asked->>'$.q[0]', status, epoch_us(ts) FROM access"
    everything = Scope("default", everything=True)
    store = Store(paths)
    try:
        assert run_sql(store, asked).rows == []
        log = AccessLog(paths.access_log, clock=lambda: 1_700_000_000_000_000_000)
        app = web.Application(middlewares=[log.middleware()])
        app.router.add_get("/api/v1/search", _ok)
        asyncio.run(_get(app, "/api/v1/search?q=it's"))
        log.close()
        with paths.access_log.open("a") as f:
            f.write('{"when":"2026-11-')  # being written
        row = (None, "/api/v1/search", "it's", 200, 1_700_000_000_000_000)
        assert run_sql(store, asked).rows == [row]
        assert run_sql(store, asked, scope=everything).rows == [row]
        assert run_sql(store, asked, scope=SHOP).rows == []
        paths.access_log.rename(f"{paths.access_log}.1")
        paths.access_log.write_text("")
        assert run_sql(store, asked).rows == [row]
    finally:
        store.close()


async def _ok(_request: web.Request) -> web.Response:
    return web.Response()


async def _get(app: web.Application, path: str) -> None:
    async with TestClient(TestServer(app)) as client:
        assert (await client.get(path)).status == 200
