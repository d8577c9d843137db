"""All scenarios played live with a seed that nobody has seen, and `who` asked about them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.cluster.harness import Binaries
from tests.cluster.scenarios.record import record
from tests.cluster.scenarios.scoring import score

pytestmark = [pytest.mark.cluster, pytest.mark.soak]


def test_a_fresh_seed_is_explained_without_false_certainty(binaries: Binaries, tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 20))
    print(f"KUBEWITNESS_SEED={seed}")
    recording = record(seed, tmp_path, binaries)
    assert recording.truth["failed"] == []
    for level, least in (("RequestResponse", 0.95), ("Metadata", 0.9)):
        tally = score([recording], level)
        assert tally.falsely_proved == [], "\n".join(tally.lines())
        assert tally.accuracy >= least, "\n".join(tally.lines())
