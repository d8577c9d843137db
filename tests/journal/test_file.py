"""The journal's file: permissions, versions, damage, a full disk, readers."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kubewitness.errors import Full, StateError
from kubewitness.journal import Journal, schema
from tests.journal.helpers import batch, contents, noise, numbered


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def edit(path: Path, sql: str, *values: object) -> None:
    con = sqlite3.connect(path)
    con.execute(sql, values)
    con.commit()
    con.close()


def child(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])},
        cwd=Path(__file__).parents[2],
    )


def test_only_the_owner_can_read_it(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([batch(numbered(1))])
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}


def test_its_id_is_made_once(path: Path) -> None:
    with Journal(path) as journal:
        first = journal.id
    with Journal(path) as again, Journal.open_readonly(path) as reader:
        assert again.id == reader.id == first
        assert len(first) == 32


def test_a_file_of_a_newer_version_is_refused_with_the_mend(path: Path) -> None:
    Journal(path).close()
    edit(path, "PRAGMA user_version=99")
    for opener in (Journal, Journal.open_readonly):
        with pytest.raises(StateError, match=r"newer kubewitness \(format 99, .*upgrade kubewitness"):
            opener(path)


def test_a_file_that_is_not_a_journal_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"notes of mine" * 1000)
    with pytest.raises(StateError, match="file is not a database"):
        Journal(path)
    assert path.read_bytes() == b"notes of mine" * 1000
    other = path.with_name("other.db")
    edit(other, "CREATE TABLE mine (x)")
    with pytest.raises(StateError, match="is not a kubewitness journal"):
        Journal(other)


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"absent/journal\.db: No such file or directory"):
        Journal(tmp_path / "absent" / "journal.db")
    with pytest.raises(StateError, match="no journal at"):
        Journal.open_readonly(tmp_path / "journal.db")


def test_a_reader_waits_for_the_tables_of_a_journal_that_is_just_being_made(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(Journal.open_readonly, path)
        with pytest.raises(TimeoutError):
            reading.result(0.2)
        with Journal(path) as journal, reading.result() as reader:
            assert reader.id == journal.id


def test_a_journal_that_stays_empty_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MADE_SECONDS", 0.1)
    (tmp_path / "journal.db").touch()
    with pytest.raises(StateError, match="is empty; record or import something first"):
        Journal.open_readonly(tmp_path / "journal.db")


def test_a_damaged_chunk_is_set_aside_and_the_others_go_on(path: Path) -> None:
    with Journal(path) as journal:
        journal.register("out")
        journal.append([batch(numbered(1), numbered(2, 3), numbered(4))])
    edit(path, "UPDATE chunk SET frame = zeroblob(length(frame)) WHERE seq = 2")
    with Journal.open_readonly(path) as reader:
        assert [d.seq for d in reader.deliveries(0)] == [1, 3]
        assert reader.stats().quarantined == 0  # a reader writes nothing
    with Journal(path) as journal:
        with journal.snapshot() as view:
            assert [f.seq for f in view.frames(0)] == [1, 3]
            assert view.damaged == [2]
        stats = journal.stats()
        assert (stats.quarantined, stats.quarantined_records, stats.held.chunks) == (1, 2, 2)
        assert list(contents(journal)) == [b'{"n":1}', b'{"n":4}']
        journal.advance("out", 3)
        assert journal.stats().held.size == 0
        assert journal.stats().quarantined == 1


def test_a_damaged_header_is_noticed_too(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([batch(numbered(1), numbered(2))])
    edit(path, "UPDATE chunk SET header = CAST(replace(CAST(header AS TEXT), 'test', 'tesu') AS BLOB) WHERE seq = 1")
    with Journal(path) as journal:
        assert list(contents(journal)) == [b'{"n":2}']
        assert journal.stats().quarantined == 1


UNCLEAN = """
    import os, sys
    from kubewitness.journal import Journal
    from tests.journal.helpers import batch, numbered
    journal = Journal(sys.argv[1])
    journal.append([batch(numbered(*range(1000)))])
    os._exit(0)
"""


def test_a_process_that_died_is_noticed_once_and_loses_nothing(path: Path) -> None:
    assert child(UNCLEAN, path).returncode == 0
    with Journal(path) as journal:
        assert journal.was_unclean
        assert len(list(contents(journal))) == 1000
        with Journal(path) as other:
            assert not other.was_unclean  # the first one is alive
    with Journal(path) as journal:
        assert not journal.was_unclean


def test_a_file_damaged_by_a_crash_is_refused_with_the_mend(path: Path) -> None:
    assert child(UNCLEAN, path).returncode == 0
    with Journal(path) as journal:
        journal.append([batch(noise(200_000, 1))])
    with Journal(path):  # leaves its mark, as a process that dies does
        edit(path, "INSERT INTO opener VALUES ('dead', 1073741824, '1')")
    raw = bytearray(path.read_bytes())
    for page in range(3, len(raw) // 8192, 2):
        raw[page * 8192 : page * 8192 + 600] = os.urandom(600)
    path.write_bytes(raw)
    with pytest.raises(StateError, match=r"is damaged .*move it out of the way"):
        Journal(path)


def test_a_disk_without_room_is_full_and_works_again_when_there_is_room(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([batch(numbered(1), p=b"1")])
        pages = journal._con.execute("PRAGMA page_count").fetchone()[0]
        journal._con.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(Full, match="no room on the disk"):
            journal.append([batch(numbered(2), p=b"2"), batch(noise(100_000, 1))])
        assert journal.position("p") == b"1"
        journal._con.execute("PRAGMA max_page_count=1000000")
        assert [t.stored for t in journal.append([batch(numbered(2), p=b"2"), batch(noise(100_000, 1))])] == [1, 1]


FILE_SIZE_LIMIT = """
    import resource, sys
    from kubewitness.errors import Full
    from kubewitness.journal import Journal
    from tests.journal.helpers import batch, noise
    journal = Journal(sys.argv[1])
    journal.register("out")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
    stored = 0
    try:
        for seed in range(100):
            journal.append([batch(noise(300_000, seed), last=b"%d" % seed)])
            stored += 1
    except Full as e:
        print("full after", stored, "position", int(journal.position("last")) + 1, "held", len(journal.frames(0)))
        print(e)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append([batch(noise(300_000, stored), last=b"%d" % stored)])
    journal.advance("out", 2)
    print("now", len(journal.frames(0)))
    journal.close()
"""


def test_a_limit_of_the_operating_system_is_survived_with_nothing_half_written(path: Path) -> None:
    done = child(FILE_SIZE_LIMIT, path)
    assert done.returncode == 0, done.stderr
    first, message, last = done.stdout.splitlines()
    words = first.split()
    stored = int(words[2])
    assert stored >= 3
    assert (words[4], words[6]) == (str(stored), str(stored))
    assert "no room on the disk" in message
    assert last == f"now {stored - 1}"
    with Journal(path) as journal:
        assert [f.seq for f in journal.frames(0)] == list(range(3, stored + 2))


def test_a_reader_refuses_to_write(path: Path) -> None:
    Journal(path).close()
    with Journal.open_readonly(path) as reader:
        with pytest.raises(StateError, match="for reading only"):
            reader.append([batch(numbered(1))])
        with pytest.raises(StateError, match="for reading only"):
            reader.register("out")


def test_a_reader_sees_what_others_append_meanwhile(path: Path) -> None:
    with Journal(path) as journal, Journal.open_readonly(path) as reader:
        assert reader.last_seq == 0
        journal.append([batch(numbered(1))])
        assert reader.last_seq == 1
        assert list(contents(reader)) == [b'{"n":1}']


def test_many_processes_may_create_it_at_once(path: Path) -> None:
    code = """
    import sys
    from kubewitness.journal import Journal
    from tests.journal.helpers import batch, numbered
    with Journal(sys.argv[1]) as journal:
        n = int(sys.argv[2])
        for i in range(20):
            journal.append([batch(numbered(i, 1000 * (n + 1) + i))])
        print(journal.id)
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    args = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    processes = [
        subprocess.Popen([*args, str(n)], stdout=subprocess.PIPE, text=True, env=env, cwd=Path(__file__).parents[2])
        for n in range(4)
    ]
    ids = {p.communicate(timeout=60)[0].strip() for p in processes}
    assert [p.returncode for p in processes] == [0, 0, 0, 0]
    with Journal(path) as journal:
        assert ids == {journal.id}
        assert len(list(contents(journal))) == 20 + 4 * 20
        assert journal.stats().duplicates == 3 * 20
