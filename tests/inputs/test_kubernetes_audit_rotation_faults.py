"""What file systems and rotators do to a log beside plain rotation: compress, remove, show late, reuse inodes."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import random
from pathlib import Path

import pytest

from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.audit_file import AuditFile
from kubewitness.inputs.gunzip import Gunzip
from kubewitness.inputs.kubernetes_audit import KubernetesAudit
from kubewitness.inputs.rotation import RotatedFile
from tests.faults import Fault
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept
from tests.inputs.test_kubernetes_audit_rotation import read_all, write
from tests.inputs.test_kubernetes_audit_webhook import event, ids


def compress(path: Path) -> Path:
    """As kube-apiserver with --audit-log-compress, and logrotate, do it."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def stopped_after(log: Path, *lines: bytes) -> bytes:
    """The position of a follower that read these lines and ended."""
    write(log, b"".join(line + b"\n" for line in lines))
    follower = RotatedFile(log, None)
    assert read_all(follower, 1.0) == list(lines)
    saved = follower.position()
    follower.close()
    return saved


@pytest.mark.parametrize("rotated", ["audit-2026-11-22T10-00-00.000.log", "audit.log.1"])
def test_a_file_compressed_while_nobody_read_it_is_read_on_from_where_it_was_left(
    tmp_path: Path, rotated: str, fault: Fault
) -> None:
    log = tmp_path / "audit.log"
    saved = stopped_after(log, b"1 read before")
    write(log, b"2 not yet\n" + b"3 nor this\n")
    compress(log.rename(tmp_path / rotated))
    write(log, b"4 live\n")
    again = RotatedFile(log, saved, rotate_wait=5.0)
    got = read_all(again, 2.0)
    assert got == [b"2 not yet", b"3 nor this", b"4 live"]
    assert read_all(again, 9.0) == []
    assert again.lost == []
    fault(
        "rotated and compressed while nobody read",
        said=[b"2 not yet", b"3 nor this", b"4 live"],
        kept=got,
        on="file system",
    )
    after = again.position()
    again.close()
    assert read_all(RotatedFile(log, after), 10.0) == [], "and not again after the next restart"


def test_files_written_rotated_and_compressed_during_a_restart_are_all_read(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    saved = stopped_after(log, b"0 before")
    for n in range(1, 4):
        write(log, b"%d missed\n" % n)
        compress(log.rename(tmp_path / f"audit-2026-11-22T10-00-0{n}.000.log"))
        write(log, b"")
    write(log, b"9 live\n")
    again = RotatedFile(log, saved)
    assert sorted(read_all(again, 2.0)) == [b"1 missed", b"2 missed", b"3 missed", b"9 live"]
    assert again.lost == []


def test_a_file_compressed_after_it_was_read_is_not_read_again(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, b"1 once\n")
    follower = RotatedFile(log, None, rotate_wait=5.0)
    assert read_all(follower, 1.0) == [b"1 once"]
    rotated = log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    write(log, b"2 next\n")
    assert read_all(follower, 2.0) == [b"2 next"]
    compress(rotated)
    assert read_all(follower, 3.0) == []
    assert read_all(follower, 20.0) == []
    write(log, b"3 more\n")
    assert read_all(follower, 30.0) == [b"3 more"]


def test_a_compressed_file_that_is_not_complete_yet_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    saved = stopped_after(log, b"1 before")
    write(log, b"2 rest\n")
    rotated = log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    rotated.with_name(rotated.name + ".gz").write_bytes(gzip.compress(rotated.read_bytes())[:-12])
    write(log, b"3 live\n")
    again = RotatedFile(log, saved)
    assert read_all(again, 2.0) == [b"2 rest", b"3 live"]


def test_a_compressed_file_that_breaks_off_is_read_as_far_as_it_goes_and_told(tmp_path: Path, fault: Fault) -> None:
    log = tmp_path / "audit.log"
    saved = stopped_after(log, b"1 before")
    rng = random.Random(4)
    lines = [bytes(rng.choices(b"abcdefghij", k=200)) for _ in range(5000)]
    write(log, b"".join(line + b"\n" for line in lines))
    packed = compress(log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log"))
    os.truncate(packed, packed.stat().st_size // 2)
    write(log, b"live\n")
    again = RotatedFile(log, saved, rotate_wait=1.0)
    got = [line for now in (2.0, 4.0, 6.0) for line in read_all(again, now)]
    whole = [line for line in got if len(line) == 200]
    assert whole == lines[: len(whole)]
    assert 1000 < len(whole) < 5000
    assert b"live" in got
    assert len(again.lost) == 1
    fault("rotated .gz that breaks off", said=lines[:1000], kept=whole, on="file system")


def test_a_file_removed_while_it_is_read_is_read_to_its_end(tmp_path: Path, fault: Fault) -> None:
    log = tmp_path / "audit.log"
    lines = [b"%06d " % n + b"x" * 1000 for n in range(1500)]
    write(log, b"".join(line + b"\n" for line in lines))
    follower = RotatedFile(log, None, rotate_wait=5.0)
    first = follower.next_block(1.0)
    assert first is not None
    log.unlink()
    got = first.data.rstrip(b"\n").split(b"\n") + read_all(follower, 2.0)
    assert got == lines
    assert len(first.data) < 1000 * 1500
    write(log, b"a new one\n")
    assert read_all(follower, 3.0) == [b"a new one"]
    fault("file deleted while it is read", said=lines, kept=got, on="file system")


def test_another_file_with_the_inode_of_the_one_read_last_is_read_from_its_beginning(
    tmp_path: Path, fault: Fault
) -> None:
    log = tmp_path / "audit.log"
    position = json.loads(stopped_after(log, b"1 of the old file, long enough"))
    log.unlink()
    write(log, b"1 of the new file, which is longer than the old one was\n")
    position["files"][0][0] = log.stat().st_ino
    again = RotatedFile(log, json.dumps(position).encode())
    new = b"1 of the new file, which is longer than the old one was"
    fault("inode reused", said=[new], kept=read_all(again, 2.0), on="file system")
    assert len(again.lost) == 1


def test_a_rename_that_is_seen_late_loses_and_repeats_nothing(tmp_path: Path, fault: Fault) -> None:
    log = tmp_path / "audit.log"
    saved = stopped_after(log, b"1 before")
    write(log, b"2 rest\n")
    log.rename(tmp_path / "not-shown-yet")
    write(log, b"3 live\n")
    again = RotatedFile(log, saved, lost_wait=30.0)
    got = read_all(again, 2.0)
    assert got == [b"3 live"]
    assert again.lost == []
    held = again.position()
    (tmp_path / "not-shown-yet").rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
    got += read_all(again, 5.0) + read_all(again, 60.0)
    fault("rename that a network file system shows late", said=[b"2 rest", b"3 live"], kept=got, on="file system")
    assert again.lost == []
    restarted = RotatedFile(log, held, lost_wait=30.0)
    assert read_all(restarted, 2.0) == [b"2 rest"], "a restart in between knows what was missing"


def test_a_file_that_stays_away_is_told_after_the_wait(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    saved = stopped_after(log, b"1 before")
    log.unlink()
    again = RotatedFile(log, saved, lost_wait=30.0)
    assert read_all(again, 2.0) == []
    assert again.lost == []
    assert read_all(again, 40.0) == []
    assert [offset for _, offset in again.lost] == [len(b"1 before\n")]


async def test_a_line_over_the_limit_is_rejected_with_its_place_and_its_neighbours_are_kept(
    tmp_path: Path, fault: Fault
) -> None:
    log = tmp_path / "audit.log"
    long = json.dumps({**event(2), "pad": "x" * (17 * 1024 * 1024)})
    log.write_text("\n".join((json.dumps(event(1)), long, json.dumps(event(3)), "")))
    sink = Kept()
    await AuditFile(str(log), Ingest("c"), "p", exit_on_eof=True).run(sink)
    assert [json.loads(raw)["auditID"] for raw, _ in sink.records("audit")] == ["id-1", "id-3"]
    ((raw, note),) = sink.records("rejects")
    assert "longer than a line may be" in note.reason
    assert note.offset == len(json.dumps(event(1))) + 1
    assert len(raw) <= 64 * 1024
    fault("line over the limit", said=["id-1", "id-3"], kept=ids(sink), on="file system")


async def test_a_line_just_under_the_limit_is_a_record_like_any_other(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(json.dumps({**event(1), "pad": "x" * (15 * 1024 * 1024)}) + "\n" + json.dumps(event(2)) + "\n")
    sink = Kept()
    await AuditFile(str(log), Ingest("c"), "p", exit_on_eof=True).run(sink)
    assert len(sink.records("audit")) == 2
    assert sink.records("rejects") == []


async def test_it_may_end_at_the_end_of_the_file(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    write(log, json.dumps(event(1)).encode() + b"\n")
    sink = Kept()
    async with asyncio.timeout(30):
        await KubernetesAudit({"audit_file": str(log), "exit_on_eof": "on"}).run(sink)
    assert ids(sink) == ["id-1"]


@pytest.mark.parametrize(
    ("wait", "expected"), [("50ms", ["id-1", "id-2", "id-3", "id-4"]), ("1h", ["id-1", "id-3", "id-4"])]
)
async def test_a_last_line_without_end_is_waited_for_as_long_as_the_renamed_file_is_watched(
    tmp_path: Path, wait: str, expected: list[str]
) -> None:
    log = tmp_path / "audit.log"
    lines = [json.dumps(event(n)).encode() + b"\n" for n in range(1, 5)]
    write(log, lines[0] + lines[1].strip())
    sink = Kept()
    source = KubernetesAudit({"audit_file": str(log), "rotate_wait": wait, "refresh_interval": "10ms"})
    async with running(source, sink):
        await until(lambda: ids(sink) == ["id-1"])
        log.rename(tmp_path / "audit-2026-11-22T10-00-00.000.log")
        write(log, lines[2])
        await until(lambda: len(ids(sink)) == len(expected) - 1)
        write(log, lines[3])
        await until(lambda: sorted(ids(sink)) == expected)


async def test_a_lost_file_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    log = tmp_path / "audit.log"
    sink = Kept()
    sink.positions["p"] = stopped_after(log, b"1 before")
    log.unlink()
    write(log, json.dumps(event(1)).encode() + b"\n")
    with caplog.at_level(logging.WARNING):
        await AuditFile(str(log), Ingest("c"), "p", exit_on_eof=True).run(sink)
    assert len([r for r in caplog.records if "is gone; what it held after byte 9" in r.message]) == 1
    assert len(sink.records("audit")) == 1
    fault("file gone before it was read to its end: what follows", said=["id-1"], kept=ids(sink), on="file system")


@pytest.mark.parametrize("seed", range(5))
def test_an_unpacked_file_gives_the_same_bytes_as_the_plain_one(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(700_000) + b"z" * 900_000
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(data[:300_000]) + gzip.compress(data[300_000:]))
    with packed.open("rb") as file:
        unpacked = Gunzip(file.fileno())
        at = 0
        for _ in range(40):
            at = max(0, min(len(data), at + rng.randint(-20_000, 120_000)))
            length = rng.randint(1, 300_000)
            assert unpacked.pread(length, at) == data[at : at + length]
        assert unpacked.pread(10, len(data) + 5) == b""
        assert unpacked.broken == ""
