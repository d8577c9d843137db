"""Lines of container logs: parts joined, each record with its place and key, whatever the blocks' borders."""

from __future__ import annotations

import itertools
import json
import random

import pytest

from kubewitness.formats.logshapes import lines as json_lines_of
from kubewitness.inputs.rotation import Block
from kubewitness.inputs.tail_lines import LineReader, Lines
from kubewitness.record import KEY_BYTES, Chunk, Origin

TIME = "2026-11-22T21:25:09.{:09d}Z"


def reader(form: str = "cri", **more: bool | int) -> LineReader:
    origin = Origin("/var/log/containers/web.log", fields="time,stream,_p,log")
    return LineReader(Lines(form, **more), "kube.web", origin)  # type: ignore[arg-type]


def container(rng: random.Random, records: int) -> tuple[bytes, list[tuple[str, str]]]:
    """A log as containerd writes it, and its (stream, text) in the order in which they end."""
    waiting: dict[str, list[str]] = {}
    written: list[str] = []
    ended: list[tuple[str, str]] = []
    while len(ended) < records or waiting:
        stream = rng.choice(("stdout", "stdout", "stderr"))
        text = rng.choice(("", "plain", 'a "quoted" \\ one', "tab\there", "ünï", " P ", " stdout P x", "x" * 300))
        last = len(ended) >= records or rng.random() > 0.2
        waiting.setdefault(stream, []).append(text)
        written.append(f"{TIME.format(len(written))} {stream} {'F' if last else 'P'} {text}\n")
        if last:
            ended.append((stream, "".join(waiting.pop(stream))))
    return "".join(written).encode(), ended


def blocks(data: bytes, rng: random.Random) -> list[Block]:
    made, begin = [], 0
    while begin < len(data):
        end = data.find(b"\n", min(begin + rng.randrange(1, 2000), len(data) - 1)) + 1
        made.append(Block(data[begin:end], "0.log", begin, identity=b"inode"))
        begin = end
    return made


def shown(chunks: list[Chunk]) -> list[dict[str, str]]:
    return [json.loads(line) for chunk in chunks for line in json_lines_of(chunk).splitlines()]


@pytest.mark.parametrize("seed", range(40))
def test_parts_are_joined_per_stream_wherever_the_blocks_end(seed: int) -> None:
    rng = random.Random(seed)
    data, expected = container(rng, 200)
    one = reader()
    chunks = [chunk for block in blocks(data, rng) for chunk in one.feed(block)]
    assert sorted((r["stream"], r["log"]) for r in shown(chunks)) == sorted(expected)
    assert one.finish() == []
    keys = [chunk.key(i) for chunk in chunks for i in range(len(chunk))]
    assert len(set(keys)) == len(keys) == len(expected)
    for chunk in chunks:
        for i, (start, end) in enumerate(chunk.spans()):
            first = chunk.data[start:end].split(b"\n")[0]
            assert data[chunk.place(i, start)[1] :].startswith(first)


@pytest.mark.parametrize("seed", range(10))
def test_the_same_records_have_the_same_keys_however_they_were_read(seed: int) -> None:
    rng = random.Random(seed)
    data, _ = container(rng, 100)

    def keys() -> list[bytes]:
        one = reader()
        chunks = [chunk for block in blocks(data, rng) for chunk in one.feed(block)]
        return sorted(chunk.key(i) for chunk in chunks for i in range(len(chunk)))

    assert keys() == keys()


def test_alike_lines_of_two_files_are_two_records() -> None:
    one, other = reader("text"), reader("text")
    (a,) = one.feed(Block(b"started\n", "0.log", 0, identity=b"a"))
    (b,) = other.feed(Block(b"started\n", "0.log", 0, identity=b"b"))
    assert len(a.keys) == KEY_BYTES
    assert a.keys != b.keys


def test_an_open_line_is_kept_over_a_restart() -> None:
    one = reader()
    assert one.feed(Block(b"T stdout P half \n", "0.log", 0, identity=b"a")) == []
    again = reader()
    again.open = dict(one.open)
    (chunk,) = again.feed(Block(b"T stdout F done\n", "0.log", 17, identity=b"a"))
    assert shown([chunk]) == [{"time": "T", "stream": "stdout", "_p": "P", "log": "half done"}]
    assert chunk.place(0, 0)[1] == 0


def test_what_nobody_ends_is_delivered_unfinished_and_flagged() -> None:
    one = reader()
    one.feed(Block(b"T stdout P half\n", "0.log", 0, identity=b"a"))
    (chunk,) = one.finish()
    assert shown([chunk])[0]["log"] == "half"
    assert chunk.notes[0].flags == ("line-unfinished",)


def test_a_line_of_endless_parts_is_cut_and_every_piece_kept() -> None:
    one = reader(limit=1000)
    data = b"".join(b"T stdout P %s\n" % (b"%04d" % i * 50) for i in range(40)) + b"T stdout F end\n"
    chunks = one.feed(Block(data, "0.log", 0, identity=b"a"))
    text = "".join(r["log"] for r in shown(chunks))
    assert text == "".join(f"{i:04d}" * 50 for i in range(40)) + "end"
    assert chunks[0].notes[0].flags == ("line-cut",)


def test_docker_lines_are_joined_until_their_newline_comes() -> None:
    data = (
        b'{"log":"one\\n","stream":"stdout","time":"2026-11-22T21:25:09Z"}\n'
        b'{"log":"tw","stream":"stdout","time":"2026-11-22T21:25:10Z"}\n'
        b'{"log":"err\\n","stream":"stderr","time":"2026-11-22T21:25:10Z"}\n'
        b'{"log":"o\\n","stream":"stdout","time":"2026-11-22T21:25:11Z"}\n'
    )
    assert [(r["stream"], r["log"]) for r in shown(reader("docker").feed(Block(data, "x-json.log", 0)))] == [
        ("stdout", "one\n"),
        ("stderr", "err\n"),
        ("stdout", "two\n"),
    ]


def test_lines_that_are_not_of_the_form_are_shown_as_they_are() -> None:
    data = b"no time\nT stdout F ok\n\n\x00\x00T stdout F after a hole\r\n\xff\xfe bytes\n"
    assert shown(reader().feed(Block(data, "0.log", 0))) == [
        {"log": "no time"},
        {"time": "T", "stream": "stdout", "_p": "F", "log": "ok"},
        {"time": "T", "stream": "stdout", "_p": "F", "log": "after a hole"},
        {"log": "\\xff\\xfe bytes"},
    ]
    assert shown(reader("json").feed(Block(b'{"a":1}\n{broken\n', "x", 0))) == [{"a": 1}, {"log": "{broken"}]


def test_text_is_escaped_as_json_wants_it() -> None:
    texts = ['say "hi"', "back\\slash", "tab\t", "\x1b[31mred\x1b[0m", "ünï", "\x01\x02", ""]
    for text in [*texts, *("\n".join(pair) for pair in itertools.pairwise(texts))]:
        found = shown(reader("text").feed(Block(f"{text}\n".encode(), "x", 0)))
        assert [r["log"] for r in found] == text.split("\n")
    assert shown(reader("text", skip_empty=True).feed(Block(b"\na\n\nb\n", "x", 0))) == [{"log": "a"}, {"log": "b"}]


def test_a_chunk_and_a_part_of_it_know_their_places_after_the_journal() -> None:
    (chunk,) = reader("text").feed(Block(b"a\nbb\nccc\n", "x", 100, identity=b"a"))
    again = Chunk.from_parts(chunk.header(), chunk.data)
    assert again.origin == chunk.origin
    part = again.select([0, 2])
    assert [part.place(i, start) for i, (start, _) in enumerate(part.spans())] == [
        ("/var/log/containers/web.log", 100),
        ("/var/log/containers/web.log", 105),
    ]


def test_name_and_offset_go_before_the_other_keys() -> None:
    one = reader("text")
    one.origin = Origin("/var/log/x.log", key="message", path_key="filename", offset_key="at")
    assert json_lines_of(one.feed(Block(b"a\nb\n", "x", 7))[0]) == (
        b'{"filename":"/var/log/x.log","at":7,"message":"a"}\n{"filename":"/var/log/x.log","at":9,"message":"b"}\n'
    )
