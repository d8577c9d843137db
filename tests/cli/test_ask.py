"""`kubewitness ask`: a line as people say it, understood and asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubewitness.cli import main
from tests.questions.builder import Trail
from tests.questions.recordings import imported, written


@pytest.fixture
def state(tmp_path: Path) -> str:
    trail = Trail()
    pod = trail.pod("web-1", 1)
    trail.add(0, "alice", "create", "pods", "web-1", code=201, request=pod, response=pod)
    trail.add(9, "carol", "delete", "pods", "web-1", response=pod)
    return str(imported(tmp_path / "state", [written(tmp_path / "capture", trail.events)]).root)


def test_a_question_in_words_is_printed_as_a_command_and_answered(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "--state", state, "who", "deleted", "the", "pod", "web-1?"]) == 0
    said = capsys.readouterr()
    assert "kubewitness who deleted pod/web-1 -n shop" in said.err
    assert "carol" in said.out


def test_json_tells_what_is_understood_and_asks_nothing(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--state", state, "-o", "json", "pod/web-1", "-n", "shop"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["question"], answer["params"]) == ("timeline", {"object": "pod/web-1", "namespace": "shop"})
    assert "kubewitness who pod/web-1 -n shop" in [other["command"] for other in answer["others"]]
    assert main(["ask", "--state", state, "-o", "json", "nonsense of all kinds"]) == 1


def test_without_words_it_names_questions_that_can_be_answered(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--state", state]) == 0
    assert "kubewitness who deleted pod/web-1 -n shop" in capsys.readouterr().out
