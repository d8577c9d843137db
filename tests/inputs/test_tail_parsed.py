"""Input `tail` with parsers: lines become fields with their time, lines that belong together one record, each once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.cli import main
from kubewitness.config.tree import Entry, Section
from kubewitness.inputs import tail as module
from kubewitness.inputs.rotation import Block
from kubewitness.inputs.tail import Tail
from kubewitness.inputs.tail_lines import LineReader, Lines
from kubewitness.inputs.tail_parsed import ParsedReader, Parsing
from kubewitness.outputs.lines import json_lines
from kubewitness.parsers.library import Library
from kubewitness.parsers.multiline import Multiline
from kubewitness.record import Origin
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(module, "_LOOK", 0.02)


TRACE = ["Traceback (most recent call last):", '  File "/app/a.py", line 3, in <module>', "    f(x)", "ValueError: x"]
NGINX = '10.0.0.1 - alice [22/Nov/2026:21:25:09 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8"'


def section(kind: str, name: str, **keys: str) -> Section:
    return Section(kind, name, Path("a.conf"), 1, tuple(Entry(k, v, 1) for k, v in keys.items()))


@contextlib.asynccontextmanager
async def following(sink: Kept, path: Path, library: Library | None = None, **keys: str) -> AsyncIterator[Tail]:
    options = {"path": str(path), "read_from_head": "on", "rotate_wait": "100ms"}
    source = Tail(options | {k.replace("__", "."): v for k, v in keys.items()}, library=library)
    async with running(source, sink):
        yield source


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(line + "\n" for line in lines))


def shown(sink: Kept) -> list[dict[str, Any]]:
    """What outputs write of the records so far."""
    return [json.loads(line) for chunk in sink.chunks for line in json_lines(chunk).splitlines()]


async def test_a_line_becomes_its_parsers_fields_at_its_time_and_another_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    write(path, NGINX, "not such a line é")
    sink = Kept()
    async with following(sink, path, parser="nginx", key="text", path_key="file", offset_key="at"):
        await until(lambda: len(shown(sink)) == 2)
    first, second = shown(sink)
    assert first == {
        "file": str(path), "at": 0, "remote": "10.0.0.1", "host": "-", "user": "alice", "method": "GET", "path": "/a",
        "code": "200", "size": "5", "referer": "-", "agent": "curl/8",
    }  # fmt: skip
    assert second == {"file": str(path), "at": len(NGINX) + 1, "text": "not such a line é"}
    (chunk,) = sink.chunks
    assert chunk.times is not None
    assert chunk.times[0] == 1795382709 * 10**9
    assert chunk.times[1] == chunk.received_us * 1000
    assert [chunk.place(i, start)[1] for i, (start, _) in enumerate(chunk.spans())] == [0, len(NGINX) + 1]


async def test_a_trace_is_one_record_across_blocks_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    sink = Kept()
    write(path, "before", *TRACE[:2])
    async with following(sink, path, multiline__parser="go, python"):
        await until(lambda: len(shown(sink)) == 1)
    write(path, TRACE[2])
    async with following(sink, path, multiline__parser="go, python"):
        await asyncio.sleep(0.1)
        write(path, TRACE[3], "after")
        await until(lambda: len(shown(sink)) == 3)
    assert shown(sink) == [{"log": "before\n"}, {"log": "\n".join(TRACE) + "\n"}, {"log": "after\n"}]
    assert sink.duplicates == 0
    assert [note.offset for _, note in sink.records("logs")] == [0, 7, 7 + len("\n".join(TRACE)) + 1]


async def test_what_waits_for_a_line_that_never_comes_is_given_in_time(tmp_path: Path) -> None:
    own = Library((), [
        Section("multiline_parser", "own", Path("a.conf"), 1, (
            Entry("rule", '"start_state" "/^A/" "b"', 1), Entry("rule", '"b" "/^-/" "b"', 1),
            Entry("flush_timeout", "50", 1),
        ))
    ])  # fmt: skip
    sink = Kept()
    write(tmp_path / "a.log", "A", "- b")
    async with following(sink, tmp_path / "a.log", own, multiline__parser="own"):
        await until(lambda: shown(sink) == [{"log": "A\n- b\n"}])


async def test_the_older_way_of_several_lines(tmp_path: Path) -> None:
    own = Library([
        section("parser", "first", format="regex", regex=r"^(?<level>[A-Z]+) (?<message>.*)$"),
        section("parser", "at", format="regex", regex=r"^  at (?<line>\d+)$"),
    ])  # fmt: skip
    sink = Kept()
    write(tmp_path / "a.log", "lost?", "ERROR it broke", "  at 7", "  and more", "INFO fine")
    keys = {"multiline": "on", "parser_firstline": "first", "parser_1": "at", "multiline_flush": "50ms"}
    async with following(sink, tmp_path / "a.log", own, **keys):
        await until(lambda: len(shown(sink)) == 3)
    assert shown(sink) == [
        {"log": "lost?"},
        {"level": "ERROR", "message": "it broke", "line": "7\n  and more"},
        {"level": "INFO", "message": "fine"},
    ]


async def test_parts_of_docker_lines_are_joined_before_a_parser_of_ones_own(tmp_path: Path) -> None:
    own = Library([section("parser", "docker", format="json", decode_field_as="json log")])
    sink = Kept()
    keys = {"docker_mode": "on", "parser": "docker"}
    write(tmp_path / "a.log", '{"log":"x\\n","stream":"stdout"}', '{"log":"{\\"a\\":","stream":"stdout"}')
    async with following(sink, tmp_path / "a.log", own, **keys):
        await until(lambda: len(shown(sink)) == 1)
    # a restart between the two parts
    write(tmp_path / "a.log", '{"log":"1}\\n","stream":"stdout"}')
    async with following(sink, tmp_path / "a.log", own, **keys):
        await until(lambda: len(shown(sink)) == 2)
    assert shown(sink) == [{"log": "x\n", "stream": "stdout"}, {"log": {"a": 1}, "stream": "stdout"}]


def docker(text: str, stream: str = "stdout") -> str:
    return json.dumps({"log": text, "stream": stream, "time": "2026-11-22T21:25:09Z"})


async def test_docker_lines_of_one_record_are_joined_by_the_parser_of_its_first(tmp_path: Path) -> None:
    library = Library([section("parser", "first", format="regex", regex=r"^(?<level>[A-Z]+): ")])
    sink = Kept()
    keys = {"docker_mode": "on", "docker_mode_parser": "first", "parser": "docker"}
    write(tmp_path / "a.log", docker("  lost\n"), docker("ERROR: it "), docker("broke\n"), docker("  at a\n"))
    write(tmp_path / "a.log", docker("INFO: on stderr\n", "stderr"), docker("  at b\n"))
    async with following(sink, tmp_path / "a.log", library, **keys):
        await until(lambda: len(shown(sink)) == 1)
    # a restart in the middle of two records
    write(tmp_path / "a.log", docker("  at c\n"), "no docker line", docker("INFO: next\n"), docker("WARN: last\n"))
    async with following(sink, tmp_path / "a.log", library, docker_mode_flush="1", **keys):
        await until(lambda: len(shown(sink)) == 6)
    assert sorted((record["log"], record.get("stream", "")) for record in shown(sink)) == [
        ("  lost\n", "stdout"),
        ("ERROR: it broke\n  at a\n  at b\n  at c\n", "stdout"),
        ("INFO: next\n", "stdout"),
        ("INFO: on stderr\n", "stderr"),
        ("WARN: last\n", "stdout"),
        ("no docker line", ""),
    ]


async def test_lines_of_another_encoding_become_utf_8(tmp_path: Path) -> None:
    text = "日本語 ログ"
    (tmp_path / "a.log").write_bytes(text.encode("shift_jis") + b"\nplain\n\x81\n")
    sink = Kept()
    async with following(sink, tmp_path / "a.log", generic__encoding="ShiftJIS"):
        await until(lambda: len(shown(sink)) == 3)
    assert shown(sink) == [{"log": text}, {"log": "plain"}, {"log": "\\x81"}]
    sink = Kept()
    (tmp_path / "b.log").write_bytes("Ошибка: x\n  ещё\nконец\n".encode("cp1251"))
    rule = Section("multiline_parser", "own", Path("a.conf"), 1, (
        Entry("rule", '"start_state" "/^Ошибка/" "b"', 1), Entry("rule", '"b" "/^ /" "b"', 1),
    ))  # fmt: skip
    keys = {"generic__encoding": "win1251", "multiline__parser": "own"}
    async with following(sink, tmp_path / "b.log", Library((), [rule]), **keys):
        await until(lambda: len(shown(sink)) == 2)
    assert shown(sink) == [{"log": "Ошибка: x\n  ещё\n"}, {"log": "конец\n"}]


async def test_a_copy_of_fluent_bits_parsers_changes_nothing(tmp_path: Path) -> None:
    cri = r"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$"
    library = Library([
        section("parser", "cri", format="regex", regex=cri, time_key="time", time_format="%Y-%m-%dT%H:%M:%S.%L%z"),
        section("parser", "docker", format="JSON", time_key="time", time_format="%Y-%m-%dT%H:%M:%S.%L", time_keep="On"),
    ])  # fmt: skip
    assert not library.is_own("cri")
    assert not library.is_own("docker")
    sink = Kept()
    write(tmp_path / "a.log", "2026-11-22T21:25:09Z stdout P a", "2026-11-22T21:25:09Z stdout F b")
    async with following(sink, tmp_path / "a.log", library, parser="cri"):
        await until(lambda: len(shown(sink)) == 1)
    assert shown(sink) == [{"time": "2026-11-22T21:25:09Z", "stream": "stdout", "logtag": "P", "message": "ab"}]
    assert Library([section("parser", "cri", format="cri", time_keep="on", types="message:integer")]).is_own("cri")


CONFIG = """\
[SERVICE]
    Parsers_File own.conf

[INPUT]
    Name             tail
    Path             {place}/web.log
    Parser           web
    Tag              web
    Read_From_Head   on

[INPUT]
    Name             tail
    Path             {place}/app.log
    Multiline.Parser mine, python
    Tag              app
    Read_From_Head   on

[OUTPUT]
    Name             file
    Match            *
    Path             {place}
"""
OWN = """\
[PARSER]
    Name        web
    Format      regex
    Regex       ^(?<at>\\S+) (?<code>\\d+)$
    Time_Key    at
    Time_Format %Y-%m-%dT%H:%M:%S.%L%z
    Types       code:integer

[MULTILINE_PARSER]
    Name        mine
    Type        regex
    Rule        "start_state" "/^\\[/" "cont"
    Rule        "cont"        "/^\\s/" "cont"
"""


def test_parsers_of_a_file_are_used_by_a_pipeline(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(CONFIG.format(place=tmp_path))
    (tmp_path / "own.conf").write_text(OWN)
    write(tmp_path / "web.log", "2026-11-22T21:25:09.5Z 200")
    write(tmp_path / "app.log", "[one", " two", *TRACE, "[three")
    assert main(["run", "-c", str(tmp_path / "a.conf"), "--exit-on-eof", "--state", str(tmp_path / "s")]) == 0
    assert (tmp_path / "web").read_text() == 'web: [1795382709.500000000, {"code":200}]\n'
    app = [json.loads(line.partition(", ")[2][:-1]) for line in (tmp_path / "app").read_text().splitlines()]
    assert app == [{"log": "[one\n two\n"}, {"log": "\n".join(TRACE) + "\n"}, {"log": "[three\n"}]


@given(
    st.lists(st.sampled_from([*TRACE, "plain", "", "  at x", "panic: x", "goroutine 1 [running]:", "é"]), max_size=25),
    st.lists(st.integers(1, 6), max_size=25),
)
def test_every_line_comes_out_once_whatever_the_blocks_and_restarts(lines: list[str], cuts: list[int]) -> None:
    parsers = [Library().multiline(name) for name in ("python", "go")]
    how = Parsing(machine=lambda: Multiline(parsers))
    reader = ParsedReader(LineReader(Lines("text"), "t", Origin("a.log")), how)
    chunks, offset, left = [], 0, list(lines)
    for cut in [*cuts, len(lines)]:
        part, left = left[:cut], left[cut:]
        if not part:
            continue
        data = "".join(line + "\n" for line in part).encode()
        chunks += reader.feed(Block(data, "a.log", offset, 0, b"1"))
        offset += len(data)
        if cut % 2:  # as after a restart: from the position
            waiting = reader.open
            reader = ParsedReader(LineReader(Lines("text"), "t", Origin("a.log")), how)
            reader.open = waiting
    chunks += reader.finish()
    texts = [json.loads(raw)["log"] for chunk in chunks for raw in chunk.records()]
    assert "".join(texts) == "".join(line + "\n" for line in lines)
    keys = [chunk.key(i) for chunk in chunks for i in range(len(chunk))]
    assert len(set(keys)) == len(keys)
