"""Which files are read, in which order, and how they are decompressed."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.errors import Malformed, UsageError
from kubewitness.inputs.importer.detect import shape
from kubewitness.inputs.importer.files import Source, age_key, find, read
from tests.formats.records import audit_event, dumps


def content(path: Path) -> bytes:
    return b"".join(read(Source(str(path), path, 0), lambda size: None))


def test_a_folder_is_read_in_the_order_of_rotation(tmp_path: Path) -> None:
    names = ["audit.log", "audit-2026-11-22T21-00-00.000.log.gz", "audit-2026-11-22T20-00-00.000.log", ".hidden"]
    for name in [*names, "other.log", "other.log.1", "other.log.2.gz", "other.log.10.gz"]:
        (tmp_path / name).touch()
    found = [Path(source.name).name for source in find([str(tmp_path)])]
    assert found == [
        "audit-2026-11-22T20-00-00.000.log",
        "audit-2026-11-22T21-00-00.000.log.gz",
        "audit.log",
        "other.log.10.gz",
        "other.log.2.gz",
        "other.log.1",
        "other.log",
    ]


@given(st.lists(st.integers(1, 300), unique=True, min_size=1))
def test_numbered_files_are_read_from_the_highest_number(numbers: list[int]) -> None:
    names = [f"audit.log.{n}" for n in numbers]
    random.shuffle(names)
    ordered = sorted([*names, "audit.log"], key=age_key)
    assert ordered == [f"audit.log.{n}" for n in sorted(numbers, reverse=True)] + ["audit.log"]


def test_what_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        find([str(tmp_path / "missing")])
    with pytest.raises(UsageError, match="holds no files"):
        find([str(tmp_path)])


def test_every_compression_gives_the_same_bytes(tmp_path: Path) -> None:
    text = b"".join(dumps(audit_event(str(i))) + b"\n" for i in range(2000)) + os.urandom(300_000)
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "members.gz").write_bytes(gzip.compress(text[:999]) + gzip.compress(text[999:]))
    (tmp_path / "frames.zst").write_bytes(zstandard.compress(text[:999]) + zstandard.compress(text[999:]))
    for name in ("plain", "members.gz", "frames.zst"):
        assert content(tmp_path / name) == text


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_compressed_data_that_ends_early_gives_what_came_before(tmp_path: Path, compress: object) -> None:
    assert callable(compress)
    text = os.urandom(500_000)
    path = tmp_path / "short"
    path.write_bytes(compress(text)[:-100_000])
    found: list[bytes] = []
    with pytest.raises(Malformed, match="ends early"):
        found.extend(read(Source(str(path), path, 0), lambda size: None))
    assert len(b"".join(found)) > 200_000
    assert text.startswith(b"".join(found))


def test_damaged_data_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "bad.gz"
    path.write_bytes(b"\x1f\x8b" + os.urandom(1000))
    with pytest.raises(Malformed, match="damaged gzip"):
        content(path)


def test_blocks_stay_small_however_well_data_was_compressed(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    for compress in (gzip.compress, zstandard.compress):
        path.write_bytes(compress(b"0" * 30_000_000))
        assert max(len(block) for block in read(Source("", path, 0), lambda size: None)) <= 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (dumps(audit_event()), "json"),
        (b"[\n  {", "json"),
        (b"", "json"),
        (b"hello world", "json"),
        (b"---\nkind: Event\n", "yaml"),
        (b"apiVersion: v1\nitems:\n- a: b\n", "yaml"),
        (b"# a comment\nkind: Event\n", "yaml"),
        (b"request:\n  uid: x\n", "yaml"),
        (b"2026-11-22T21:00:00.123456789Z stdout F hello", "cri"),
        (b"2026-11-22T21:00:00.123456789+01:00 stderr P hello", "cri"),
        (b"I1122 21:25:09.518619       1 trace.go:236] Trace", "klog"),
        (b'{"log":"hi\\n","stream":"stdout","time":"2026-11-22T21:00:00Z"}\n', "docker"),
        (b'{"log":"{\\"auditID\\":1}\\n","stream":"stdout","time":"2026-11-22T21:00:00Z"}\n', "json"),
        (b"\x89PNG\0\0", "binary"),
    ],
)
def test_a_files_shape_is_told_by_its_beginning(head: bytes, expected: str) -> None:
    assert shape(head) == expected
