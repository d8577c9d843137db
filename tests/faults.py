"""The fault matrix: tests say what was said under a fault and what was kept; docs/reliability.md is the table of it.

A test takes the fixture `fault` and calls it at its end: `fault("410 in the stream", said=[...], kept=[...])`. What is
said and not kept is lost, what is kept more than once is doubled; both fail the test. `make reliability` runs all
such tests and writes the page.
"""

from __future__ import annotations

import ast
import re
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outputs.fault_list import COMBINATIONS, FAULTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
WHERE = ("real control plane", "fake API server", "listener", "file system")

HEAD = """# Faults, and what was lost

Written by `make reliability`, which runs every test that plays one of these faults; the fast suite fails when this
table and the tests name different faults. *said* is how many records the cluster (or the sender) said under the
fault, *lost* of them were not recorded, *twice* were recorded more than once: counted by the test, from what it said
itself, behind the journal (or a sink with the journal's semantics), which is where repeats are recognised. *within*
is the recovery on the machine that made this page, the longest of all variants: on the real control plane the seconds
from the end of the fault (the server, the right or the credential is there again; the leader is gone) until all was
kept or taken again; elsewhere an upper bound of it, from the beginning of the test, the fault and the start of all
parts included. *on* says what played the fault: the real control plane where it can, else a fake API server; for the
audit trail the recorder's own listener (real HTTP and TLS) or real files.

"""


OUTPUTS_HEAD = """
# Outputs, and what their far sides' faults cost

Each cell: of so many records, so many were lost and so many arrived twice, by what the far side took (`make crash`,
tests/outputs/test_faults.py). *down*: not there at first, and gone again in between; *down 10 min*: on a fake clock,
the waits between tries being all that differs from the long form (`make soak`, benchmarks/soak-output-down.log);
*slow*: half a second late, which is later than is waited for where there is an answer; *cut*: the connection breaks
in the middle of a body; *429*, *500*: told so (Kafka: not enough replicas); *half*: half of a batch is accepted;
*clock jump*: a day forward, a day back; *disk full*: a file cannot grow. A cell that is empty has no test: the fault
cannot be had there, or is the engine's alone (the journal and the file of what was set aside, above). `tcp` and
`syslog` have no acknowledgement: what is on its way when a connection breaks is lost, by the protocol. What arrives
twice does so where the far side cannot tell (docs/outputs.md).

"""


@dataclass
class Row:
    """One fault over all its tests' variants."""

    on: str
    tests: set[str]
    said: int = 0
    lost: int = 0
    twice: int = 0
    seconds: float = 0.0


class Matrix:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        #: (output, fault) -> said, lost, twice
        self.outputs: dict[tuple[str, str], tuple[int, int, int]] = {}

    def add(self, name: str, on: str, test: str, said: int, lost: int, twice: int, seconds: float) -> None:
        row = self.rows.setdefault(name, Row(on, set()))
        row.tests.add(test)
        row.said += said
        row.lost += lost
        row.twice += twice
        row.seconds = max(row.seconds, seconds)

    def add_output(self, output: str, fault: str, counts: tuple[int, int, int]) -> None:
        self.outputs[output, fault] = counts

    def _outputs(self) -> str:
        rows = [f"| output | {' | '.join(FAULTS)} |", "|---" * (len(FAULTS) + 1) + "|"]
        for output in sorted({output for output, _ in self.outputs}):
            cells = [_cell(self.outputs.get((output, fault))) for fault in FAULTS]
            rows.append(f"| `{output}` | {' | '.join(cells)} |")
        return OUTPUTS_HEAD + "\n".join(rows) + "\n"

    def keep(self, page: str) -> None:
        """What did not run this time, if there is still such a test."""
        self._keep_rows(page.partition("\n# ")[0])
        for key, counts in shown_outputs(page).items():
            if key in COMBINATIONS:
                self.outputs.setdefault(key, counts)

    def _keep_rows(self, page: str) -> None:
        """Rows of the page whose tests did not run this time, if there are still such tests."""
        played = set(reported())
        for line in page.splitlines():
            name, on, *numbers, tests = line.strip("| ").split(" | ") if line.startswith("| ") else ("", "", "")
            if name in self.rows or not all((name, test) in played for test in tests.split(", ")):
                continue
            said, lost, twice = map(int, numbers[:3])
            self.rows[name] = Row(on, set(tests.split(", ")), said, lost, twice, float(numbers[3].removesuffix(" s")))

    def page(self) -> str:
        lines = ["| fault | on | said | lost | twice | within | test |", "|---|---|---|---|---|---|---|"]
        for name, row in sorted(self.rows.items(), key=lambda item: (WHERE.index(item[1].on), item[0])):
            tests = ", ".join(sorted(row.tests))
            lines.append(
                f"| {name} | {row.on} | {row.said} | {row.lost} | {row.twice} | {row.seconds:.1f} s | {tests} |"
            )
        return HEAD + "\n".join(lines) + "\n" + self._outputs()


class Fault:
    """What the fixture gives: call it with what was said and what was kept."""

    def __init__(self, matrix: Matrix, test: str) -> None:
        self._matrix = matrix
        self._test = test
        self._began = time.monotonic()

    def __call__(
        self,
        name: str,
        *,
        said: Iterable[Hashable],
        kept: Iterable[Hashable],
        on: str = "fake API server",
        within: float | None = None,
    ) -> None:
        """`within`: seconds that the recovery took, where that was measured (else since the test began)."""
        seconds = time.monotonic() - self._began if within is None else within
        wanted, got = Counter(said), Counter(kept)
        assert wanted, "a fault under which nothing was said shows nothing"
        lost = wanted.keys() - got.keys()
        twice = {key: n for key, n in got.items() if n > 1}
        self._matrix.add(name, on, self._test, len(wanted), len(lost), len(twice), seconds)
        assert not lost, f"{len(lost)} of {len(wanted)} lost, e.g. {list(lost)[:3]}"
        assert not twice, f"{len(twice)} kept more than once, e.g. {list(twice.items())[:3]}"


def reported() -> Iterator[tuple[str, str]]:
    """(fault, test) of each call in the tests' source."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        if "fault(" not in text:
            continue
        for function in ast.walk(ast.parse(text)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "fault":
                    assert isinstance(call.args[0], ast.Constant), "the fault's name is written out"
                    yield str(call.args[0].value), function.name.removeprefix("test_")


def shown(page: str) -> dict[str, set[str]]:
    """Fault -> tests, as the page has them."""
    rows = [line.split(" | ") for line in page.partition("\n# Outputs")[0].splitlines() if line.startswith("| ")][1:]
    return {row[0].removeprefix("| "): set(row[-1].removesuffix(" |").split(", ")) for row in rows}


_CELL = re.compile(r"(\d+): (\d+) lost, (\d+) twice")


def _cell(counts: tuple[int, int, int] | None) -> str:
    return "" if counts is None else f"{counts[0]}: {counts[1]} lost, {counts[2]} twice"


def shown_outputs(page: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(output, fault) -> (said, lost, twice), as the page has them."""
    found = {}
    for line in page.partition("\n# Outputs")[2].splitlines():
        if line.startswith("| `"):
            output, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            for name, cell in zip(FAULTS, cells, strict=True):
                if counts := _CELL.fullmatch(cell):
                    found[output.strip("` "), name] = (int(counts[1]), int(counts[2]), int(counts[3]))
    return found


class OutputFault:
    """What fixture `output_fault` gives."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    def __call__(
        self,
        output: str,
        fault: str,
        said: Iterable[Hashable],
        kept: Iterable[Hashable],
        *,
        once: bool = False,
        may_lose: bool = False,
    ) -> None:
        """`once`: the far side recognises what comes twice. `may_lose`: nobody acknowledges there."""
        assert (output, fault) in COMBINATIONS
        wanted, got = Counter(said), Counter(kept)
        lost, twice = wanted.keys() - got.keys(), [key for key, n in got.items() if n > 1]
        self._matrix.add_output(output, fault, (len(wanted), len(lost), len(twice)))
        assert not got.keys() - wanted.keys(), "something arrived that was not said"
        assert not lost or may_lose, f"{len(lost)} of {len(wanted)} lost, e.g. {list(lost)[:3]}"
        assert not twice or not once, f"{len(twice)} arrived more than once, e.g. {twice[:3]}"


@pytest.fixture
def output_fault(request: pytest.FixtureRequest) -> OutputFault:
    return OutputFault(request.config.stash[MATRIX])


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    matrix = request.config.stash[MATRIX]
    return Fault(matrix, str(request.node.originalname).removeprefix("test_"))


MATRIX = pytest.StashKey[Matrix]()
