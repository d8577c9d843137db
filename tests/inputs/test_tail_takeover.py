"""Input `tail` in the place of Fluent Bit's: it goes on where that one's `db` says it stopped."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubewitness.inputs import tail as module
from kubewitness.inputs.tail import Tail
from kubewitness.inputs.tail_takeover import taken_over
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(module, "_LOOK", 0.02)


def fluent_bit_stopped(db: Path, *files: tuple[Path, int]) -> None:
    """A `db` as it leaves one: (file, offset) each."""
    with contextlib.closing(sqlite3.connect(db)) as con, con:
        con.execute("PRAGMA journal_mode=WAL")
        con.execute(
            "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER, "
            "created INTEGER, rotated INTEGER DEFAULT 0)"
        )
        for path, offset in files:
            con.execute(
                "INSERT INTO in_tail_files (name, offset, inode, created) VALUES (?, ?, ?, 0)",
                (str(path), offset, path.stat().st_ino),
            )


def lines(sink: Kept) -> list[str]:
    return [raw.decode() for raw, _ in sink.records("logs")]


async def read(sink: Kept, place: Path, wanted: Sequence[str]) -> None:
    source = Tail({"path": f"{place}/*.log", "db": f"{place}/flb.db", "rotate_wait": "100ms"})
    async with running(source, sink):
        await until(lambda: sorted(lines(sink)) == sorted(wanted))


async def test_it_goes_on_at_the_offsets_and_reads_new_files_from_the_head(tmp_path: Path) -> None:
    known, new = tmp_path / "known.log", tmp_path / "new.log"
    known.write_text("one\ntwo\n")
    fluent_bit_stopped(tmp_path / "flb.db", (known, 4))
    new.write_text("three\n")
    sink = Kept()
    await read(sink, tmp_path, ["two", "three"])
    with known.open("a") as f:
        f.write("four\n")
    await read(sink, tmp_path, ["two", "three", "four"])


async def test_what_was_written_and_rotated_meanwhile_is_read_too(tmp_path: Path) -> None:
    log, older = tmp_path / "app.log", tmp_path / "app.log.2"
    older.write_text("read long ago\n")
    os.utime(older, (1_700_000_000, 1_700_000_000))
    log.write_text("one\ntwo\n")
    fluent_bit_stopped(tmp_path / "flb.db", (log, 4))
    with log.open("a") as f:
        f.write("three\n")
    log.rename(tmp_path / "app.log.1")
    log.write_text("four\n")
    sink = Kept()
    await read(sink, tmp_path, ["two", "three", "four"])


async def test_a_file_that_was_cut_since_is_read_from_its_head(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\ntwo\n")
    fluent_bit_stopped(tmp_path / "flb.db", (log, 8))
    log.write_text("new\n")
    await read(Kept(), tmp_path, ["new"])


async def test_it_is_asked_only_once(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\ntwo\n")
    fluent_bit_stopped(tmp_path / "flb.db", (log, 0))
    sink = Kept()
    await read(sink, tmp_path, ["one", "two"])
    await read(sink, tmp_path, ["one", "two"])


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_what_is_no_db_of_fluent_bits_says_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "flb.db").write_bytes(content)
    assert taken_over(tmp_path / "flb.db") is None
