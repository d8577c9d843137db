"""`who` against recorded runs of all scenarios (tests/cluster/scenarios), whose truth their driver knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.scenarios.record import Recording
from tests.cluster.scenarios.scoring import score

CORPUS = Path(__file__).resolve().parents[1] / "fixtures" / "corpus"

#: level: (recording, which questions: every so many-th, least share of right answers, least share of `proved` ones, in
#: percent). Raise the shares when they have risen; they are not to be lowered.
FLOORS = {
    "RequestResponse": ("seed-6", 2, 100, 90),
    "Request": ("seed-6", 2, 97, 30),
    "Metadata": ("seed-1", 2, 97, 14),
    "RequestResponse without Events": ("seed-6", 3, 100, 92),
    "Metadata without Events": ("seed-6", 3, 88, 8),
    "Events only": ("seed-1", 3, 1, 0),
}

#: the others are in `make long`
EACH_RUN = ("RequestResponse", "Metadata", "Events only")

#: variations that are held here: the fast one has once made answers falsely certain
FAST = "controllers' API server 2 s behind"
LONG = ("ResponseComplete only", "controllers' API server 2 s ahead")


@pytest.mark.parametrize(
    "level", [*EACH_RUN, *(pytest.param(v, marks=pytest.mark.long) for v in FLOORS if v not in EACH_RUN)]
)
def test_no_answer_is_falsely_certain_and_as_many_are_right_as_before(level: str) -> None:
    name, every, right, proved = FLOORS[level]
    tally = score([Recording(CORPUS / name)], level, every=every)
    report = "\n".join(tally.lines())
    assert not tally.falsely_proved, report
    assert 100 * tally.accuracy >= right, report
    assert 100 * tally.coverage >= proved, report


@pytest.mark.parametrize("vary", [FAST, *(pytest.param(v, marks=pytest.mark.soak) for v in LONG)])
def test_what_is_wrong_with_a_recording_makes_no_answer_falsely_certain(vary: str) -> None:
    tally = score([Recording(CORPUS / "seed-1")], "RequestResponse", every=8 if vary == FAST else 2, vary=vary)
    assert not tally.falsely_proved, "\n".join(tally.lines())
    assert tally.accuracy >= 0.75, "\n".join(tally.lines())


@pytest.mark.parametrize("name", ["seed-1", "seed-6"])
def test_a_recording_covers_every_scenario_and_leaves_no_vanished_pod_unexplained(name: str) -> None:
    truth = Recording(CORPUS / name).truth
    assert truth["unexplained"] == []
    assert truth["failed"] == []
    assert truth["scenarios"] >= 40
    assert len({known["scenario"] for known in truth["known"]}) == truth["scenarios"]
