"""Input `systemd`: what becomes of entries, and where it goes on, on real journal files where systemd is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs import systemd
from kubewitness.inputs.systemd import Systemd
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept
from tests.journald import BEGIN_US, BOOT, Fields, Journald

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journald:
    monkeypatch.setattr(systemd, "_LOOK", 0.05)
    return Journald(tmp_path / "journal")


def source(journal: Journald, **options: object) -> Systemd:
    keys = {"path": str(journal.directory), "journalctl": journal.journalctl, "tag": "host", "exit_on_eof": "on"}
    return Systemd({**keys, **options})


async def read(journal: Journald, kept: Kept | None = None, **options: object) -> Kept:
    """What is there from the last position on."""
    kept = kept or Kept()
    await source(journal, **options).run(kept)
    return kept


def records(kept: Kept) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw, _ in kept.records("logs")]


def messages(kept: Kept) -> list[str]:
    return [record["MESSAGE"] for record in records(kept)]


def said(*numbers: int, unit: str = "kubelet.service") -> list[Fields]:
    return [[("_SYSTEMD_UNIT", unit), ("MESSAGE", f"m{n}")] for n in numbers]


async def test_an_entrys_fields_are_the_record_and_its_time_is_journalds(journal: Journald) -> None:
    journal.add(
        [("MESSAGE", "two\nlines"), ("PRIORITY", "6"), ("_SYSTEMD_UNIT", "kubelet.service")],
        [("MESSAGE", b"\xff\x00"), ("ARG", "a"), ("ARG", "b"), ("ARG", "c")],
    )
    kept = await read(journal, tag="host.*.x", cluster="prod")
    assert {chunk.cluster for chunk in kept.chunks} == {"prod"}
    first, second = records(kept)
    assert first == {"_BOOT_ID": BOOT, "MESSAGE": "two\nlines", "PRIORITY": "6", "_SYSTEMD_UNIT": "kubelet.service"}
    assert (second["MESSAGE"], sorted(second["ARG"])) == ("\\xff\0", ["a", "b", "c"])
    assert [(c.tag, list(c.times or ())) for c in kept.chunks] == [
        ("host.kubelet.service.x", [(BEGIN_US + 1_000_000) * 1000]), ("host.unknown.x", [(BEGIN_US + 2_000_000) * 1000])
    ]  # fmt: skip


async def test_names_may_be_made_plainer_and_fields_fewer(journal: Journald) -> None:
    journal.add([("_PID", "7"), ("MESSAGE", "a")])
    kept = await read(journal, lowercase="on", strip_underscores="on")
    assert records(kept) == [{"boot_id": BOOT, "pid": "7", "message": "a"}]
    few = source(journal, max_fields="1")
    kept = Kept()
    await few.run(kept)
    assert [len(record) for record in records(kept)] == [1]
    assert few.health()["discarded_fields"] == 2


@pytest.mark.parametrize(
    ("how", "filters", "expected"),
    [
        ("or", "_SYSTEMD_UNIT=a.service\nPRIORITY=3", ["m1", "m2", "m3", "m4"]),
        ("or", "PRIORITY=3\nPRIORITY=4", ["m2", "m3", "m4"]),
        ("and", "_SYSTEMD_UNIT=a.service\nPRIORITY=3", ["m2"]),
        ("and", "PRIORITY=3\nPRIORITY=4", ["m4"]),
    ],
)
async def test_filters_take_one_of_them_or_all(journal: Journald, how: str, filters: str, expected: list[str]) -> None:
    journal.add(
        *said(1, unit="a.service"),
        [*said(2, unit="a.service")[0], ("PRIORITY", "3")],
        [*said(3, unit="b.service")[0], ("PRIORITY", "3")],
        [*said(4, unit="b.service")[0], ("PRIORITY", "3"), ("PRIORITY", "4")],
        *said(5, unit="b.service"),
    )
    kept = await read(journal, systemd_filter=filters, systemd_filter_type=how)
    assert messages(kept) == [m for m in ("m1", "m2", "m3", "m4") if m in expected]


async def test_a_restart_goes_on_behind_the_last_entry_wherever_the_files_went(journal: Journald) -> None:
    kept = Kept()
    journal.add(*said(1, 2, 3))
    await read(journal, kept)
    await read(journal, kept)
    journal.rotate()
    journal.add(*said(4, 5))
    await read(journal, kept)
    journal.add(*said(6, 7))
    journal.rotate()
    journal.add(*said(8))
    await read(journal, kept)
    # now the entry that was read last is deleted, and nothing else may be missing
    journal.rotate()
    journal.vacuum()
    journal.add(*said(9, 10))
    await read(journal, kept)
    assert messages(kept) == [f"m{n}" for n in range(1, 11)]
    assert kept.duplicates == 0


async def test_an_entry_that_comes_again_is_known(journal: Journald) -> None:
    kept = Kept()
    journal.add(*said(1, 2, 3))
    await read(journal, kept, max_entries="2")
    kept.positions.clear()
    await read(journal, kept)
    assert messages(kept) == ["m1", "m2", "m3"]
    assert kept.duplicates == 3


async def test_what_is_written_while_it_runs_comes_at_once_and_over_rotations(journal: Journald) -> None:
    kept = Kept()
    async with running(source(journal, exit_on_eof="off"), kept) as (_, task):
        for n in range(1, 7):
            journal.add(*said(n))
            await until(lambda n=n: len(messages(kept)) == n)  # type: ignore[misc]
            if n % 2 == 0:
                journal.rotate()
            if n == 4:
                journal.vacuum()
        assert not task.done()
    assert messages(kept) == [f"m{n}" for n in range(1, 7)]


async def test_from_the_tail_is_only_what_comes_later_also_after_a_restart(journal: Journald) -> None:
    kept = Kept()
    journal.add(*said(1, 2))
    await read(journal, kept, read_from_tail="on")
    assert messages(kept) == []
    journal.add(*said(3))
    await read(journal, kept, read_from_tail="on")
    assert messages(kept) == ["m3"]


async def test_from_the_tail_of_nothing_is_everything(journal: Journald) -> None:
    kept = Kept()
    await read(journal, kept, read_from_tail="on")
    journal.add(*said(1))
    await read(journal, kept, read_from_tail="on")
    assert messages(kept) == ["m1"]


async def test_a_journalctl_that_fails_is_called_again(journal: Journald, tmp_path: Path) -> None:
    program = tmp_path / "journalctl"
    program.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/mended ] || {{ echo no access >&2; exit 1; }}\nexec {journal.journalctl} "$@"\n'
    )
    program.chmod(0o755)
    journal.add(*said(1))
    kept = Kept()
    async with running(source(journal, journalctl=str(program)), kept) as (one, _):
        await until(lambda: one.health()["restarts"])
        assert (one.health()["state"], one.health()["last_error"]) == ("waiting", "no access")
        (tmp_path / "mended").touch()
        await until(lambda: messages(kept))
    assert one.health()["last_error"] == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"systemd_filter": "--vacuum-size=1"}, "'systemd_filter' is '--vacuum-size=1'; it takes FIELD=VALUE"),
        ({"systemd_filter_type": "xor"}, "'systemd_filter_type' cannot be 'xor'"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Systemd(options)


async def test_a_directory_or_a_program_that_there_is_not_is_told(tmp_path: Path, journal: Journald) -> None:
    with pytest.raises(UsageError, match="'journalctl' 'no-such-program' is not there; it is in package systemd"):
        await Systemd({"journalctl": "no-such-program"}).run(Kept())
    with pytest.raises(UsageError, match="is no directory"):
        await Systemd({"journalctl": "sh", "path": str(tmp_path / "nothing")}).run(Kept())
