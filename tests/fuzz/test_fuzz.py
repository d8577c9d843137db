"""Any bytes beside good records: no crash, no hang, no record lost, no secret shown (see `targets`)."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.pieces import SEEDS, WORDS, mutated
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
#: seconds that one input may take
SLOW = 5.0
#: inputs of the long form; together more than 2 million
LONG = {
    "lines": 600_000,
    "watch": 500_000,
    "any_value": 400_000,
    "whole_body": 350_000,
    "body": 120_000,
    "secrets": 80_000,
    "parsers": 100_000,
}
SCALE = float(os.environ.get("KUBEWITNESS_FUZZ_SCALE", "1"))


@pytest.fixture
def in_time() -> Iterator[None]:
    """Ends an input that hangs. Inside of a C function the signal waits, and pytest's own limit ends the test."""

    def late(*_: object) -> None:
        raise TimeoutError(f"one input took more than {SLOW} s")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", TARGETS)
def test_seeded_random_bytes_break_no_promise(name: str, in_time: None) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED", "1"))
    rng = random.Random(seed)
    for data in (*SEEDS, *WORDS, *(mutated(rng) for _ in range(250))):
        signal.setitimer(signal.ITIMER_REAL, SLOW)
        try:
            TARGETS[name](data)
        except BaseException as e:
            raise AssertionError(f"seed {seed}: {name}({data!r}): {type(e).__name__}: {e}") from e


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("name", LONG)
def test_inputs_found_by_coverage_break_no_promise(name: str, tmp_path: Path) -> None:
    assert set(LONG) == set(TARGETS)
    inputs = int(LONG[name] * SCALE)
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(1, 2**31))
    words = [sys.executable, "-m", "tests.fuzz.guided", name, str(inputs), str(seed), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    numbers = dict(re.findall(r"stat::(\w+): +(\d+)", said))
    covered = re.findall(r"DONE +cov: (\d+)", said)
    print(
        f"fuzz {name}: {numbers['number_of_executed_units']} inputs, {numbers['average_exec_per_sec']}/s, "
        f"{covered[-1]} branches covered, peak {numbers['peak_rss_mb']} MB, seed {seed}: no promise broken"
    )
    assert int(numbers["number_of_executed_units"]) >= inputs
