"""The files of input `tail` looked at by hand: what a look finds while names are missing, and what is closed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.tail_files import Choice, FileSet
from kubewitness.inputs.tail_lines import Lines
from kubewitness.record import Origin

WAIT = 0.05


class Looks:
    """A file set, and positions as the journal keeps them."""

    def __init__(self, path: Path, **choice: object) -> None:
        self.files = FileSet(
            Choice((str(path),), form="text", rotate_wait=WAIT, **choice),  # type: ignore[arg-type]
            Lines("text"),
            Origin(""),
            Ingest("default", "tail"),
        )
        self.positions: dict[str, bytes] = {}
        self.lines: list[bytes] = []

    def look(self) -> None:
        for path, target in self.files.scan():
            self.files.take_up(path, target, self.positions.get(target), "rotated")
        while True:
            chunks, positions = self.files.read()
            self.lines += [raw for chunk in chunks for raw in chunk.records()]
            self.positions |= positions
            if not chunks:
                return


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(line + "\n" for line in lines))


def test_a_name_that_is_missing_at_two_looks_may_have_been_there_between_them(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    write(log, "1")
    looks = Looks(log)
    looks.look()
    for n in range(2, 8, 2):
        write(log, f"{n}")
        log.rename(tmp_path / f"0.log.20261122-21000{n}")
        looks.look()  # in the middle of a rotation
        time.sleep(2 * WAIT)
        write(log, f"{n + 1}", f"half {n + 1}")
    looks.look()
    assert looks.files.lost == 0
    expected = [b"1"] + [line for n in range(2, 8, 2) for line in (b"%d" % n, b"%d" % (n + 1), b"half %d" % (n + 1))]
    assert looks.lines == expected


def test_what_is_renamed_for_good_is_read_on_where_it_was_when_its_name_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    write(log, "1", "2")
    looks = Looks(log)
    looks.look()
    old = tmp_path / "0.log.20261122-210001"
    log.rename(old)
    looks.look()
    time.sleep(2 * WAIT)
    looks.look()
    assert looks.files.followed == {}
    write(old, "3")  # by a writer that has not noticed
    write(log, "4")
    looks.look()
    assert looks.lines == [b"1", b"2", b"3", b"4"]


def test_files_are_counted_as_they_are_opened_rotated_and_closed(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    write(log, "1")
    looks = Looks(log)
    looks.look()
    assert looks.files.counted() == {
        "files_opened": 1, "files_closed": 0, "files_rotated": 0, "long_line_skipped": 0
    }  # fmt: skip
    log.rename(tmp_path / "0.log.20261122-210001")
    write(log, "2")
    looks.look()
    counted = looks.files.counted()
    assert (looks.lines, counted["files_opened"], counted["files_rotated"]) == ([b"1", b"2"], 2, 1)
    looks.files.close()
    assert looks.files.counted() == {
        "files_opened": 2, "files_closed": 2, "files_rotated": 1, "long_line_skipped": 0
    }  # fmt: skip


def test_a_file_that_is_too_old_is_closed_and_goes_on_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    write(log, "1", "2")
    looks = Looks(log, ignore_older=100.0, close_older=True)
    looks.look()
    os.utime(log, (time.time() - 200, time.time() - 200))
    looks.look()
    assert looks.files.followed == {}
    looks.look()
    assert looks.files.ignored == 1
    write(log, "3")
    looks.look()
    assert looks.lines == [b"1", b"2", b"3"]
