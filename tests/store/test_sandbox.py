"""SQL from users reads our views and nothing else, and never too long or too much."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import duckdb
import pytest

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.record import chunk_of
from kubewitness.store import Store, StoreWriter
from kubewitness.store.sandbox import SqlLimits, TimedOut, run_sql
from tests.store.states import audit_line, audit_run, event, paths_in


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    paths = paths_in(tmp_path_factory.mktemp("sandbox"))
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 2000), chunk_of("events", [(event("u1", 1, 1), b"")])])
    return Store(paths)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT source, count(*) FROM activity GROUP BY 1",
        "WITH x AS (SELECT * FROM audit) SELECT count(*) FROM x",
        "FROM events",
        "SELECT * FROM audit ORDER BY ts DESC LIMIT 3;",
        "EXPLAIN SELECT * FROM audit",
        "EXPLAIN ANALYZE SELECT count(*) FROM audit",
        "/* a remark */ SELECT 1",
        "DESCRIBE audit",
        "SELECT unnest(groups) AS g, count(*) FROM audit GROUP BY 1",
        "SELECT * FROM range(3)",
        "VALUES (1), (2)",
        "SELECT a.name FROM audit a JOIN events e ON a.object_key = e.object_key LIMIT 1",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
    ],
)
def test_one_select_or_explain_is_answered(store: Store, sql: str) -> None:
    assert run_sql(store, sql).rows


ATTACKS = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/*')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM parquet_scan('/tmp/other.parquet')",
    "SELECT * FROM read_parquet(['/tmp/other.parquet'])",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT (SELECT getenv('HOME') FROM audit LIMIT 1)",
    "SELECT * FROM audit WHERE name = getenv('HOME')",
    "WITH x AS (SELECT getenv('HOME')) SELECT * FROM x",
    "EXPLAIN ANALYZE SELECT getenv('HOME')",
    "EXPLAIN ANALYZE COPY audit TO '/tmp/kubewitness-out.csv'",
    "COPY audit TO '/tmp/kubewitness-out.csv'",
    "COPY (SELECT 1) TO '/tmp/kubewitness-out.csv'",
    "EXPORT DATABASE '/tmp/kubewitness-out'",
    "ATTACH '/tmp/kubewitness-out.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "PRAGMA enable_profiling='json'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW audit",
    "CREATE TABLE t AS SELECT 1",
    "DROP VIEW audit",
    "DELETE FROM audit",
    "INSERT INTO audit SELECT * FROM audit",
    "CALL duckdb_settings()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('audit')",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pg_catalog.pg_views",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM query('SELECT getenv(''HOME'')')",
    "SELECT * FROM query_table('audit')",
    "SHOW ALL TABLES",
    "SHOW DATABASES",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "VACUUM",
    "CHECKPOINT",
    "BEGIN",
    "SELECT * FROM temp.audit",
    "SELECT kw_raw(1, 0, 0, 10)",
    "WITH duckdb_views AS (SELECT 1) SELECT * FROM duckdb_views",
    "SUMMARIZE '/etc/passwd'",
    "SELECT repeat('x', 2000000000)",
    "SELECT rpad('x', 2000000000, 'y')",
    "SELECT printf('%2000000000d', 1)",
    "SELECT range(2000000000)",
    "DESCRIBE SELECT * FROM '/etc/passwd'",
    "",
    ";",
    "SELEC 1",
]


@pytest.mark.parametrize("sql", ATTACKS)
def test_everything_else_is_refused_in_one_line(store: Store, sql: str) -> None:
    with pytest.raises(UsageError) as caught:
        run_sql(store, sql)
    assert "\n" not in str(caught.value)
    assert not Path("/tmp/kubewitness-out.csv").exists()


def test_the_second_wall_holds_without_the_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubewitness.store import sandbox

    monkeypatch.setattr(sandbox, "check", lambda con, sql: None)
    for sql in [*ATTACKS[:10], "COPY (SELECT 1) TO '/tmp/kubewitness-out.csv'", "ATTACH '/tmp/kubewitness-out.db'"]:
        with pytest.raises(KubewitnessError):
            run_sql(store, sql)
    for sql in ("SET enable_external_access = true", "SET memory_limit = '90GB'", "RESET lock_configuration"):
        with pytest.raises(KubewitnessError):
            run_sql(store, sql)
    assert not Path("/tmp/kubewitness-out.csv").exists()


def test_raw_is_the_original_text_and_can_be_searched(store: Store) -> None:
    result = run_sql(store, "SELECT raw FROM audit WHERE raw LIKE '%000000000007%' AND audit_id LIKE '%0007' LIMIT 1")
    assert result.rows == [(audit_line(7).decode(),)]
    assert run_sql(store, "SELECT raw->>'$.verb' FROM audit LIMIT 1").rows == [("get",)]


def test_an_answer_stops_at_the_limit_and_says_so(store: Store) -> None:
    result = run_sql(store, "SELECT * FROM audit", SqlLimits(rows=10))
    assert (len(result.rows), result.truncated) == (10, True)
    assert run_sql(store, "SELECT * FROM audit LIMIT 10", SqlLimits(rows=10)).truncated is False
    big = run_sql(store, "SELECT uri FROM audit, range(100)", SqlLimits(rows=10**6, bytes=100_000))
    assert big.truncated
    assert len(big.rows) < 5000


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM audit a, audit b, audit c WHERE hash(a.audit_id || b.audit_id || c.audit_id) % 7 = 1",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        "SELECT count(*) FROM range(100000000000)",
    ],
)
def test_a_query_that_takes_too_long_is_stopped(store: Store, sql: str) -> None:
    began = time.monotonic()
    with pytest.raises((TimedOut, UsageError)):
        run_sql(store, sql, SqlLimits(seconds=0.5, memory_mb=128))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list(a.uri || b.uri) FROM audit a, audit b",
        "WITH RECURSIVE n(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM n) SELECT max(length(s)) FROM n",
        "SELECT string_agg(a.uri || b.uri, '') FROM audit a, audit b, range(100)",
    ],
)
def test_a_query_that_takes_too_much_memory_fails_alone(store: Store, sql: str) -> None:
    with pytest.raises((UsageError, TimedOut)):
        run_sql(store, sql, SqlLimits(memory_mb=128, seconds=20))
    assert run_sql(store, "SELECT count(*) FROM audit").rows == [(2000,)]


def test_a_query_can_be_stopped_from_outside(store: Store) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(TimedOut, match="stopped"):
        run_sql(store, "SELECT count(*) FROM range(100000000000)", SqlLimits(seconds=30), stop)


def test_errors_do_not_tell_where_the_files_are(store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        run_sql(store, "SELECT nothing FROM audit")
    assert str(store.directory) not in str(caught.value)
    assert duckdb.__version__
