"""The remembered auditIDs: what is a reuse, how long it is remembered, and what a lost file costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.store import reuse
from kubewitness.store.reuse import SeenIds


def requests(first: int, count: int, *, shift: int = 0) -> list[tuple[str, str, int]]:
    return [("prod", f"id-{i}", 1_000_000 * i + shift) for i in range(first, first + count)]


def test_the_same_request_again_is_no_reuse_and_another_one_with_its_id_is(tmp_path: Path) -> None:
    seen = SeenIds(tmp_path)
    assert seen.check(requests(0, 100)) == []
    assert seen.check(requests(0, 100)) == []
    assert seen.check(requests(10, 3, shift=1)) == [0, 1, 2]
    assert seen.check(requests(10, 3, shift=1)) == [0, 1, 2], "the suspect's later stages are suspected as well"
    assert seen.check([("other", "id-10", 5)]) == [], "another cluster's IDs are its own"
    seen.close()


def test_everything_is_still_known_after_the_table_has_grown_and_was_opened_again(tmp_path: Path) -> None:
    seen = SeenIds(tmp_path)
    small = (tmp_path / "audit-ids").stat().st_size
    for first in range(0, 40_000, 1_000):
        assert seen.check(requests(first, 1_000)) == []
    seen.close()
    assert small < 100_000 < (tmp_path / "audit-ids").stat().st_size < 1_100_000
    again = SeenIds(tmp_path)
    assert again.check(requests(0, 40_000)) == []
    assert len(again.check(requests(0, 40_000, shift=7))) == 40_000
    again.close()


def test_the_last_table_full_and_the_one_before_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "_MAX_BITS", 14)
    full = int(2**14 * 0.6)
    seen = SeenIds(tmp_path)
    for first in range(0, 4 * full, 100):
        assert seen.check(requests(first, 100)) == []
    assert len(seen.check(requests(3 * full, full, shift=3))) == full
    assert seen.check(requests(0, full // 2, shift=3)) == [], "forgotten, and so taken for new"
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 2 * 8 * (2**14 + 100)
    seen.close()


def test_a_reader_knows_what_the_writer_has_added_since(tmp_path: Path) -> None:
    reader = SeenIds(tmp_path, readonly=True)
    assert reader.check(requests(0, 5)) == []
    writer = SeenIds(tmp_path)
    writer.check(requests(0, 30_000))
    assert reader.check(requests(0, 5, shift=1)) == [0, 1, 2, 3, 4]
    writer.check(requests(30_000, 30_000))
    assert reader.check(requests(59_000, 2, shift=1)) == [0, 1]
    assert reader.check(requests(70_000, 2)) == []
    assert reader.check(requests(70_000, 2, shift=1)) == [], "a reader remembers nothing itself"
    reader.close()
    writer.close()


@pytest.mark.parametrize(
    "damage", [b"", b"x" * 100, b"\xff" * (64 + 8 * (2**13 + 64)), b"\0" * (64 + 8 * (2**13 + 64))]
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "audit-ids").write_bytes(damage)
    assert SeenIds(tmp_path, readonly=True).check(requests(0, 10)) == []
    seen = SeenIds(tmp_path)
    assert seen.check(requests(0, 10)) == []
    assert seen.check(requests(0, 10, shift=1)) == list(range(10))
    seen.close()
