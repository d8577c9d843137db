"""Configurations in the classic format and on a command line; and nothing but a clear error, whatever is written."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.config.keys import Key
from kubewitness.config.load import Known, draft_of, finished, load_arguments, load_pipeline
from kubewitness.config.tree import Tree
from kubewitness.errors import UsageError

KNOWN = Known(("tail", "kubernetes_events"), ("modify", "grep"), ("file", "stdout", "null"))

GOOD = """\
# a comment
@SET level=warn
@SET place=/var/${USER_OF_TEST}

[SERVICE]
    Flush        0.5
    Parsers_File parsers.conf
    Log_Level    ${level}

[INPUT]
    Name    Tail
    # another
    Path    ${place}/*.log, /tmp/x.log # not a comment
    Tag     kube.*

[FILTER]
\tName   modify
"""


def load(tmp_path: Path, text: str) -> Tree:
    path = tmp_path / "fluent-bit.conf"
    path.write_text(text)
    return load_pipeline(path, KNOWN)


def test_a_file_is_read_in_order_with_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_OF_TEST", "alice")
    more = (
        "[FILTER]\n    Name modify\n    Match *\n    Add a 1\n    Rename b c\n    Add  d 2\n\n[output]\n    name null\n"
    )
    tree = load(tmp_path, GOOD[: GOOD.index("[FILTER]")] + more)
    assert tree.service.keys == {"flush": "0.5", "parsers_file": "parsers.conf", "log_level": "warn"}
    (source,) = tree.inputs
    assert source.plugin == "tail"
    assert source.keys == {"path": "/var/alice/*.log, /tmp/x.log # not a comment", "tag": "kube.*"}
    assert (source.where("path"), source.where()) == (
        f"{tmp_path}/fluent-bit.conf:13",
        f"{tmp_path}/fluent-bit.conf:11",
    )
    assert tree.filters[0].pairs == [("match", "*"), ("add", "a 1"), ("rename", "b c"), ("add", "d 2")]
    assert tree.filters[0].keys["add"] == "a 1\nd 2"


IN = "[INPUT]\n  Name tail\n"
OUT = "[OUTPUT]\n  Name null\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "fluent-bit.conf: the pipeline has no inputs"),
        (IN, "fluent-bit.conf: the pipeline has no outputs"),
        (IN + OUT + "[INPT]\n", r"conf:5: unknown section '\[INPT\]'; did you mean 'input'\?"),
        (IN + OUT + "[INPUT\n", r"conf:5: unknown section '\[INPUT'"),
        (IN + OUT + "[PLUGINS]\n  Path x.so\n", r"conf:5: \[PLUGINS\]: external plugins cannot be loaded"),
        (IN + OUT + "[STREAM_TASK]\n  Name x\n", "conf:6: .*there is no stream processor"),
        ("  Name tail\n", "conf:1: a key must stand below a section"),
        ("[INPUT]\nName tail\n", "conf:2: a key must be indented below its section"),
        ("[INPUT]\n  Name tail\n   Path x\n", "conf:3: this key is not indented as the first"),
        ("[INPUT]\n  Name tail\n\tPath x\n", r"conf:3: this key is not indented .* \(tabs and spaces are mixed\)"),
        ("[INPUT]\n  Name\n", "conf:2: key 'Name' has no value"),
        ("[INPUT]\n  Path x\n", "conf:1: this input has no `name`"),
        ("[INPUT]\n  Name tail\n  Name tail\n", "conf:3: key 'name' is given twice"),
        ("[INPUT]\n  Name tial\n" + OUT, r"conf:2: unknown input 'tial'; did you mean 'tail'\?"),
        ("@SETT a=b\n", r"conf:1: unknown instruction '@SETT'; did you mean '@set'\?"),
        ("@SET a\n", "conf:1: @SET takes NAME=VALUE"),
        ("@INCLUDE absent*.conf\n", "conf:1: include 'absent\\*.conf': there is no such file"),
        ("\n@include fluent-bit.conf\n", "conf:2: .*fluent-bit.conf is included twice"),
        (IN + OUT + "[SERVICE]\n  Parsers_File absent.conf\n", "conf:6: parsers_file 'absent.conf': there is no such"),
        (IN.replace("tail", "${NO_SUCH}") + OUT, r"conf:2: variable \${NO_SUCH} is not set"),
        (IN + "  [PROCESSORS]\n" + OUT, "conf:3: groups within a section are not supported"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, text)


def test_a_key_that_takes_one_value_is_given_once(tmp_path: Path) -> None:
    (source,) = load(tmp_path, IN + "  Path a\n  Path b\n" + OUT).inputs
    with pytest.raises(UsageError, match="conf:4: tail: key 'path' is given twice"):
        source.given((Key("path"),))


def test_includes_are_relative_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    for name in ("b", "a"):
        (tmp_path / "inputs" / f"{name}.conf").write_text(
            f"[INPUT]\n   Name tail\n   Tag {name}\n@INCLUDE ../x/{name}.inc\n"
        )
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.inc").write_text("[FILTER]\n\tName grep\n")
    (tmp_path / "x" / "b.inc").write_text("")
    tree = load(tmp_path, "@INCLUDE inputs/*.conf\n" + OUT)
    assert [s.keys["tag"] for s in tree.inputs] == ["a", "b"]
    assert tree.filters[0].where() == f"{tmp_path}/inputs/../x/a.inc:2"


def test_a_parsers_file_holds_parsers_only(tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text(
        "[PARSER]\n  Name Mine\n  Format json\n[MULTILINE_PARSER]\n  Name m\n  Type regex\n"
    )
    service = "[SERVICE]\n  Parsers_File own.conf\n  parsers_file /fluent-bit/etc/parsers.conf\n"
    tree = load(tmp_path, service + IN + OUT)
    assert [s.plugin for s in (*tree.parsers, *tree.multiline_parsers)] == ["Mine", "m"]
    (tmp_path / "own.conf").write_text(IN)
    with pytest.raises(UsageError, match=r"own.conf:2: \[INPUT\] does not belong into a parsers file"):
        load(tmp_path, service + IN + OUT)


# --- on a command line ---


def arguments(text: str) -> tuple[Tree, dict[str, str]]:
    return load_arguments(text.split(), KNOWN)


def test_a_pipeline_is_read_from_arguments() -> None:
    tree, process = arguments(
        "-R parsers.conf -f 5 -v -i tail -p Path=/a=b.log -t kube.x -F grep -m * -p regex=log_x -o stdout -m kube.* -D"
    )
    assert tree.service.keys == {"parsers_file": "parsers.conf", "flush": "5", "log_level": "debug"}
    assert (tree.inputs[0].plugin, tree.inputs[0].keys) == ("tail", {"path": "/a=b.log", "tag": "kube.x"})
    assert tree.filters[0].keys == {"match": "*", "regex": "log_x"}
    assert tree.outputs[0].keys == {"match": "kube.*"}
    assert tree.outputs[0].where("match") == "-o stdout"
    assert process == {"dry-run": ""}


def test_arguments_and_a_file_come_together(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text(IN)
    tree, process = arguments(f"--config {path} --output=null --match=* --log_file x.log -q")
    assert (len(tree.inputs), tree.outputs[0].keys, process["config"]) == (1, {"match": "*"}, str(path))
    assert tree.service.keys == {"log_file": "x.log", "log_level": "off"}


def test_what_a_command_line_asks_of_the_process_is_known_before_its_file_is_read() -> None:
    draft, process = draft_of(["-c", "/no/such/file", "-w", "/tmp", "-i", "tail", "-h"])
    assert process == {"config": "/no/such/file", "workdir": "/tmp", "help": "input tail"}
    assert [(section.kind, section.plugin) for section in draft.sections] == [("input", "tail")]
    with pytest.raises(UsageError, match="/no/such/file: No such file"):
        finished(draft, process, KNOWN)


def test_the_command_line_counts_where_the_file_says_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("[SERVICE]\n  Flush 5\n  Parsers_File parsers.conf\n" + IN + OUT)
    tree, _ = arguments(f"-c {path} -f 1 -H -L 127.0.0.1 --port 2021 -R parsers.conf -i tail -m *")
    assert (tree.service.keys["flush"], tree.service.keys["http_server"]) == ("1", "on")
    assert (tree.service.keys["http_listen"], tree.service.keys["http_port"]) == ("127.0.0.1", "2021")
    assert tree.service.keys["parsers_file"] == "parsers.conf\nparsers.conf"
    assert tree.inputs[0].keys == {}


def test_an_address_is_a_name_with_host_and_port() -> None:
    with pytest.raises(UsageError, match="-o forward: unknown output 'forward'"):
        arguments("-i tail -o forward://10.0.0.1:24224")
    tree, _ = load_arguments(["-i", "tail", "-o", "null://10.0.0.1:24224"], KNOWN)
    assert tree.outputs[0].keys == {"host": "10.0.0.1", "port": "24224"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-p a=b", "-p a=b: there is no -i, -F or -o before it"),
        ("-i tail -p path", "-i tail -p path: it takes KEY=VALUE"),
        ("-i tail", "command line: the pipeline has no outputs"),
        ("-K", "option -K not recognized; see --help"),
        ("tail", "argument 'tail' belongs to no option"),
        ("-i tail -o null://[", "-o null://\\["),
    ],
)
def test_wrong_arguments_are_told(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        arguments(text)


# --- whatever is written ---

_WORDS = st.sampled_from(
    [*"[]@#{}:-*&\t\n\"'$%|>,", "  ", "\n  ", "[INPUT]", "Name ", "tail", "@INCLUDE ", "@SET ", "a=${b}", "${", "b=1",
     "*", "env:", "pipeline:", "inputs:", "outputs:", "filters:", "- ", "name: ", "null", "includes:", "service:",
     "parsers:", "processors:", "logs:", "rules:", "&a", "*a", "<<: ", "multiline_parsers:", "\0", "\ufeff", "é",
     "\r\n", "../", "/"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.lists(_WORDS, max_size=40).map("".join), st.text(max_size=60)), name=st.sampled_from(
    ["x.yaml", "x.conf", "x"]), strict=st.booleans())  # fmt: skip
def test_no_text_makes_a_reader_fail_in_another_way(text: str, name: str, strict: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, name)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        with contextlib.suppress(UsageError):
            load_pipeline(path, KNOWN, strict=strict)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(["-i", "-o", "-p", "-m", "-t", "-F", "-R", "--flush", "--", "-c", "-vv"]),
                          st.text(max_size=10)), max_size=8))  # fmt: skip
def test_no_arguments_make_the_reader_fail_in_another_way(argv: list[str]) -> None:
    with contextlib.suppress(UsageError):
        load_arguments(argv, KNOWN)
