"""Input `tail` on files as the kubelet makes, rotates, compresses and removes them: every line once."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs import tail as module
from kubewitness.inputs.tail import Tail
from kubewitness.inputs.tail_keys import KEYS
from tests.inputs import tail_docs
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept

UID = "0a1b2c3d-0000-4000-8000-000000000001"
ID = "f" * 64


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(module, "_LOOK", 0.02)


@contextlib.asynccontextmanager
async def following(sink: Kept, path: Path | str, **keys: str) -> AsyncIterator[Tail]:
    source = Tail({"path": str(path), "read_from_head": "on", "rotate_wait": "100ms", **keys})
    async with running(source, sink):
        yield source


def lines(sink: Kept) -> list[str]:
    return [raw.decode() for raw, _ in sink.records("logs")]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def has(sink: Kept, *expected: str) -> Callable[[], bool]:
    return lambda: sorted(lines(sink)) == sorted(expected)


def pod(root: Path) -> tuple[Path, Path]:
    """(the container's log in /var/log/pods, its link in /var/log/containers), as the kubelet lays them out."""
    log = root / "pods" / f"shop_web-1_{UID}" / "app" / "0.log"
    link = root / "containers" / f"web-1_shop_app-{ID}.log"
    link.parent.mkdir(parents=True)
    write(log, "")
    link.symlink_to(log)
    return log, link


async def test_a_containers_log_is_read_through_its_link_and_named_by_it(tmp_path: Path) -> None:
    log, link = pod(tmp_path)
    sink = Kept()
    keys = {"tag": "kube.*", "parser": "cri", "node": "worker-1"}
    async with following(sink, tmp_path / "containers" / "*.log", **keys) as source:
        write(log, "2026-11-22T21:25:09Z stdout F one\n2026-11-22T21:25:09Z stdout F tw")
        await until(has(sink, "2026-11-22T21:25:09Z stdout F one"))
        write(log, "o\n")
        await until(lambda: len(lines(sink)) == 2)
        assert source.health()["files"] == 1
    chunk = sink.chunks[0]
    assert chunk.tag == "kube." + str(link).strip("/").replace("/", ".")
    assert chunk.origin is not None
    assert (chunk.origin.file, chunk.origin.target, chunk.origin.node) == (str(link), str(log), "worker-1")


async def test_rotation_as_the_kubelet_does_it_loses_nothing(tmp_path: Path) -> None:
    log, _ = pod(tmp_path)
    sink = Kept()
    expected = []
    async with following(sink, tmp_path / "containers" / "*.log") as source:
        await until(lambda: source.health()["state"] == "following")
        for i in range(6):
            expected += [f"{i}-{n}" for n in range(50)]
            write(log, "".join(f"{i}-{n}\n" for n in range(50)))
            if i % 2:
                await until(has(sink, *expected))
            old = log.with_name(f"0.log.20261122-2125{i:02d}")
            log.rename(old)
            log.touch()
            if i > 1:  # the one before the last is compressed, the oldest is removed
                older = log.with_name(f"0.log.20261122-2125{i - 1:02d}")
                older.with_name(older.name + ".gz").write_bytes(gzip.compress(older.read_bytes()))
                older.unlink()
        await until(has(sink, *expected))
    assert sink.duplicates == 0


async def test_a_container_found_late_is_read_with_what_it_was_rotated_to(tmp_path: Path) -> None:
    sink = Kept()
    async with following(sink, tmp_path / "*" / "*.log", read_from_head="off") as source:
        await until(lambda: source.health()["state"] == "waiting for files")
        folder = tmp_path / "new"
        write(folder / "0.log.20261122-212500", "first\n")
        (folder / "0.log").write_text("second\n")
        await until(has(sink, "first", "second"))
    assert lines(sink) == ["first", "second"]


async def test_a_file_that_is_there_at_the_first_start_is_read_from_its_end_unless_asked(tmp_path: Path) -> None:
    write(tmp_path / "a.log", "old\nhalf")
    sink = Kept()
    async with following(sink, tmp_path / "*.log", read_from_head="off") as source:
        await until(lambda: source.health()["files"] == 1)
        write(tmp_path / "a.log", " a line\n")
        await until(has(sink, "half a line"))
    write(tmp_path / "b.log", "made while nothing ran\n")
    async with following(sink, tmp_path / "*.log", read_from_head="off"):
        await until(has(sink, "half a line", "made while nothing ran"))


async def test_a_file_found_later_may_be_read_from_its_end(tmp_path: Path) -> None:
    sink = Kept()
    keys = {"read_from_head": "off", "read_newly_discovered_files_from_head": "off"}
    async with following(sink, tmp_path / "*.log", **keys) as source:
        await until(lambda: source.health()["state"] == "waiting for files")
        write(tmp_path / "a", "old\n")
        (tmp_path / "a").rename(tmp_path / "a.log")
        await until(lambda: source.health()["files"] == 1)
        write(tmp_path / "a.log", "new\n")
        await until(has(sink, "new"))


@pytest.mark.parametrize(("skip", "expected"), [("on", ["one", "two"]), ("off", ["one", "", "", "two"])])
async def test_empty_lines_may_be_left_out(tmp_path: Path, skip: str, expected: list[str]) -> None:
    write(tmp_path / "a.log", "one\n\n\ntwo\n")
    sink = Kept()
    async with following(sink, tmp_path / "a.log", skip_empty_lines=skip, cluster="prod"):
        await until(lambda: "two" in lines(sink))
    assert lines(sink) == expected
    assert {chunk.cluster for chunk in sink.chunks} == {"prod"}


async def test_a_file_that_became_too_old_may_be_closed_until_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    write(log, "one\n")
    sink = Kept()
    keys = {"ignore_older": "100s", "ignore_active_older_files": "on"}
    async with following(sink, tmp_path / "*.log", **keys) as source:
        await until(has(sink, "one"))
        os.utime(log, (time.time() - 200, time.time() - 200))
        await until(lambda: source.health()["files"] == 0)
        write(log, "two\n")
        await until(has(sink, "one", "two"))
    assert sink.duplicates == 0


async def test_a_removed_file_is_read_to_its_end_and_forgotten(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    sink = Kept()
    async with following(sink, tmp_path / "*.log") as source:
        write(log, "one\n")
        await until(has(sink, "one"))
        with log.open("a") as writer:
            writer.write("two\nno end")
            writer.flush()
            log.unlink()
        await until(has(sink, "one", "two", "no end"))
        await until(lambda: source.health()["files"] == 0)
        assert [value for name, value in sink.positions.items() if ":" in name] == [b""]
        write(log, "another\n")
        await until(has(sink, "one", "two", "no end", "another"))


async def test_at_a_stop_everything_that_is_there_is_read_once_more(tmp_path: Path) -> None:
    sink = Kept()
    write(tmp_path / "a.log", "one\n")
    async with following(sink, tmp_path / "*.log") as source:
        await until(has(sink, "one"))
        await until(lambda: source.health()["state"] == "following")
        write(tmp_path / "a.log", "two\nhalf")
        write(tmp_path / "b.log", "three\n")
    assert sorted(lines(sink)) == ["one", "three", "two"]
    async with following(sink, tmp_path / "*.log"):
        write(tmp_path / "a.log", " and half\n")
        await until(has(sink, "one", "three", "two", "half and half"))


async def test_a_sidecar_delivers_what_has_no_end_when_it_stops(tmp_path: Path) -> None:
    sink = Kept()
    write(tmp_path / "a.log", "T stdout P killed in \nT stdout P the middle\nT stderr F last words")
    async with following(sink, tmp_path / "*.log", parser="cri", unfinished_at_stop="deliver") as source:
        await until(lambda: source.health()["state"] == "following")
        assert lines(sink) == []
    assert sorted(lines(sink)) == ["T stderr F last words", "T stdout P killed in \nT stdout P the middle"]


async def test_a_stop_while_a_batch_is_being_made_durable_neither_loses_nor_doubles(tmp_path: Path) -> None:
    sink = Kept()
    sink.gate.clear()
    write(tmp_path / "a.log", "one\n")
    source = Tail({"path": str(tmp_path / "*.log"), "read_from_head": "on"})
    task = asyncio.create_task(source.run(sink))
    await until(lambda: sink.puts == 1)
    task.cancel()
    await asyncio.sleep(0.02)
    write(tmp_path / "a.log", "two\n")
    sink.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lines(sink) == ["one", "two"]


async def test_long_lines_are_kept_skipped_or_cut_and_always_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.log", "one\n" + "x" * 5000 + "\ntwo\n")
    sink = Kept()
    async with following(sink, tmp_path / "*.log"):
        await until(has(sink, "one", "x" * 5000, "two"))  # whatever buffer_max_size says
    sink = Kept()
    keys = {"buffer_max_size": "1k", "skip_long_lines": "on"}
    async with following(sink, tmp_path / "*.log", **keys) as source:
        await until(has(sink, "one", "two"))
        assert source.health()["skipped_long_lines"] == 1
    sink = Kept()
    async with following(sink, tmp_path / "*.log", buffer_max_size="1k", truncate_long_lines="on"):
        await until(has(sink, "one", "x" * 1000, "two"))
    assert [note.flags for raw, note in sink.records("logs") if raw.startswith(b"x")] == [("line-cut",)]


async def test_files_that_are_excluded_old_or_unreadable_are_not_followed_and_told(tmp_path: Path) -> None:
    for name in ("a.log", "excluded.log", "old.log"):
        write(tmp_path / name, name + "\n")
    os.utime(tmp_path / "old.log", (1, 1))
    (tmp_path / "link.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again.log").symlink_to(tmp_path / "a.log")
    (tmp_path / "folder.log").mkdir()
    sink = Kept()
    keys = {"exclude_path": "*/excl*", "ignore_older": "1h"}
    async with following(sink, tmp_path / "*.log", **keys) as source:
        await until(has(sink, "a.log"))
        assert source.health()["ignored_older_files"] == 1


async def test_the_tag_is_made_of_the_files_name(tmp_path: Path) -> None:
    pod(tmp_path)[0].write_text("x\n")
    sink = Kept()
    pattern = r"containers/(?<pod>[a-z0-9-]+)_(?<ns>[^_]+)_(?<container>.+)-[a-f0-9]{64}\.log$"
    keys = {"tag_regex": pattern, "tag": "kube.<ns>.<pod>.<container>"}
    async with following(sink, tmp_path / "containers" / "*.log", **keys):
        await until(has(sink, "x"))
    assert sink.chunks[0].tag == "kube.shop.web-1.app"


async def test_exit_on_eof_ends_at_the_end_of_all_files(tmp_path: Path) -> None:
    write(tmp_path / "a.log", "one\ntwo")
    write(tmp_path / "b.log", "three\n")
    sink = Kept()
    source = Tail({"path": str(tmp_path / "*.log"), "read_from_head": "on", "exit_on_eof": "on"})
    await asyncio.wait_for(source.run(sink), 20)
    assert sorted(lines(sink)) == ["one", "three", "two"]


def test_every_key_is_accepted_with_its_default_and_has_a_meaning(tmp_path: Path) -> None:
    Tail({key.name: key.default for key in KEYS} | {"path": str(tmp_path / "*.log")})
    assert all(key.doc for key in KEYS)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "'path' is missing"),
        ({"path": "x", "parser": "ngnix"}, r"'parser': there is no parser 'ngnix'; did you mean 'nginx'\?"),
        ({"path": "x", "multiline.parser": "cri, jav"}, r"'multiline.parser': there is no .* did you mean 'java'\?"),
        ({"path": "x", "multiline": "on"}, "'multiline' is on; it needs 'parser_firstline'"),
        ({"path": "x", "parser_one": "json"}, "unknown key 'parser_one'"),
        ({"path": "x", "generic.encoding": "GBK", "parser": "cri"}, "cannot be with lines of form cri"),
        ({"path": "x", "generic.encoding": "latin"}, "'generic.encoding' cannot be 'latin'"),
        ({"path": "x", "unicode.encoding": "UTF-32"}, "'unicode.encoding' cannot be 'UTF-32'"),
        ({"path": "x", "docker_mode_parser": "json"}, "'docker_mode_parser' needs 'docker_mode'"),
        ({"path": "x", "tag_regex": "("}, "'tag_regex' is no regular expression"),
        ({"path": "x", "unfinished_at_stop": "drop"}, "it takes keep or deliver"),
        ({"path": "x", "read_from_tail": "on"}, "did you mean 'read_from_head'"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(keys: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Tail(keys)


def test_the_page_of_the_input_has_every_key_as_it_is() -> None:
    assert tail_docs.table() in tail_docs.PAGE.read_text(), "run python -m tests.inputs.tail_docs"
