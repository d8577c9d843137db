"""docs/who.md explains every mechanism, and says truly on what each was proved."""

from __future__ import annotations

import re
from pathlib import Path

from kubewitness.questions.model import MECHANISM_NAMES
from tests.cluster.scenarios.record import Recording
from tests.questions.test_who_corpus import CORPUS

_TEXT = (Path(__file__).resolve().parents[2] / "docs" / "who.md").read_text()
_ROWS = dict(re.findall(r"^\| ([a-z-]+) \| (real control plane|built records) \|", _TEXT, re.M))


def test_every_mechanism_is_explained_and_says_what_it_was_proved_on() -> None:
    assert list(_ROWS) == list(MECHANISM_NAMES)
    explained = set(re.findall(r"\*\*([a-z-]+)\*\*", _TEXT))
    assert set(MECHANISM_NAMES) <= explained


def test_a_mechanism_is_said_to_be_proved_on_the_real_control_plane_only_when_a_recording_has_it() -> None:
    recorded = {k["truth"]["mechanism"] for n in ("seed-1", "seed-6") for k in Recording(CORPUS / n).truth["known"]}
    claimed = {name for name, how in _ROWS.items() if how == "real control plane"} - {"unknown"}
    assert claimed == recorded
