"""Filters in a configuration: in the order of the file, in both formats, and before the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main

CLASSIC = """\
[INPUT]
    Name    tail
    Path    {place}/app.log
    Parser  json
    Tag     app.web
    Read_From_Head on

[FILTER]
    Name    grep
    Match   app.*
    Exclude level debug

[FILTER]
    Name    rewrite_tag
    Match   app.*
    Rule    $level ^error$ bad.$TAG[1] false

[FILTER]
    Name        modify
    Match_Regex ^(app|bad)
    Add         one 1
    Rename      one two
    Add         one 3

[OUTPUT]
    Name    file
    Match   bad.web
    Path    {place}
    File    bad.jsonl
    Format  plain

[OUTPUT]
    Name    file
    Match   app.*
    Path    {place}
    File    good.jsonl
    Format  plain
"""

YAML = """\
pipeline:
  inputs:
    - name: tail
      path: {place}/app.log
      parser: json
      tag: a
      read_from_head: on
      processors:
        logs:
          - name: modify
            add: [mine yes, also yes]
    - name: tail
      path: {place}/other.log
      parser: json
      tag: b
      read_from_head: on
  filters:
    - name: modify
      match: "*"
      rename: mine ours
  outputs:
    - name: file
      path: {place}
      file: good.jsonl
      format: plain
"""


def run(place: Path, text: str, name: str) -> int:
    (place / name).write_text(text.replace("{place}", str(place)))
    return main(["run", "-c", str(place / name), "--exit-on-eof", "--state", str(place / "state")])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_filters_drop_change_and_retag_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(f'{{"level":"{x}"}}\n' for x in ("debug", "info", "error")))
    assert run(tmp_path, CLASSIC, "a.conf") == 0
    changed = {"two": "1", "one": "3"}
    assert lines(tmp_path / "good.jsonl") == [{"level": "info"} | changed]
    assert lines(tmp_path / "bad.jsonl") == [{"level": "error"} | changed]


def test_processors_are_filters_of_one_input_before_all_others(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text('{"n":1}\n')
    (tmp_path / "other.log").write_text('{"n":2}\n')
    assert run(tmp_path, YAML, "a.yaml") == 0
    found = sorted(lines(tmp_path / "good.jsonl"), key=lambda record: record["n"])
    assert found == [{"n": 1, "ours": "yes", "also": "yes"}, {"n": 2}]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Match   app.*\n    Exclude", "Exclude", "a.conf:9: filter grep has no 'match'"),
        ("Match   app.*\n    Exclude", "Match   ap.*\n    Exclude", ""),
        ("Exclude level", "Exclud level", "a.conf:11: filter grep.0: unknown key 'exclud'; did you mean 'exclude'?"),
        ("Name    grep", "Name    lua", "a.conf:9: filter 'lua': scripts are not run"),
        ("Name    grep", "Name    grap", "a.conf:9: unknown filter 'grap'; did you mean 'grep'?"),
        ("^(app|bad)", "^(app|bad", "a.conf:20: 'match_regex': regex '^(app|bad': "),
        ("Exclude level debug", "Exclude level debug\n    Log_Level loud", ""),
    ],
)
def test_a_mistake_in_a_filter_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    (tmp_path / "a.conf").write_text(CLASSIC.replace("{place}", str(tmp_path)).replace(old, new))
    code = main(["run", "-c", str(tmp_path / "a.conf"), "--dry-run", "--state", str(tmp_path / "s")])
    assert message in capsys.readouterr().err
    assert code == (2 if message else 0)


@pytest.mark.parametrize(
    ("processors", "message"),
    [
        ("[{name: modfy}]", r"unknown processor 'modfy'; did you mean 'modify'?"),
        ("[{name: modify, ad: x}]", "unknown key 'ad'"),
    ],
)
def test_a_mistake_in_a_processor_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processors: str, message: str
) -> None:
    text = YAML.replace("{place}", str(tmp_path))
    begin, end = (
        text.index("          - name: modify"),
        text.index("    - name: tail\n      path: " + str(tmp_path / "other")),
    )
    (tmp_path / "a.yaml").write_text(text[:begin].rstrip() + f" {processors}\n" + text[end:])
    assert main(["run", "-c", str(tmp_path / "a.yaml"), "--dry-run", "--state", str(tmp_path / "s")]) == 2
    assert message in capsys.readouterr().err
