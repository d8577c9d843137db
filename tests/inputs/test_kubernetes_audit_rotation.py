"""A log file under rotation: every line once, whatever is done to the file between two looks."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from kubewitness.inputs.rotated_names import RotatedNames
from kubewitness.inputs.rotation import Block, RotatedFile
from tests.faults import Fault


def read_all(follower: RotatedFile, now: float, *, final: bool = False) -> list[bytes]:
    lines: list[bytes] = []
    while (block := follower.next_block(now, final=final)) is not None:
        lines += block.data.rstrip(b"\n").split(b"\n")
    return lines


def line(n: int) -> bytes:
    return b'{"auditID":"%06d","pad":"%s"}' % (n, b"x" * (n * 37 % 300))


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as f:
        f.write(data)


def test_a_file_that_comes_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    follower = RotatedFile(tmp_path / "audit.log", None)
    assert read_all(follower, 1.0) == []
    write(tmp_path / "audit.log", b"a\nb\n")
    assert read_all(follower, 2.0) == [b"a", b"b"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"one\ntw")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"one"]
    assert read_all(follower, 2.0) == []
    write(log, b"o\n")
    assert read_all(follower, 3.0) == [b"two"]


def test_a_line_without_newline_at_the_definite_end_is_a_line(tmp_path: Path) -> None:
    write(tmp_path / "audit.log", b"one\ntwo")
    assert read_all(RotatedFile(tmp_path / "audit.log", None), 1.0, final=True) == [b"one", b"two"]


def test_renamed_files_are_read_to_their_end_before_the_new_one(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"1\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1"]
    write(log, b"2\n")
    log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    write(log, b"3\n")
    log.rename(tmp_path / "audit-2026-11-22T10-00-01.000.log")
    write(log, b"4\n")
    assert read_all(follower, 2.0) == [b"2", b"3", b"4"]


@pytest.mark.parametrize("name", ["0.log", "audit.log"])
def test_a_time_in_the_name_counts_before_that_of_the_compression(tmp_path: Path, name: str) -> None:
    log = tmp_path / name
    write(log, b"1\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1"]
    for n in range(2, 5):  # the kubelet compresses a file when the next one is rotated
        old = tmp_path / (f"0.log.20261122-21000{n}" if name == "0.log" else f"audit-2026-11-22T21-00-0{n}.000.log")
        log.rename(old)
        if n < 4:
            packed = old.with_name(old.name + ".gz")
            packed.write_bytes(gzip.compress(old.read_bytes()))
            old.unlink()
            os.utime(packed, (2e9 + n, 2e9 + n))
        write(log, b"%d\n" % n)
    assert read_all(follower, 2.0) == [b"2", b"3", b"4"]


def test_a_rotation_in_the_middle_of_a_look_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happens: list[Callable[[], None]] = []
    look = RotatedNames.all

    def busy(names: RotatedNames) -> list[Path]:
        """Something happens to the folder after each look at its names."""
        found = look(names)
        if happens:
            happens.pop(0)()
        return found

    monkeypatch.setattr(RotatedNames, "all", busy)
    log = tmp_path / "0.log"
    write(log, b"1\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1"]

    def rotate(n: int) -> None:
        log.rename(tmp_path / f"0.log.20261122-21000{n}")
        write(log, b"%d\n" % n)

    def compress(n: int) -> None:
        old = tmp_path / f"0.log.20261122-21000{n}"
        (tmp_path / f"{old.name}.gz").write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()

    rotate(2)
    rotate(3)
    happens += [partial(rotate, 4), partial(compress, 3), partial(rotate, 5)]
    assert read_all(follower, 2.0) == [b"2", b"3", b"4", b"5"]
    assert not happens


def test_a_file_that_is_compressed_while_its_folder_is_listed_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "0.log"
    write(log, b"1\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1"]
    for n in (2, 3):
        log.rename(tmp_path / f"0.log.20261122-21000{n}")
        write(log, b"%d\n" % n)
    log.rename(tmp_path / "0.log.20261122-210004")
    write(log, b"4\n")
    scandir = os.scandir

    @contextlib.contextmanager
    def listed(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        """The entries as they were, before the kubelet compressed one."""
        with scandir(folder) as entries:
            found = list(entries)
        old = tmp_path / "0.log.20261122-210003"
        if old.exists():
            (tmp_path / f"{old.name}.gz").write_bytes(gzip.compress(old.read_bytes()))
            old.unlink()
        yield found

    monkeypatch.setattr(os, "scandir", listed)
    assert read_all(follower, 2.0) == [b"2", b"3", b"4"]
    (tmp_path / "0.log.20261122-210009").symlink_to("nothing")
    log.rename(tmp_path / "0.log.20261122-210005")
    write(log, b"5\n")
    assert read_all(follower, 3.0) == [b"5"]


def test_a_writer_that_keeps_writing_to_the_renamed_file_is_heard(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    with log.open("ab", buffering=0) as old:
        old.write(b"1\n")
        follower = RotatedFile(log, None, rotate_wait=5.0)
        assert read_all(follower, 1.0) == [b"1"]
        log.rename(tmp_path / "audit.log.1")
        write(log, b"3\n")
        assert read_all(follower, 2.0) == [b"3"]
        old.write(b"2\n")
        assert read_all(follower, 3.0) == [b"2"]


def test_files_that_were_read_are_closed_though_newer_ones_never_stop_coming(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"0\n")
    follower = RotatedFile(log, None, rotate_wait=5.0)
    for n in range(1, 60):
        log.rename(tmp_path / f"audit-2026-11-22T10-00-{n:02}.000.log")
        write(log, b"%d\n" % n)
        block = follower.next_block(float(n))  # one block a second, as many as there come: never None
        assert block is not None
        assert block.data == b"%d\n" % (n - 1)
        assert len(msgspec.json.decode(follower.position())["files"]) <= 9
    assert read_all(follower, 60.0) == [b"59"]


def test_files_rotated_while_nobody_looked_are_found_after_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"1 first\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1 first"]
    saved = follower.position()
    follower.close()
    write(log, b"2 rest\n")
    log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    write(log, b"3 whole file missed\n")
    log.rename(tmp_path / "audit-2026-11-22T10-00-01.000.log")
    write(log, b"4 live\n")
    again = RotatedFile(log, saved)
    assert read_all(again, 2.0) == [b"2 rest", b"3 whole file missed", b"4 live"]
    assert again.lost == []


def test_what_was_not_read_before_a_copytruncate_comes_from_the_copy(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"1 aaaa\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1 aaaa"]
    write(log, b"2 bbbb\n")
    shutil.copyfile(log, tmp_path / "audit.log.1")
    os.truncate(log, 0)
    write(log, b"3 cccc\n")
    assert sorted(read_all(follower, 2.0)) == [b"2 bbbb", b"3 cccc"]
    assert follower.truncations == 1


def test_old_rotated_files_are_not_taken_up_at_first_sight(tmp_path: Path) -> None:
    write(tmp_path / "audit-2026-01-01T00-00-00.000.log", b"old\n")
    write(tmp_path / "audit.log", b"new\n")
    follower = RotatedFile(tmp_path / "audit.log", None)
    assert read_all(follower, 1.0) == [b"new"]
    (tmp_path / "audit.log").rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    write(tmp_path / "audit.log", b"newer\n")
    assert read_all(follower, 2.0) == [b"newer"]


def test_a_file_that_vanished_unread_is_told(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"1\n")
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == [b"1"]
    saved = follower.position()
    follower.close()
    log.rename(tmp_path / "elsewhere")
    write(log, b"2 other file\n")
    again = RotatedFile(log, saved)
    assert read_all(again, 2.0) == [b"2 other file"]
    assert [offset for _, offset in again.lost] == [2]


def test_a_line_over_the_limit_is_stepped_over_and_told_with_its_length(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"before\n" + b"x" * 3_000_000 + b"\nafter\n")
    follower = RotatedFile(log, None, line_limit=1_000_000)
    blocks: list[Block] = []
    while (block := follower.next_block(1.0)) is not None:
        blocks.append(block)
    assert [(b.offset, b.length, b.data[:6]) for b in blocks] == [
        (0, 0, b"before"),
        (7, 3_000_000, b"xxxxxx"),
        (3_000_008, 0, b"after\n"),
    ]


@pytest.mark.parametrize("seed", range(60))
def test_random_writes_rotations_and_restarts_lose_nothing_and_repeat_nothing(
    tmp_path: Path, seed: int, fault: Fault
) -> None:
    """Renames (both namings), restarts and half lines in any order; copies too, where the copy is told by its start."""
    rng = random.Random(int(os.environ.get("KUBEWITNESS_SEED", "0")) * 1000 + seed)
    log = tmp_path / "audit.log"
    written = 0
    got: list[bytes] = []
    first = RotatedFile(log, None)
    follower: RotatedFile | None = first
    saved = first.position()
    pending = b""
    rotations = 0
    now = 1.0
    for _ in range(120):
        action = rng.random()
        if action < 0.5:
            data = pending
            for _ in range(rng.randint(1, 20)):
                data += line(written) + b"\n"
                written += 1
            cut = rng.randint(0, 10) if rng.random() < 0.4 else 0
            pending = data[len(data) - cut :]
            write(log, data[: len(data) - cut])
        elif action < 0.62 and log.exists():
            write(log, pending)  # rotations keep lines whole
            pending = b""
            rotations += 1
            if rng.random() < 0.6:
                log.rename(tmp_path / f"audit-2026-11-22T10-00-{rotations:02d}.000.log")
            else:
                log.rename(tmp_path / f"audit.log.{rotations}")
        elif action < 0.7 and log.exists():
            write(log, pending)
            pending = b""
            rotations += 1
            shutil.copyfile(log, tmp_path / f"audit.log.{rotations}")
            os.truncate(log, 0)
        elif action < 0.8 and follower is not None:
            follower.close()
            follower = None
        else:
            if follower is None:
                follower = RotatedFile(log, saved)
            now += rng.choice((0.2, 0.2, 6.0))
            for _ in range(rng.randint(1, 5)):
                block = follower.next_block(now)
                if block is None:
                    break
                got += block.data.rstrip(b"\n").split(b"\n")
                saved = follower.position()
    write(log, pending)
    follower = follower or RotatedFile(log, saved)
    got += read_all(follower, now + 1)
    got += read_all(follower, now + 10)
    follower.close()
    expected = [line(n) for n in range(written)]
    missing = set(expected) - set(got)
    assert not missing, f"seed {seed}: {len(missing)} of {written} lines lost"
    assert len(got) == len(set(got)), f"seed {seed}: {len(got) - len(set(got))} lines came twice"
    fault("rename and copy-truncate rotation, half-written lines, restarts", said=expected, kept=got, on="file system")
