"""Output `file`: key `rotate` and its companions; names as Fluent Bit has them."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.outputs.file import FileOutput
from tests.outputs.test_es import logs


def output(directory: Path, **keys: str) -> FileOutput:
    place = {"path": str(directory), "file": "out[1].log", "format": "plain"}
    return FileOutput({**place, "rotate": "on", "rotate_max_size": "16", **keys})


async def write(made: FileOutput, *numbers: int) -> None:
    for n in numbers:
        await made.write([Delivery(n + 1, logs(f'{{"n":{n}}}'))])


def aside(directory: Path) -> list[Path]:
    found = [p for p in directory.iterdir() if p.name != "out[1].log"]
    return sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name))


@pytest.mark.parametrize("packed", [True, False])
async def test_a_file_is_put_aside_at_its_size_packed_and_the_oldest_go(packed: bool, tmp_path: Path) -> None:
    keep = tmp_path / "out[1].log.old"
    keep.write_text("not ours")
    made = output(tmp_path, rotate_max_files="2", rotate_gzip="on" if packed else "off")
    await write(made, *range(9))
    await made.close()
    assert (tmp_path / "out[1].log").read_text() == '{"n":8}\n'
    found = [p for p in aside(tmp_path) if p != keep]
    assert all(re.fullmatch(r"out\[1\]\.log\.\d{8}_\d{6}_[0-9a-f]{8}" + r"\.gz" * packed, p.name) for p in found)
    texts = [gzip.decompress(p.read_bytes()) if packed else p.read_bytes() for p in found]
    assert sorted(texts) == [b'{"n":4}\n{"n":5}\n', b'{"n":6}\n{"n":7}\n']
    assert keep.exists()


async def test_a_file_that_was_too_large_at_the_start_is_put_aside_first_and_csv_begins_with_names_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "out[1].log").write_text("x" * 20 + "\n")
    made = output(tmp_path, format="csv", csv_column_names="on")
    await write(made, 1)
    await made.close()
    (old,) = aside(tmp_path)
    assert gzip.decompress(old.read_bytes()) == b"x" * 20 + b"\n"
    assert (tmp_path / "out[1].log").read_text().splitlines()[0] == "timestamp,n"


async def test_what_cannot_be_packed_stays_plain_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = output(tmp_path)
    await write(made, 0, 1)
    real = os.fsync

    def full(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".part"):
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    await write(made, 2)
    await made.close()
    (old,) = [p for p in aside(tmp_path) if p.is_file()]
    assert old.read_text() == '{"n":0}\n{"n":1}\n'
    assert (tmp_path / "out[1].log").read_text() == '{"n":2}\n'
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("wrong", [{"rotate_max_size": "0"}, {"rotate_max_files": "0"}])
def test_sizes_and_counts_are_checked_at_start(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are to be at least 1"):
        output(tmp_path, **wrong)
