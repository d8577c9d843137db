"""Ways of writing that published configurations have, and that Fluent Bit takes: read as it reads them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kubewitness.cli.pipeline_parts import KNOWN as ALL
from kubewitness.config.elsewhere import ELSEWHERE
from kubewitness.config.keys import Key, Options, near, nearest
from kubewitness.config.load import Known, UnknownPlugin, load_pipeline
from kubewitness.config.peer import with_defaults
from kubewitness.config.tree import Tree
from kubewitness.errors import UsageError

KNOWN = Known(("tail", "dummy"), ("modify", "record_modifier"), ("http", "stdout"), ELSEWHERE)
IN = "[INPUT]\n    Name dummy\n"
OUT = "[OUTPUT]\n    Name stdout\n"


def load(place: Path, text: str, *, strict: bool = True, name: str = "fluent-bit.conf") -> Tree:
    path = place / name
    path.write_text(text)
    return load_pipeline(path, KNOWN, strict=strict)


# --- the classic format ---


def test_a_section_goes_on_behind_what_is_included_in_its_middle(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("[INPUT]\n\tName tail\n")
    tree = load(tmp_path, "[INPUT]\n    Name dummy\n@INCLUDE more.conf\n    Tag a\n" + OUT)
    assert [(s.plugin, s.keys) for s in tree.inputs] == [("dummy", {"tag": "a"}), ("tail", {})]


def test_an_include_may_be_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "in.conf").write_text(IN)
    monkeypatch.chdir(tmp_path / "here")
    assert len(load(tmp_path / "etc", "@INCLUDE in.conf\n" + OUT).inputs) == 1


def test_the_name_of_the_host_is_known_without_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = IN + "[FILTER]\n    Name record_modifier\n    Record host ${HOSTNAME}\n" + OUT
    monkeypatch.delenv("HOSTNAME", raising=False)
    assert load(tmp_path, text).filters[0].keys == {"record": f"host {socket.gethostname()}"}
    monkeypatch.setenv("HOSTNAME", "pod-1")
    assert load(tmp_path, text).filters[0].keys == {"record": "host pod-1"}


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("plugins_file", "[PLUGINS]\n    # Path /x.so\n"),
        ("plugins_file", "plugins:\n  # - /x.so\n"),
        ("plugins_file", None),
        ("streams_file", "#[STREAM_TASK]\r\n#    Name x\r\n"),
    ],
)
def test_a_file_of_plugins_or_tasks_that_lists_none_is_as_good_as_none(
    tmp_path: Path, key: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "plugins.conf").write_text(content)
    tree = load(tmp_path, f"[SERVICE]\n    {key} plugins.conf\n" + IN + OUT)
    assert (key in tree.service.keys, tree.warnings) == (False, [])


def test_a_file_that_lists_plugins_is_still_named(tmp_path: Path) -> None:
    (tmp_path / "plugins.conf").write_text("[PLUGINS]\n    Path /x.so\n")
    assert load(tmp_path, "[SERVICE]\n    plugins_file plugins.conf\n" + IN + OUT).service.keys == {
        "plugins_file": "plugins.conf"
    }


def test_of_a_key_that_every_plugin_has_the_last_counts_in_the_drop_in(tmp_path: Path) -> None:
    text = IN + "[OUTPUT]\n    Name stdout\n    Match *\n    Match dummy.*\n"
    tree = load(tmp_path, text, strict=False)
    assert tree.outputs[0].keys == {"match": "dummy.*"}
    assert [w.removeprefix(str(tmp_path)) for w in tree.warnings] == [
        "/fluent-bit.conf:5: stdout: key 'match' is given twice; the last counts"
    ]
    with pytest.raises(UsageError, match="conf:6: stdout: key 'match' is given twice"):
        load(tmp_path, text).outputs[0].given((Key("match"),))


def test_of_a_parsers_key_that_is_given_twice_the_first_counts(tmp_path: Path) -> None:
    text = IN + OUT + "[PARSER]\n    Name p\n    Format json\n    Decode_Field json a\n    Decode_Field json b\n"
    text += "    Time_Format %s\n    Time_Format %Y\n"
    tree = load(tmp_path, text, strict=False)
    assert tree.parsers[0].keys == {"format": "json", "decode_field": "json a\njson b", "time_format": "%s"}
    assert len(tree.warnings) == 1
    with pytest.raises(UsageError, match="conf:11: p: key 'time_format' is given twice; the first counts"):
        load(tmp_path, text)


def test_what_else_is_in_a_parsers_file_is_passed_over_in_the_drop_in(tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text("[SERVICE]\n    Flush 1\n[PARSER]\n    Name p\n    Format json\n")
    tree = load(tmp_path, "[SERVICE]\n    Parsers_File own.conf\n" + IN + OUT, strict=False)
    assert [s.plugin for s in tree.parsers] == ["p"]
    assert tree.warnings[0].endswith("own.conf:1: [SERVICE] does not belong into a parsers file")


def test_keys_of_the_service_that_fluent_bit_does_not_look_at_are_warned_of(tmp_path: Path) -> None:
    text = "[SERVICE]\n    Flush: 5\n    HTTP_Monitor Off\n    Log_Level debug\n"
    tree = with_defaults(load(tmp_path, text + IN + OUT, strict=False))
    assert ("flush:" in tree.service.keys, tree.service.keys["log_level"]) == (False, "debug")
    assert [w.partition(": ")[2] for w in tree.warnings] == [
        "service has no key 'flush:', it is ignored; did you mean 'flush'?",
        "service has no key 'http_monitor', it is ignored; did you mean 'http_server'?",
    ]


def test_a_key_at_the_wrong_depth_is_told_with_both_depths(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"conf:4: this key is not indented .*: by 3 characters, and line 2 by 4"):
        load(tmp_path, "[INPUT]\n    Name dummy\n[OUTPUT]\n   Name stdout\n")


def test_comments_may_be_in_any_encoding_and_values_not(tmp_path: Path) -> None:
    path = tmp_path / "fluent-bit.conf"
    path.write_bytes(b"# f\xfcr alle\n" + (IN + OUT).encode())
    assert len(load_pipeline(path, KNOWN).inputs) == 1
    path.write_bytes((IN + OUT).encode() + b"    Match f\xfcr\n")
    with pytest.raises(UsageError, match="conf:5: this line is not UTF-8"):
        load_pipeline(path, KNOWN)


def test_a_file_that_is_indented_as_a_whole_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"conf:1: a section such as \[INPUT\] stands at the margin"):
        load(tmp_path, "    [INPUT]\n        Name dummy\n")


def test_a_variable_with_a_default_is_told_how_to_have_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"variable \$\{A:-b\} is not set; there are no defaults; write `@SET A=...`"):
        load(tmp_path, IN + "    Tag ${A:-b}\n" + OUT)


# --- YAML ---

Y_IN = "pipeline:\n  inputs: [{name: dummy}]\n"


def test_a_key_written_twice_is_given_twice(tmp_path: Path) -> None:
    text = Y_IN + "  outputs:\n    - name: http\n      header: [A 1, B 2]\n      header: C 3\n      match: a\n"
    (output,) = load(tmp_path, text, name="x.yaml").outputs
    assert output.given((Key("header", multi=True), Key("match")))["header"] == "A 1\nB 2\nC 3"
    with pytest.raises(UsageError, match="yaml:8: http: key 'match' is given twice"):
        load(tmp_path, text + "      match: b\n", name="x.yaml").outputs[0].given((Key("header", multi=True),))


@pytest.mark.parametrize(
    "text",
    [
        "pipeline:\n  inputs:\n    - tail:\n        path: x\n  outputs:\n    - stdout: {match: '*'}\n",
        "pipeline:\n  inputs:\n    tail:\n      path: x\n  outputs:\n    stdout: {match: '*'}\n",
        "pipeline:\n  inputs:\n    - tail: {name: tail, path: x}\n  outputs:\n    - {name: stdout, match: '*'}\n",
    ],
)
def test_the_older_form_names_a_plugin_by_its_key(tmp_path: Path, text: str) -> None:
    tree = load(tmp_path, text, name="x.yaml")
    assert [(s.plugin, s.keys) for s in (*tree.inputs, *tree.outputs)] == [
        ("tail", {"path": "x"}), ("stdout", {"match": "*"}),
    ]  # fmt: skip
    assert tree.inputs[0].where().endswith(("x.yaml:3", "x.yaml:3"))


def with_more(place: Path, more: str) -> Tree:
    text = "pipeline:\n  inputs:\n    - name: dummy\n" + more + "\n  outputs: [{name: stdout}]\n"
    return load(place, text, name="x.yaml")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("      processors: {logs: [{name: modify, condition: {op: and}}]}", "yaml:4: condition: .*`modify` has"),
        ("      routes: {logs: []}", "yaml:4: routes: .* filter `rewrite_tag`"),
    ],
)
def test_what_only_yaml_can_say_is_told_with_what_to_write_instead(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_more(tmp_path, more)


def test_a_processor_that_is_no_filter_is_told_with_what_to_write_instead(tmp_path: Path) -> None:
    (section,) = with_more(tmp_path, "      processors: {logs: [{name: content_modifier}]}").inputs[0].processors
    with pytest.raises(UnknownPlugin, match="yaml:4: processor 'content_modifier': `modify`"):
        KNOWN.check(section, "processor", KNOWN.filters)


def test_a_star_without_quotes_is_told_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"yaml:3: not valid YAML: .*; a value that begins with \* stands in quotes"):
        load(tmp_path, Y_IN + "  outputs: [{name: stdout, match: *}]\n", name="x.yaml")


# --- values ---


def test_a_size_without_limit_is_called_false() -> None:
    assert Options("output", {"buffer_size": "False"}, (Key("buffer_size", "size", "512k"),)).number("buffer_size") == 0


def test_a_key_that_was_called_otherwise_before_is_told_by_its_name_now() -> None:
    assert near("Merge_JSON_Log", ["keep_log", "merge_log"]) == "; did you mean 'merge_log'?"
    assert near("Merge_JSON_Log", ["path"]) == ""


def test_a_long_list_of_names_is_not_told() -> None:
    assert nearest("zzz", [f"key_{n}" for n in range(31)]) == "; there are 31 others (docs/fluent-bit.md)"
    assert nearest("zzz", ["a", "b"]) == "; there is a, b"


# --- plugins that are not here ---


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[INPUT]\n    Name cpu\n", "conf:6: input 'cpu': .* node exporter"),
        ("[FILTER]\n    Name lua\n    Match *\n", "conf:6: filter 'lua': .* `expr`"),
        ("[FILTER]\n    Name stdout\n    Match *\n", r"conf:6: filter 'stdout': .*\[OUTPUT\]"),
        ("[OUTPUT]\n    Name cloudwatch_logs\n", "conf:6: output 'cloudwatch_logs': .* `s3`"),
    ],
)
def test_a_plugin_that_only_fluent_bit_has_is_told_with_what_does_its_work(
    tmp_path: Path, section: str, message: str
) -> None:
    with pytest.raises(UnknownPlugin, match=message) as e:
        load(tmp_path, IN + OUT + section)
    assert repr(e.value.name) in message


def test_nothing_that_is_here_is_said_not_to_be() -> None:
    ours = {"input": ALL.inputs, "filter": ALL.filters, "output": ALL.outputs, "processor": ALL.filters}
    assert [(kind, set(names) & set(ELSEWHERE[kind])) for kind, names in ours.items()] == [(k, set()) for k in ours]
