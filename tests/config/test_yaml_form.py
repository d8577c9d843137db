"""Configurations in YAML: what is read, and what is said about what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.config.keys import Key, Options
from kubewitness.config.load import Known, load_pipeline
from kubewitness.config.tree import Tree
from kubewitness.errors import UsageError

GOOD = """\
env:
  place: /var/out
service:
  Flush: 0.5
  storage.path: ${place}/journal
pipeline:
  inputs:
    - name: kubernetes_audit
      Audit_File: ${HOME_OF_LOGS}/audit.log
      tag: kube.audit
      exclude: [a, b]
  outputs:
    - name: file
      match: 'kube.*'
      path: ${place}
"""


KNOWN = Known(("kubernetes_audit", "kubernetes_events"), ("grep", "modify"), ("file", "stdout", "null"))


def load(tmp_path: Path, text: str, name: str = "pipeline.yaml") -> Tree:
    path = tmp_path / name
    path.write_text(text)
    return load_pipeline(path, KNOWN)


def test_a_file_is_read_with_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_OF_LOGS", "/logs")
    file = load(tmp_path, GOOD)
    assert file.service.keys == {"flush": "0.5", "storage.path": "/var/out/journal"}
    (source,) = file.inputs
    assert source.plugin == "kubernetes_audit"
    assert source.keys == {"audit_file": "/logs/audit.log", "tag": "kube.audit", "exclude": "a\nb"}
    assert source.given((Key("audit_file"), Key("exclude")))["exclude"] == "a,b"
    assert source.given((Key("exclude", multi=True),))["exclude"] == "a\nb"
    assert source.where("audit_file") == f"{tmp_path}/pipeline.yaml:9"
    assert file.outputs[0].rest("match") == {"path": "/var/out"}


SHORT = "pipeline:\n  inputs:\n    - name: kubernetes_audit\n"
OUT = "  outputs:\n    - name: null\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pipeline.yaml: empty"),
        ("service: {flush: 1}", "the pipeline has no inputs"),
        ("pipeline: {inputs: [{name: x}]", "pipeline.yaml:1: not valid YAML"),
        (SHORT, "pipeline has no outputs"),
        (SHORT + "  outputs: []", "pipeline has no outputs"),
        (SHORT + "  outputs: {name: file}", "pipeline.yaml:4: outputs is a list"),
        (SHORT + "  outputs:\n    - match: '*'", "pipeline.yaml:5: this output has no `name`"),
        (SHORT + "  outputs:\n    - name: fil", r"pipeline.yaml:5: unknown output 'fil'; did you mean 'file'\?"),
        (SHORT + "  outputs:\n    - name: zzz", "unknown output 'zzz'; there is file, null, stdout"),
        (
            SHORT.replace("_audit", "_adit") + OUT,
            r"yaml:3: unknown input .* did you mean 'kubernetes_audit'\?",
        ),
        (SHORT + OUT + "  filters:\n    - name: grp", r"yaml:7: unknown filter 'grp'; did you mean 'grep'\?"),
        (SHORT + OUT + "customs: []", "pipeline.yaml:6: customs: custom plugins are not supported"),
        (SHORT + OUT + "parsers:\n  - format: json", "pipeline.yaml:7: this parser has no `name`"),
        (SHORT + OUT + "parsers:\n  - {name: a}\n  - {name: a}", "yaml:8: parser 'a' is already defined at .*:7"),
        (SHORT + OUT + "includes:\n  - absent.yaml", "pipeline.yaml:7: include 'absent.yaml': there is no such file"),
        (SHORT + OUT + "includes:\n  - pipeline.yaml", "pipeline.yaml:7: .*pipeline.yaml is included twice"),
        (SHORT + OUT + "env:\n  - name: a", "pipeline.yaml:7: an item of env has `name`, and `value` or `uri`"),
        (SHORT + OUT + "env: {a: '${b}', b: '${a}'}\nservice: {log_file: '${a}'}", r"\${a} is made of itself"),
        (SHORT + OUT + "servce: {}", r"pipeline.yaml:6: unknown key 'servce' in the file; did you mean 'service'\?"),
        (SHORT + OUT + "service:\n  flush: 1\n  flush: 2", "pipeline.yaml:8: key 'flush' is given twice"),
        (
            SHORT + OUT + "service:\n  storage.path: ${NO_SUCH_THING}",
            r"yaml:7: variable \${NO_SUCH_THING} is not",
        ),
        (SHORT + OUT + "service:\n  flush: {a: 1}", "pipeline.yaml:7: key 'flush' takes a value"),
        (SHORT + "      processors: {metrics: [{name: a}]}\n" + OUT, "yaml:4: processors of metrics are not supported"),
        (SHORT + "      processors: {logs: [{nam: a}]}\n" + OUT, "pipeline.yaml:4: this processor has no `name`"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, text)


MORE = """\
includes:
  - more/*.yaml
env:
  - name: level
    value: ${severity}
  - name: token
    uri: file://PLACE
service:
  parsers_file: [own.conf, more/own2, /elsewhere/parsers.conf]
  log_level: debug
parsers:
  - name: Mine
    format: regex
    regex: '^(?<level>[A-Z]+) (?<log>.*)$'
multiline_parsers:
  - name: trace
    type: regex
    rules:
      - state: start_state
        regex: '/^say "(\\d+)"/'
        next_state: cont
      - {state: cont, regex: '/^ /', next_state: cont}
pipeline:
  inputs:
    - name: kubernetes_audit
      processors:
        logs:
          - name: modify
            add: ["a ${level}", b 2]
  filters:
    - name: grep
      match: '*'
      regex: token ${token}
  outputs:
    - name: "null"
"""


def test_a_file_may_include_others_and_name_parsers_files(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "more" / "b.yaml").write_text("env: {severity: warn}\npipeline:\n  outputs: [{name: stdout}]\n")
    (tmp_path / "more" / "a.yaml").write_text("pipeline:\n  inputs: [{name: kubernetes_events}]\n")
    (tmp_path / "own.conf").write_text("[PARSER]\n  Name one\n  Format json\n")
    (tmp_path / "more" / "own2").write_text("parsers: [{name: two, format: json}]\n")
    file = load(tmp_path, MORE.replace("PLACE", str(tmp_path / "token")))
    assert [s.plugin for s in file.inputs] == ["kubernetes_events", "kubernetes_audit"]
    assert [s.plugin for s in file.outputs] == ["stdout", "null"]
    assert [s.plugin for s in file.parsers] == ["Mine", "one", "two"]
    (processor,) = file.inputs[1].processors
    assert (processor.plugin, processor.pairs) == ("modify", [("add", "a warn"), ("add", "b 2")])
    assert file.filters[0].keys == {"match": "*", "regex": "token s3cret"}
    (trace,) = file.multiline_parsers
    assert trace.pairs == [
        ("type", "regex"),
        ("rule", r"""["start_state", "/^say \"(\\d+)\"/", "cont"]"""),
        ("rule", '["cont", "/^ /", "cont"]'),
    ]


def test_keys_may_be_written_with_humps(tmp_path: Path) -> None:
    file = load(tmp_path, SHORT + "      memBufLimit: 5M\n      Multiline.Parser: cri\n      DB: x\n" + OUT)
    assert file.inputs[0].keys == {"mem_buf_limit": "5M", "multiline.parser": "cri", "db": "x"}
    (twice,) = load(tmp_path, SHORT + "      auditFile: x\n      audit_file: x\n" + OUT).inputs
    with pytest.raises(UsageError, match="yaml:5: kubernetes_audit: key 'audit_file' is given twice"):
        twice.given((Key("audit_file"),))


def test_without_strictness_what_is_missing_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(SHORT + OUT + "service: {log_file: '${NO_SUCH_THING}'}\nparsers: [{name: a}, {name: a}]\n")
    tree = load_pipeline(path, KNOWN, strict=False)
    assert tree.service.keys == {"log_file": ""}
    assert len(tree.parsers) == 1
    assert ["NO_SUCH_THING" in tree.warnings[0], "already defined" in tree.warnings[1]] == [True, True]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml: No such file"):
        load_pipeline(tmp_path / "absent.yaml", KNOWN)


@pytest.mark.parametrize(("text", "number"), [("5M", 5_000_000), ("5MB", 5_000_000), ("10k", 10_000), ("7", 7)])
def test_sizes_are_as_in_fluent_bit(text: str, number: int) -> None:
    keys = (Key("x", "size", "0"),)
    assert Options("output", {"X": text}, keys).number("x") == number
    with pytest.raises(UsageError, match=r"output: 'x' is .*; it takes a size such as 5M"):
        Options("output", {"x": text + "?"}, keys)
