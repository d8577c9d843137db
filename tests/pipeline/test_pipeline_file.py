"""Pipeline files: what is read, and what is said about what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.config.keys import Key, Options
from kubewitness.config.pipeline_file import PipelineFile, load_pipeline
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


def load(tmp_path: Path, text: str, name: str = "pipeline.yaml") -> PipelineFile:
    path = tmp_path / name
    path.write_text(text)
    return load_pipeline(path, inputs=("kubernetes_audit", "kubernetes_events"), outputs=("file", "stdout", "null"))


def test_a_file_is_read_with_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_OF_LOGS", "/logs")
    file = load(tmp_path, GOOD)
    assert file.service.keys == {"flush": "0.5", "storage.path": "/var/out/journal"}
    (source,) = file.inputs
    assert source.plugin == "kubernetes_audit"
    assert source.keys == {"audit_file": "/logs/audit.log", "tag": "kube.audit", "exclude": "a,b"}
    assert source.where("audit_file") == f"{tmp_path}/pipeline.yaml:9"
    assert file.outputs[0].rest("match") == {"path": "/var/out"}


SHORT = "pipeline:\n  inputs:\n    - name: kubernetes_audit\n"
OUT = "  outputs:\n    - name: null\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pipeline.yaml: empty"),
        ("service: {flush: 1}", "there is no `pipeline`"),
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
        (SHORT + OUT + "  filters:\n    - name: grep", "pipeline.yaml:6: filters are not supported yet"),
        (SHORT + OUT + "parsers: []", "pipeline.yaml:6: parsers are not supported yet"),
        (SHORT + OUT + "servce: {}", r"pipeline.yaml:6: unknown key 'servce' in the file; did you mean 'service'\?"),
        (SHORT + OUT + "service:\n  flush: 1\n  flush: 2", "pipeline.yaml:8: key 'flush' is given twice"),
        (
            SHORT + OUT + "service:\n  storage.path: ${NO_SUCH_THING}",
            r"yaml:7: variable \${NO_SUCH_THING} is not",
        ),
        (SHORT + OUT + "service:\n  flush: {a: 1}", "pipeline.yaml:7: key 'flush' takes a value"),
        (SHORT + "      processors: {}\n" + OUT, "pipeline.yaml:4: processors are not supported yet"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize("text", ["[SERVICE]\n  Flush 1\n", "# mine\n\n[INPUT]\n  Name tail", "@INCLUDE other.conf\n"])
def test_the_classic_format_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="the classic format is not supported yet"):
        load(tmp_path, text, "fluent-bit.conf")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml: No such file"):
        load_pipeline(tmp_path / "absent.yaml", inputs=(), outputs=())


@pytest.mark.parametrize(("text", "number"), [("5M", 5_000_000), ("5MB", 5_000_000), ("10k", 10_000), ("7", 7)])
def test_sizes_are_as_in_fluent_bit(text: str, number: int) -> None:
    keys = (Key("x", "size", "0"),)
    assert Options("output", {"X": text}, keys).number("x") == number
    with pytest.raises(UsageError, match=r"output: 'x' is .*; it takes a size such as 5M"):
        Options("output", {"x": text + "?"}, keys)
