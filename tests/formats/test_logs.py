"""Log lines of every form, the names of log files, YAML documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubewitness.errors import Malformed
from kubewitness.formats import logs, yamldoc
from kubewitness.formats.times import format_us, parse_us


def test_a_cri_record_joins_its_parts() -> None:
    raw = b"2026-11-22T21:00:00.1Z stdout P hello \n2026-11-22T21:00:00.3+01:00 stdout F world"
    line = logs.decode("cri", raw)
    assert (format_us(line.us), line.stream, line.message) == ("2026-11-22T20:00:00.300000Z", "stdout", "hello world")
    assert logs.decode("cri", b"2026-11-22T21:00:00Z stderr F ").message == ""
    with pytest.raises(Malformed, match="CRI"):
        logs.decode("cri", b"hello world")


_TIMES = ("2026-11-22T21:00:00", "0001-01-01T00:00:00", "2026-13-22T21:00:00", "1969-01-01T00:00:00", "")
_ENDS = (".123456789Z", ".123456Z", "Z", ".1+01:00", ".12345678xZ", "")


@pytest.mark.parametrize(
    "rest", [" stdout F x", " stderr P a\n2026-11-22T21:00:01.5Z stderr F b", " other F x", "", " stdout"]
)
def test_times_alone_are_those_of_whole_lines(rest: str) -> None:
    records = [f"{time}{end}{rest}".encode() for time in _TIMES for end in _ENDS]

    def of_whole(raw: bytes) -> int:
        try:
            return logs.decode("cri", raw).us
        except Malformed:
            return 0

    assert list(logs.cri_times(records)) == list(map(of_whole, records))


def test_a_docker_record_joins_its_parts() -> None:
    part = '{"log":"%s","stream":"stderr","time":"2026-11-22T21:00:00.123456789Z"}'
    raw = "\n".join((part % "a ", part % "b\\n")).encode()
    line = logs.decode("docker", raw)
    assert (line.message, line.stream, format_us(line.us)) == ("a b", "stderr", "2026-11-22T21:00:00.123456Z")
    assert logs.docker_part(raw.split(b"\n")[0]) == ("stderr", False)


def test_a_klog_line_gets_the_year_that_fits_its_arrival() -> None:
    arrived = parse_us("2026-01-02T00:00:00Z")
    line = logs.decode("klog", b"E1231 23:59:59.000001       1 server.go:10] failed\n\tstack", arrived)
    assert (format_us(line.us), line.severity, line.message) == (
        "2025-12-31T23:59:59.000001Z",
        "error",
        "failed\n\tstack",
    )
    assert json.loads(line.fields) == {"caller": "server.go:10"}
    leap = logs.decode("klog", b"I0229 00:00:00.000000 1 a.go:1] x", arrived)
    assert format_us(leap.us) == "2024-02-29T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('"2026-11-22T21:00:00Z"', "2026-11-22T21:00:00.000000Z"),
        ("1795381200.5", "2026-11-22T21:00:00.500000Z"),
        ("1795381200123", "2026-11-22T21:00:00.123000Z"),
        ("1795381200123456789", "2026-11-22T21:00:00.123456Z"),
    ],
)
def test_a_json_line_is_read_with_its_usual_names(time: str, expected: str) -> None:
    line = logs.decode("json", f'{{"ts":{time},"level":"WARN","msg":"slow","n":1}}'.encode())
    assert (format_us(line.us), line.severity, line.message) == (expected, "warn", "slow")


def test_a_log_files_name_says_whose_it_is() -> None:
    where = logs.place(f"/var/log/containers/web-1_shop_app-{'ab' * 32}.log")
    assert (where.pod, where.namespace, where.container, where.container_id) == ("web-1", "shop", "app", "ab" * 32)
    where = logs.place("/var/log/pods/shop_web-1_5b41e1ef-d0a5-4df0-b0bd-d5c317cbad8b/app/0.log")
    assert (where.pod, where.namespace, where.container, where.pod_uid[:8]) == ("web-1", "shop", "app", "5b41e1ef")
    assert logs.place("/tmp/x.log") == logs.Place()


def _documents(text: str) -> list[yamldoc.Document]:
    reader = yamldoc.Documents()
    found = [reader.line(line) for line in text.encode().splitlines(keepends=True)]
    return [document for document in (*found, reader.close()) if document is not None]


@pytest.mark.parametrize("indent", ["", "  "])
def test_a_yaml_list_is_opened_up_item_by_item(indent: str) -> None:
    items = ["- a: 1", "  text: |", "    - not an item", "    items:", "", "- a: 2"]
    text = "\n".join(("---", "apiVersion: v1", "items:", *(indent + i for i in items), "kind: List", "---", "b: 3", ""))
    converted = [json.loads(yamldoc.to_json(document.text) or b"null") for document in _documents(text)]
    assert converted == [{"a": 1, "text": "- not an item\nitems:\n"}, {"a": 2}, {"b": 3}]


def test_times_in_yaml_stay_text() -> None:
    assert yamldoc.to_json(b"t: 2025-12-02T11:19:13.937551Z\nd: 2025-12-02\nn: 5") == (
        b'{"t":"2025-12-02T11:19:13.937551Z","d":"2025-12-02","n":5}'
    )


def test_a_yaml_document_over_the_limit_is_not_read() -> None:
    big = "a: 1\n" + "# " + "x" * yamldoc.YAML_LIMIT + "\n" + "b: 2\n"
    (document,) = _documents(big)
    assert "the limit is" in document.reason
    assert document.length == len(big)


def test_bad_yaml_says_where() -> None:
    with pytest.raises(Malformed, match="line 1"):
        yamldoc.to_json(b"a: [1, 2")
    with pytest.raises(Malformed):
        yamldoc.to_json(b"!!python/object/apply:os.system [id]")
    assert yamldoc.to_json(b"# nothing\n") is None
    assert not Path("id").exists()
