"""`who` against the demo recording's truth, at every audit level."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli.who import split_verb
from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Session
from tests.fixtures_demo import Demo
from tests.questions.score import score, state_at


@pytest.mark.parametrize(
    "level", ["RequestResponse", pytest.param("RequestResponse without Events", marks=pytest.mark.long)]
)
def test_with_bodies_every_vanished_pod_is_explained_and_proved(
    level: str, tmp_path: Path, truth: dict[str, Any]
) -> None:
    result = score(state_at(tmp_path, Demo(), level), truth, level)
    assert result.wrong == []
    assert result.proved == result.total > 20


@pytest.mark.parametrize("level", ["Request", "Metadata"])
def test_without_bodies_every_vanished_pod_is_explained_and_never_falsely_proved(
    level: str, tmp_path: Path, truth: dict[str, Any]
) -> None:
    result = score(state_at(tmp_path, Demo(), level), truth, level)
    assert result.wrong == []
    assert result.false_certainty == []


@pytest.mark.parametrize("level", ["Metadata without Events", "Events only"])
def test_with_half_the_sources_nothing_is_falsely_proved(level: str, tmp_path: Path, truth: dict[str, Any]) -> None:
    result = score(state_at(tmp_path, Demo(), level), truth, level)
    assert result.false_certainty == []


def test_the_drivers_own_questions_are_answered(demo_session: Session, truth: dict[str, Any]) -> None:
    for q in truth["questions"]:
        words = shlex.split(q["ask"])
        namespace = words[words.index("-n") + 1] if "-n" in words else None
        verb, target = split_verb(words[: words.index("-n")] if "-n" in words else words)
        answer = ask(demo_session, WhoQuestion(parse_target(target, namespace=namespace, cluster="default"), verb))
        assert answer.root is not None, q["ask"]
        assert (answer.root.user, answer.certainty) == (q["root"], "proved"), q["ask"]


def test_a_drain_that_had_to_wait_shows_who_was_refused_and_by_which_budget(
    demo_session: Session, truth: dict[str, Any]
) -> None:
    texts = []
    for v in truth["vanished"]:
        if v["mechanism"] == "drain":
            ref = parse_target([f"pod/{v['name']}"], namespace=v["namespace"], cluster="default")
            answer = ask(demo_session, WhoQuestion(ref, "evicted"))
            texts += [link.sentence for link in answer.chain]
    refused = [t for t in texts if "refused (429)" in t]
    assert refused
    assert all("disruption budget api" in t and "alice" in t for t in refused)


def test_every_evidence_id_is_found_by_search(demo_session: Session, truth: dict[str, Any]) -> None:
    from kubewitness.questions import search
    from kubewitness.questions.filters import Filter, parse_words

    seen: set[str] = set()
    for v in truth["vanished"][:8]:
        ref = parse_target([f"pod/{v['name']}"], namespace=v["namespace"], cluster="default")
        for link in ask(demo_session, WhoQuestion(ref)).chain:
            seen.update(link.evidence)
    assert seen
    for ident in seen:
        conditions, _ = parse_words([f"id={ident}"])
        rows = search.ask(demo_session, search.SearchQuestion(Filter(conditions))).rows
        assert [row.id for row in rows] == [ident]
