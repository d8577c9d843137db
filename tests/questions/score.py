"""Scores `who` against what a recording's driver knows: accuracy of root and mechanism, and false certainty.

`python -m tests.questions.score` prints the demo recording's scores at every audit level.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubewitness.config.state import StatePaths
from kubewitness.questions.model import WhoAnswer
from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Store
from tests.fixtures_demo import Demo
from tests.questions.recordings import imported, lines_of, only_requests, without_bodies, written

LEVELS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]] | None, bool]] = {
    "RequestResponse": (lambda event: event, True),
    "Request": (only_requests, True),
    "Metadata": (without_bodies, True),
    "RequestResponse without Events": (lambda event: event, False),
    "Metadata without Events": (without_bodies, False),
    "Events only": (None, True),
}


@dataclass
class Score:
    """One level's result."""

    level: str
    total: int = 0
    right: int = 0
    proved: int = 0
    #: answers that said `proved` and were wrong
    false_certainty: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    by_mechanism: Counter[str] = field(default_factory=Counter)

    def add(self, truth: dict[str, Any], answer: WhoAnswer) -> None:
        self.total += 1
        self.by_mechanism[f"{truth['mechanism']} asked"] += 1
        self.proved += answer.certainty == "proved"
        problem = verdict(truth, answer)
        if not problem:
            self.right += 1
            self.by_mechanism[f"{truth['mechanism']} right"] += 1
            return
        line = f"{truth['name']}: {problem}; said ({answer.certainty}): {answer.summary}"
        self.wrong.append(line)
        if answer.certainty == "proved":
            self.false_certainty.append(line)

    def line(self) -> str:
        return (
            f"{self.level:32} right {self.right:3}/{self.total}  proved {self.proved:3}  "
            f"proved but wrong {len(self.false_certainty)}"
        )


def verdict(truth: dict[str, Any], answer: WhoAnswer) -> str:
    """What is wrong with an answer; "" for nothing."""
    if not answer.found or answer.root is None:
        return "nothing found"
    if answer.mechanism != truth["mechanism"]:
        return f"mechanism {answer.mechanism}, not {truth['mechanism']}"
    if answer.root.user != truth["root"]:
        return f"root {answer.root.user}, not {truth['root']}"
    if answer.root.object != truth["root_object"]:
        return f"root's object {answer.root.object}, not {truth['root_object']}"
    if answer.root.kind != truth["root_kind"] or answer.root.acting_as != truth["acting_as"]:
        return f"root is a {answer.root.kind} acting as {answer.root.acting_as}"
    return ""


def state_at(folder: Path, demo: Demo, level: str) -> StatePaths:
    """A state with the recording as that level's policy would have left it."""
    change, events = LEVELS[level]
    files = [demo.events_list, demo.events_watch] if events else []
    if change is not None:
        files.append(written(folder / "capture", map(change, lines_of(demo.audit))))
    return imported(folder / "state", files)


def score(paths: StatePaths, truth: dict[str, Any], level: str) -> Score:
    """Asks about every vanished pod."""
    result = Score(level)
    with Store(paths).session() as session:
        for v in truth["vanished"]:
            ref = parse_target([f"{v['kind']}/{v['name']}"], namespace=v["namespace"], cluster="default")
            result.add(v, ask(session, WhoQuestion(ref, "deleted")))
    return result


def main() -> None:
    demo = Demo()
    truth = json.loads(demo.truth_file.read_text())
    for level in LEVELS:
        with tempfile.TemporaryDirectory() as folder:
            result = score(state_at(Path(folder), demo, level), truth, level)
        print(result.line())
        if "-v" in sys.argv:
            print("".join(f"    {line}\n" for line in result.wrong), end="")


if __name__ == "__main__":
    main()
