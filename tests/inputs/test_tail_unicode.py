"""Files in UTF-16: lines, offsets and positions are those of their text in UTF-8, over rotation and restarts."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs import tail as module
from kubewitness.inputs.recode import Recoded
from kubewitness.inputs.rotation import RotatedFile
from kubewitness.inputs.tail import Tail
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept
from tests.inputs.test_kubernetes_audit_rotation import read_all
from tests.inputs.test_tail_parsed import shown

#: bytes of newlines and quotes within other characters, characters of two units, all sizes of UTF-8
LINES = ["ascii", "ਊ ∊ ≢", "日本語のログ", "🛩 𝄞", "", "ä" * 300, "end"]


@pytest.mark.parametrize(("name", "encoding", "mark"), [
    ("utf-16le", "utf-16-le", b""), ("utf-16be", "utf-16-be", b"\xfe\xff"), ("auto", "utf-16-le", b"\xff\xfe"),
    ("auto", "utf-16-be", b""), ("auto", "utf-8", b""),
])  # fmt: skip
def test_a_text_is_the_same_however_it_is_read(tmp_path: Path, name: str, encoding: str, mark: bytes) -> None:
    text = "".join(line + "\n" for line in LINES)
    path = tmp_path / "a.log"
    path.write_bytes(mark + text.encode(encoding))
    handle = os.open(path, os.O_RDONLY)
    rng = random.Random(1)
    recoded = Recoded(lambda length, offset: os.pread(handle, min(length, 7), offset), name)
    expected = text.encode()
    for _ in range(300):
        offset, length = rng.randrange(len(expected) + 9), rng.randrange(1, 500)
        assert recoded.pread(length, offset) == expected[offset : offset + length]
    os.close(handle)


def test_lines_come_once_over_torn_writes_rotations_compression_and_restarts(tmp_path: Path) -> None:
    rng = random.Random(2)
    log = tmp_path / "a.log"
    log.touch()
    written: list[bytes] = []
    read: list[bytes] = []
    follower = RotatedFile(log, None, encoding="utf-16le")
    now = 0.0
    for n in range(200):
        line = f"{n} {rng.choice(LINES)}"
        data = f"{line}\n".encode("utf-16-le")
        torn = rng.randrange(len(data))
        for part in (data[:torn], data[torn:]):
            with log.open("ab") as file:
                file.write(part)
            if rng.random() < 0.5:
                now += 1
                read += read_all(follower, now)
        written.append(line.encode())
        if rng.random() < 0.1:
            old = log.with_name(f"a.log.20261122-{n:06d}")
            log.rename(old)
            log.touch()
            if rng.random() < 0.5:
                old.with_name(old.name + ".gz").write_bytes(gzip.compress(old.read_bytes()))
                old.unlink()
        if rng.random() < 0.1:
            position = follower.position()
            follower.close()
            follower = RotatedFile(log, position, encoding="utf-16le")
    read += read_all(follower, now + 1)
    follower.close()
    assert read == written


def test_a_file_cut_in_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes("one\ntwo\n".encode("utf-16-le"))
    follower = RotatedFile(log, None, encoding="utf-16le")
    assert read_all(follower, 1.0) == [b"one", b"two"]
    log.write_bytes("x\n".encode("utf-16-le"))
    assert read_all(follower, 2.0) == [b"x"]
    follower.close()


def test_the_end_is_found_in_the_text(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes("日本\nhal".encode("utf-16-le"))
    follower = RotatedFile(log, None, encoding="utf-16le", first="end")
    with log.open("ab") as file:
        file.write("f\n".encode("utf-16-le"))
    assert read_all(follower, 1.0) == [b"half"]
    follower.close()


async def test_tail_gives_records_in_utf_8_with_the_offsets_of_that_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    (tmp_path / "a.log").write_bytes("\ufeff日本\nx\n".encode("utf-16-le"))
    kept = Kept()
    keys = {"path": str(tmp_path / "a.log"), "read_from_head": "on", "offset_key": "at", "unicode.encoding": "UTF-16LE"}
    async with running(Tail(keys), kept):
        await until(lambda: len(shown(kept)) == 2)
    assert shown(kept) == [{"at": 0, "log": "日本"}, {"at": 7, "log": "x"}]
    with pytest.raises(UsageError, match=r"cannot be with 'unicode\.encoding'"):
        Tail({**keys, "generic.encoding": "GBK"})
