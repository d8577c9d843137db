"""Scores `who` against recordings: accuracy by mechanism and audit level, share of `proved`, and false certainty.

An answer is right when mechanism, root user, root kind, root object and impersonation are. What even the driver could
not know is right when root and mechanism are one of the candidates. False certainty is an answer that says `proved`
and is wrong.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubewitness.config.state import StatePaths
from kubewitness.formats.times import parse_us
from kubewitness.questions.model import WhoAnswer
from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Session, Store
from tests.cluster.scenarios.record import Recording
from tests.questions.recordings import imported, lines_of, written
from tests.questions.score import LEVELS
from tests.questions.variations import VARIATIONS, Event, changed_events


@dataclass
class Tally:
    """One audit level's result, over any number of recordings."""

    level: str
    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    proved: Counter[str] = field(default_factory=Counter)
    #: one paragraph for each wrong answer; those that said `proved` come first in `lines`
    wrong: list[str] = field(default_factory=list)
    falsely_proved: list[str] = field(default_factory=list)
    #: questions that even the driver cannot answer: how many; answered `inferred` or `unknown`; with candidates
    unclear: Counter[str] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float:
        return sum(self.right.values()) / max(1, sum(self.asked.values()))

    @property
    def coverage(self) -> float:
        """The share of answers that said `proved`."""
        return sum(self.proved.values()) / max(1, sum(self.asked.values()))

    def add(self, known: dict[str, Any], answer: WhoAnswer) -> None:
        truth = known["truth"]
        mechanism = truth["mechanism"]
        self.asked[mechanism] += 1
        self.proved[mechanism] += answer.certainty == "proved"
        if truth["candidates"]:
            self.unclear["asked"] += 1
            self.unclear["not proved"] += answer.certainty != "proved"
            self.unclear["with candidates"] += bool(answer.candidates)
        problem = judged(truth, answer)
        if not problem:
            self.right[mechanism] += 1
            return
        question = f"who {known['verb']} {known['kind']}/{known['name']} -n {known['namespace']}"
        text = (
            f"  {known['scenario']}: {question}: {problem}\n"
            f"    truth: {mechanism} by {truth['root']} on {truth['object']}\n"
            f"    said ({answer.certainty}, {answer.mechanism}): {answer.summary}"
        )
        (self.falsely_proved if answer.certainty == "proved" else self.wrong).append(text)

    def lines(self, *, quiet: bool = False) -> list[str]:
        total = sum(self.asked.values())
        shown = [
            f"{self.level}: right {sum(self.right.values())}/{total} ({self.accuracy:.1%}), "
            f"proved {self.coverage:.1%}, proved but wrong {len(self.falsely_proved)}"
        ]
        for name, count in sorted(self.asked.items()):
            shown.append(f"  {name:20} right {self.right[name]:4}/{count:<4} proved {self.proved[name]:4}")
        if self.unclear:
            told = ", ".join(f"{name} {count}" for name, count in self.unclear.items())
            shown.append(f"  where even who stood by cannot tell which of two it was: {told}")
        if not quiet:
            shown += [f"PROVED BUT WRONG {text}" for text in self.falsely_proved] + self.wrong
        return shown


def judged(truth: dict[str, Any], answer: WhoAnswer) -> str:
    """What is wrong with an answer; "" for nothing."""
    if not answer.found or answer.root is None:
        return "nothing found"
    root = answer.root
    if truth["candidates"]:
        named = [answer.mechanism, root.user]
        return "" if named in truth["candidates"] else f"{named} is none of the candidates {truth['candidates']}"
    if answer.mechanism != truth["mechanism"]:
        return f"mechanism {answer.mechanism}, not {truth['mechanism']}"
    if root.user != truth["root"] or root.kind != truth["root_kind"]:
        return f"root {root.user} ({root.kind}), not {truth['root']} ({truth['root_kind']})"
    if root.acting_as != truth["acting_as"]:
        return f"root acting as {root.acting_as}, not {truth['acting_as']}"
    return "" if root.object == truth["object"] else f"root's object {root.object}, not {truth['object']}"


def state_at(folder: Path, recording: Recording, level: str, vary: str = "") -> StatePaths:
    """A state with the recording as that level's policy would have left it, and with what `vary` spoils of it."""
    change, events = LEVELS[level]
    spoil_audit, spoil_event = VARIATIONS[vary] if vary else (None, None)
    files = list(recording.events) if events else []
    if spoil_event is not None:
        files = [_spoilt(folder / "events", file, spoil_event) for file in files]
    if change is not None:
        records = [change(r) for r in lines_of(recording.audit)]
        parts = spoil_audit(records) if spoil_audit is not None else [records]
        files += [written(folder / f"capture{i}", part) for i, part in enumerate(parts)]
    return imported(folder / "state", files)


def _spoilt(folder: Path, file: Path, change: Event) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name.removesuffix(".zst")
    path.write_text("\n".join(changed_events(lines_of(file), change)) + "\n")
    return path


def answer_of(session: Session, known: dict[str, Any]) -> WhoAnswer:
    """The product's answer, asked as a person would: by name, and by time where a name was used again."""
    ref = parse_target([f"{known['kind']}/{known['name']}"], namespace=known["namespace"] or None, cluster="default")
    at = parse_us(known["when"]) if known["at"] else None
    return ask(session, WhoQuestion(ref, known["verb"], at=at))


def score(recordings: Sequence[Recording], level: str, *, every: int = 1, vary: str = "") -> Tally:
    """Asks about everything that is known of the recordings, or every so many-th of it, at one level."""
    tally = Tally(f"{level}, {vary}" if vary else level)
    for recording in recordings:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(state_at(Path(folder), recording, level, vary))
            with store.session() as session:
                for known in recording.truth["known"][::every]:
                    tally.add(known, answer_of(session, known))
            store.close()
    return tally


def print_scores(
    recordings: Sequence[Recording], levels: Sequence[str] = (), vary: Sequence[str] = (), *, quiet: bool = False
) -> int:
    """Prints every level's tally, and of each variation at those levels; 1 when any answer was falsely certain."""
    falsely = 0
    for level in levels or LEVELS:
        for variation in vary or ("",):
            tally = score(recordings, level, vary=variation)
            falsely += len(tally.falsely_proved)
            print("\n".join(tally.lines(quiet=quiet)), flush=True)
    return 1 if falsely else 0
