"""A configuration made into parts: what is strict, what is not, and what is decided for the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.config.load import load_pipeline
from kubewitness.config.state import state_paths
from kubewitness.errors import UsageError

TEXT = """\
[SERVICE]
    storage.type memory
[INPUT]
    Name tail
    Path {place}/a.log
[INPUT]
    Name tail
    Path {place}/b.log
    Tag  <x>.b
[FILTER]
    Name grep
    Match tail.0
[OUTPUT]
    Name  null
    Match tail.*
[OUTPUT]
    Name  null
    Match_Regex ^tail
"""


def parts(tmp_path: Path, text: str, *, strict: bool = True) -> Parts:
    path = tmp_path / "a.conf"
    path.write_text(text.format(place=tmp_path))
    tree = load_pipeline(path, KNOWN, strict=strict)
    paths = state_paths(str(tmp_path / "state"), None)
    return Parts(tree, Service(tree.service), paths, strict=strict, exit_on_eof=False, dry=True)


def test_what_has_no_name_is_counted_for_each_plugin(tmp_path: Path) -> None:
    made = parts(tmp_path, TEXT)
    assert [output.name for output in made.outputs] == ["null.0", "null.1"]
    assert [output.wants("logs", "tail.0") for output in made.outputs] == [True, True]
    assert made.memory
    assert made.warnings == []


def test_where_one_input_wants_the_journal_all_have_it(tmp_path: Path) -> None:
    assert not parts(tmp_path, TEXT.replace("    Tag  <x>.b", "    storage.type filesystem")).memory


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    Match tail.0\n", "", "a.conf:11: filter grep has no 'match'"),
        ("    Match tail.*", "    Match nothing", "a.conf:15: match 'nothing' of output null fits no input's tag"),
        ("Match_Regex ^tail", "Alias ${{NO_SUCH_THING}}", "a.conf:18: variable ${NO_SUCH_THING} is not set"),
    ],
)
def test_what_strictness_refuses_is_otherwise_a_warning(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = TEXT.replace("    Tag  <x>.b\n", "    Tag  b\n").replace(old, new)
    with pytest.raises(UsageError) as told:
        parts(tmp_path, text)
    assert says in str(told.value)
    made = parts(tmp_path, text, strict=False)
    assert any(says in warning for warning in made.warnings)
