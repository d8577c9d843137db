"""Records of several lines: traces of languages, parts of containers' lines, rules of one's own; no line is lost."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.config.load import Known, load_pipeline
from kubewitness.errors import UsageError
from kubewitness.parsers.library import Library
from kubewitness.parsers.multiline import Multiline
from kubewitness.parsers.multiline_rules import BUILT_IN

LIBRARY = Library()

PYTHON = """\
Traceback (most recent call last):
  File "/app/a.py", line 3, in <module>
    f(x)
    ~^^^
  File "<stdin>", line 1, in f
ValueError: no: such value"""

JAVA = """\
Dec 14 06:41:08 Exception in thread "main" java.lang.RuntimeException: Something has gone wrong, aborting!
    at com.example.Main.a(Main.java:5)
\tat com.example.Main.main(Main.java:25)
Caused by: java.lang.IllegalStateException
\tat com.example.Main.b(Main.java:7)
\t... 2 more"""

JAVA_NESTED = """\
javax.servlet.ServletException: Something bad happened
    at com.example.Filter.doFilter(Filter.java:60)"""

GO = """\
panic: my panic

goroutine 4 [running]:
panic(0x45cb40, 0x47ad70)
\t/usr/local/go/src/runtime/panic.go:542 +0x46c
main.main.func1(0xc420024120)
\tfoo.go:6 +0x39
created by main.main
\tfoo.go:5 +0x58

goroutine 1 [chan receive]:
runtime.gopark(0x4739b8, 0xc420024178)
\t/usr/local/go/src/runtime/proc.go:280 +0x12c"""

GO_SIGNAL = """\
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]
goroutine 1 [running]:
main.main()
\t/app/main.go:5 +0x1"""

RUBY = """\
/app/a.rb:6:in `block': divided by 0 (ZeroDivisionError)
\tfrom /app/a.rb:6:in `each'
\tfrom /app/a.rb:9:in `<main>'"""


def texts(parsers: str, lines: list[str]) -> list[str]:
    machine: Multiline[int] = Multiline([LIBRARY.multiline(name) for name in parsers.split()])
    found = [record for i, line in enumerate(lines) for record in machine.add(line, i)]
    return [record.text for record in (*found, *machine.flush())]


@pytest.mark.parametrize(
    ("parser", "trace"),
    [
        ("python", PYTHON),
        ("java", JAVA),
        ("java", JAVA_NESTED),
        ("go", GO),
        ("go", GO_SIGNAL),
        ("ruby", RUBY),
    ],
)
def test_a_trace_is_one_record_and_the_lines_around_it_are_others(parser: str, trace: str) -> None:
    lines = ["before", *trace.split("\n"), "after", "end"]
    assert texts(parser, lines) == ["before\n", trace + "\n", "after\n", "end\n"]
    # one after the other, and one that the end of the source ends
    assert texts(parser, (trace + "\n" + trace).split("\n")) == [trace + "\n", trace + "\n"]
    assert texts("java python go ruby", lines) == ["before\n", trace + "\n", "after\n", "end\n"]


def test_an_empty_line_at_the_end_of_a_record_stays() -> None:
    assert texts("go", ["panic: x", "", "", "next"]) == ["panic: x\n\n\n", "next\n"]


def test_parts_of_cri_lines_are_joined_stream_by_stream() -> None:
    lines = [
        "2026-11-22T21:25:09.1Z stdout P one ",
        "2026-11-22T21:25:09.2Z stderr P two ",
        "2026-11-22T21:25:09.3Z stdout P three ",
        "2026-11-22T21:25:09.4Z stdout F four",
        "2026-11-22T21:25:09.5Z stderr F five",
    ]
    machine: Multiline[int] = Multiline([LIBRARY.multiline("cri")])
    found = [record for i, line in enumerate(lines) for record in machine.add(line, i)]
    assert [(record.fields, record.items) for record in found] == [
        ({"time": "2026-11-22T21:25:09.1Z", "stream": "stdout", "_p": "P", "log": "one three four"}, [0, 2, 3]),
        ({"time": "2026-11-22T21:25:09.2Z", "stream": "stderr", "_p": "P", "log": "two five"}, [1, 4]),
    ]
    assert found[0].time_ns == 1795382709100000000
    assert machine.flush() == []


def test_parts_of_docker_lines_are_joined_and_other_lines_are_not_taken_for_them() -> None:
    lines = ['{"log":"a","stream":"stdout","time":"t"}', '{"log":"b\\n","stream":"stdout"}', "plain"]
    machine: Multiline[int] = Multiline([LIBRARY.multiline(name) for name in ("docker", "cri")])
    found = [record for i, line in enumerate(lines) for record in machine.add(line, i)]
    assert [(record.fields, record.text) for record in found] == [
        ({"log": "ab\n", "stream": "stdout", "time": "t"}, "ab\n"),
        (None, "plain"),
    ]


def test_the_lines_of_records_are_joined_under_their_key() -> None:
    machine: Multiline[int] = Multiline([LIBRARY.multiline("python")], key="log")
    found = []
    for i, line in enumerate((*PYTHON.split("\n"), "next")):
        found += machine.add("", i, fields={"log": line, "pod": f"web-{i}"})
    assert [record.fields for record in found] == [{"log": PYTHON, "pod": "web-0"}, {"log": "next", "pod": "web-6"}]
    assert machine.add("", 9, fields={"other": 1})[0].fields == {"other": 1}


def test_what_waits_too_long_is_given_but_never_half_a_line_of_a_container() -> None:
    machine: Multiline[str] = Multiline([LIBRARY.multiline("cri"), LIBRARY.multiline("java")])
    assert machine.add("2026-11-22T21:25:09.1Z stdout P one", "part", now=0.0) == []
    assert machine.add("x.Exception: y", "start", now=1.0) == []
    assert machine.waiting == ["part", "start"]
    assert machine.expired(4.9) == []
    assert [record.items for record in machine.expired(5.0)] == [["start"]]
    assert machine.expired(1e9) == []
    assert [record.items for record in machine.flush()] == [["part"]]


def test_a_record_longer_than_the_limit_comes_in_pieces() -> None:
    machine: Multiline[int] = Multiline([LIBRARY.multiline("java")], limit=40)
    found = [r for i, line in enumerate(JAVA_NESTED.split("\n") * 1 + ["  at c", "end"]) for r in machine.add(line, i)]
    assert [(record.items, record.cut) for record in found] == [([0], True), ([1], True), ([2], False), ([3], False)]


# --- rules of one's own ---

OWN = """\
[MULTILINE_PARSER]
    Name          own
    Type          regex
    Flush_Timeout 1000
    Rule          "start_state"  "/^\\[\\d+\\] (.*)/"  "body"
    Rule          "body, tail"   "/^\\s+say \\"x\\"$/"  "tail"
    Rule          "body"         "/^-/"             "body"
[MULTILINE_PARSER]
    Name          until
    Type          equal
    Match_String  END
[MULTILINE_PARSER]
    Name          slash
    Type          endswith
    Match_String  \\
    Negate        on
"""
REST = "[INPUT]\n  Name tail\n[OUTPUT]\n  Name null\n"


def library(tmp_path: Path, text: str) -> Library:
    path = tmp_path / "a.conf"
    path.write_text(text + REST.replace("  Name", "    Name"))
    tree = load_pipeline(path, Known(["tail"], [], ["null"]))
    return Library(tree.parsers, tree.multiline_parsers)


def joined(own: Library, name: str, text: str) -> list[str]:
    machine: Multiline[int] = Multiline([own.multiline(name)])
    lines = textwrap.dedent(text).split("\n")
    return [r.text for i, line in enumerate(lines) for r in machine.add(line, i)] + [r.text for r in machine.flush()]


def test_rules_of_a_configuration_lead_from_state_to_state(tmp_path: Path) -> None:
    own = library(tmp_path, OWN)
    assert own.multiline("own").wait == 1.0
    assert joined(own, "own", '[1] a\n- b\n  say "x"\n- c\n[2] d\n[3] e') == [
        '[1] a\n- b\n  say "x"\n', "- c\n", "[2] d\n", "[3] e\n",
    ]  # fmt: skip
    assert joined(own, "until", "a\nb\nEND\nc") == ["a\nb\nEND\n", "c\n"]
    assert joined(own, "slash", "a\\\nb\nc") == ["a\\\nb\n", "c\n"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"start_state"', '"start"', "a.conf:5: .*no 'rule' is of start_state"),
        ('"tail"\n', '"tial"\n', r"a.conf:5: .*there is no state 'tial'; did you mean 'tail'\?"),
        ("Type          regex", "Type          regx", r"a.conf:3: .*'type' cannot be 'regx'; did you mean 'regex'\?"),
        ("Match_String  END", "Negate off", "a.conf:[89]: .*type equal needs 'match_string'"),
        ('"/^-/"             "body"', "", "a.conf:5: .*'rule' is"),
        ("1000", "soon", "a.conf:4: .*'flush_timeout' is 'soon'; it takes milliseconds"),
        ("Flush_Timeout 1000", "Parser nosuch", "a.conf:4: .*there is no parser 'nosuch'|a.conf:2: there is no parser"),
        ("(.*)/", "(.*/", "a.conf:5: .*regex"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        library(tmp_path, OWN.replace(old, new))


def test_a_name_that_is_not_known_is_told() -> None:
    with pytest.raises(UsageError, match=r"there is no multiline parser 'pyton'; did you mean 'python'\?"):
        LIBRARY.multiline("pyton")


# --- whatever the lines ---

_LINES = st.lists(
    st.one_of(
        st.sampled_from([*PYTHON.split("\n"), *JAVA.split("\n"), *GO.split("\n"), *RUBY.split("\n"), "",
                         "2026-11-22T21:25:09Z stdout P x", "2026-11-22T21:25:09Z stdout F y",
                         '{"log":"a"}', '{"log":"b\\n"}']),
        st.text(max_size=20),
    ),
    max_size=30,
)  # fmt: skip


@given(_LINES, st.lists(st.sampled_from(sorted(BUILT_IN)), min_size=1, max_size=4, unique=True), st.integers(1, 400))
def test_every_line_is_in_one_record_and_in_order(lines: list[str], names: list[str], limit: int) -> None:
    machine: Multiline[int] = Multiline([LIBRARY.multiline(name) for name in names], limit=limit)
    found = []
    for i, line in enumerate(lines):
        found += machine.add(line, i, now=float(i))
        found += machine.expired(float(i))
        assert sorted([*(item for record in found for item in record.items), *machine.waiting]) == list(range(i + 1))
    found += machine.flush()
    assert sorted(item for record in found for item in record.items) == list(range(len(lines)))
    assert all(record.items == sorted(record.items) for record in found)
