"""What is given back to the system, and that everything goes on as before."""

from __future__ import annotations

from pathlib import Path

import duckdb

from kubewitness.store.memory import give_back_code, give_back_memory


def mapped_kb() -> int:
    """Pages of files in this process's memory."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssFile:")).split()[1])


def test_code_that_was_used_is_given_back_and_comes_again_when_it_is_used() -> None:
    query = "SELECT count(*), sum(range) FROM range(1000)"
    expected = duckdb.connect().execute(query).fetchall()
    before = mapped_kb()
    give_back_code()
    assert mapped_kb() < before - 5_000
    give_back_memory()
    assert duckdb.connect().execute(query).fetchall() == expected
