"""docs/filters.md: every example is run, every filter has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.config.load import load_pipeline
from kubewitness.config.state import state_paths
from kubewitness.filters import FILTERS
from kubewitness.formats.recordform import objects
from kubewitness.record import ChunkBuilder

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
_EXAMPLE = re.compile(
    r"## (?P<name>\w+)\n(?:(?!\n## ).)*?```yaml\n(?P<filters>.*?)```\n```json in\n(?P<taken>.*?)```\n"
    r"```(?P<kind>json out|text metrics)\n(?P<left>.*?)```",
    re.DOTALL,
)


class Example(NamedTuple):
    name: str
    filters: str
    taken: str
    kind: str
    left: str


EXAMPLES = [Example(**match.groupdict()) for match in _EXAMPLE.finditer(PAGE)]


def test_every_filter_has_a_section_with_an_example_and_a_line_in_the_table() -> None:
    assert {example.name for example in EXAMPLES} == set(FILTERS)
    assert set(re.findall(r"^\| \[`(\w+)`\]", PAGE, re.MULTILINE)) == set(FILTERS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_every_example_does_what_it_says(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list").write_text("alice\n")
    monkeypatch.setenv("LIST", str(tmp_path / "list"))
    path = tmp_path / "a.yaml"
    path.write_text(
        f"pipeline:\n  inputs: [{{name: tail, path: {tmp_path}/x, tag: demo}}]\n  filters:\n"
        + "".join(f"    {line}\n" for line in example.filters.splitlines())
        + "  outputs: [{name: 'null', match: '*'}]\n"
    )
    tree = load_pipeline(path, KNOWN)
    paths = state_paths(str(tmp_path / "state"), None)
    filters = Parts(tree, Service(tree.service), paths, strict=True, exit_on_eof=False, dry=True).filters
    builder = ChunkBuilder("logs", tag="demo", form="json")
    for line in example.taken.splitlines():
        builder.add(line.encode())
    left = [*filters.apply(builder.take()), *filters.expire(everything=True)]
    for settle in filters.settle():
        settle(True)
    if example.kind == "text metrics":
        assert (filters.metrics(), left) == (example.left, [])
    else:
        assert [r.decode() for chunk in left for r in objects(chunk)] == example.left.splitlines()
