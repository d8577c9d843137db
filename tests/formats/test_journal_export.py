"""The journal's export format, wherever a block ends."""

from __future__ import annotations

import pytest

from kubewitness.formats.journal_export import Entry, ExportReader
from tests.journald import exported

ENTRIES = [
    [("__CURSOR", b"s=1;i=1"), ("__REALTIME_TIMESTAMP", b"1700000000000001"), ("__SEQNUM", b"1"), ("_PID", b"7"),
     ("MESSAGE", b"plain = text")],
    [("__CURSOR", b"s=1;i=2"), ("__REALTIME_TIMESTAMP", b"1700000000000002"), ("MESSAGE", b"two\n\nlines\nA=b"),
     ("A", b"1"), ("A", b"2"), ("E", b"")],
    [("__CURSOR", b"s=1;i=3"), ("__REALTIME_TIMESTAMP", b"x"), ("COREDUMP", bytes(range(256)) * 3), ("Z", b"\xc3\xa4")],
]  # fmt: skip
EXPECTED = [
    Entry("s=1;i=1", 1_700_000_000_000_001, [("_PID", b"7"), ("MESSAGE", b"plain = text")]),
    Entry("s=1;i=2", 1_700_000_000_000_002, [("MESSAGE", b"two\n\nlines\nA=b"), ("A", b"1"), ("A", b"2"), ("E", b"")]),
    Entry("s=1;i=3", 0, [("COREDUMP", bytes(range(256)) * 3), ("Z", b"\xc3\xa4")]),
]


@pytest.mark.parametrize("size", [1, 3, 64, 10_000])
def test_entries_come_whole_with_binary_values(size: int) -> None:
    text = b"".join(exported(fields) for fields in ENTRIES)
    reader = ExportReader()
    assert [entry for at in range(0, len(text), size) for entry in reader.feed(text[at : at + size])] == EXPECTED


def test_an_entry_without_its_end_is_not_given() -> None:
    reader = ExportReader()
    assert reader.feed(exported(ENTRIES[0]) + exported(ENTRIES[1])[:-1]) == EXPECTED[:1]
