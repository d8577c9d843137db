"""Input `exec`: lines of a command, once or again and again, and what it ended with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kubewitness.errors import Finished, UsageError
from kubewitness.inputs.exec import Exec
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept


def lines(kept: Kept) -> list[bytes]:
    return [raw for raw, _ in kept.records("logs")]


async def test_each_line_is_a_record_however_long(tmp_path: Path) -> None:
    kept = Kept()
    keys = {"tag": "e", "cluster": "prod", "command": "echo a; echo; printf %090000d 0; echo err >&2", "oneshot": "on"}
    await Exec(keys).run(kept)
    assert {chunk.cluster for chunk in kept.chunks} == {"prod"}
    assert lines(kept) == [b'{"exec":"a"}', b'{"exec":""}', b'{"exec":"' + b"0" * 90_000 + b'"}']


async def test_a_parser_takes_lines_apart_and_what_does_not_fit_stays_a_line() -> None:
    kept = Kept()
    source = Exec({"tag": "e", "command": "echo '{\"a\":1}'; echo x", "oneshot": "on", "parser": "json"})
    await source.run(kept)
    assert lines(kept) == [b'{"a":1}', b'{"exec":"x"}']
    assert source.health()["not_parsed"] == 1


async def test_it_runs_again_and_again_and_tells_how_it_ended() -> None:
    kept = Kept()
    async with running(Exec({"tag": "e", "command": "echo a; exit 3", "interval_sec": "0", "interval_nsec": "1000000"}),
                       kept) as (source, _):  # fmt: skip
        await until(lambda: len(lines(kept)) > 2)
    assert lines(kept)[:3] == [b'{"exec":"a"}'] * 3
    assert source.health()["failed_runs"] == source.health()["runs"] != 0
    assert source.health()["exit_code"] == 3


@pytest.mark.parametrize(
    ("command", "propagate", "code"), [("exit 7", "on", 7), ("exit 7", "off", 0), ("kill -TERM $$", "on", 143)]
)
async def test_the_process_may_end_as_its_command_did(command: str, propagate: str, code: int) -> None:
    source = Exec({"command": command, "exit_after_oneshot": "on", "propagate_exit_code": propagate})
    with pytest.raises(Finished) as told:
        await source.run(Kept())
    assert told.value.exit_code == code


async def test_a_stop_ends_the_command_and_keeps_its_lines(tmp_path: Path) -> None:
    kept = Kept()
    command = f"echo begun; sleep 100 & echo $! > {tmp_path}/pid; wait"
    async with running(Exec({"tag": "e", "command": command, "oneshot": "on"}), kept):
        await until(lambda: lines(kept) and (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    pid = (tmp_path / "pid").read_text().strip()
    async with asyncio.timeout(10):
        while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "exec: 'command' is missing"),
        ({"command": "true", "propagate_exit_code": "on"}, "needs 'exit_after_oneshot'"),
        ({"command": "true", "parser": "no"}, "'parser': there is no parser 'no'"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Exec(options)
