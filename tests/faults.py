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
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.inputs import fault_list as inputs
from tests.outputs import fault_list as outputs

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
in the middle of a body; *429*, *500*: told so (Kafka: not enough replicas, an error without a name; S3: 503
SlowDown, 500; NATS: its stream is full); *half*: half of a batch is accepted, and the rest refused for now: items
(`es`), entries, partitions, messages, or what was read before the far side failed; *clock jump*: a day forward, a day
back; *disk full*: the journal's disk is full while the far side is away, so that inputs wait; of `file`, `stdout` and
`store` the disk that they write to; *kill -9*: one process with all outputs killed while it delivers
(tests/crash/test_every_output_kill.py).

`tcp` and `syslog` have no acknowledgement: what is on its way when a connection breaks is lost, by the protocol.
OTLP's partial success says how many records will never be taken, and not which: all of the request are set aside.
What arrives twice does so where the far side cannot tell (docs/outputs.md). `prometheus_remote_write` sends no
records: its *kill -9* counts processes, and those whose numbers arrived.

"""

INPUTS_HEAD = """
# Inputs, and what faults cost

Of so many records that a source said, so many were lost and so many kept twice. *said* is what was written to a file,
sent where there is no answer, or acknowledged where there is one. *kill -9*: one process with all inputs killed while
it is told (`make crash`, tests/crash/test_every_input_kill.py), its records in the journal (`storage.type
filesystem`); *memory*: the same with `storage.type memory`; *disk full*: the journal has no room for a while; *clock
jump*: days forward and back; *cut*: a connection or a line breaks off in a record, and it comes again; *slow*: a record
takes its time, and others come meanwhile.

What is lost with the journal is what no receiver could keep: what the kernel held for the process (`tcp`, `udp`,
`syslog`, a pipe's bytes that were read), the lines of a command that ran, and admission reviews, which are answered
before they are on disk. In memory, acknowledged is what is in memory: a kill loses what is held there (`held_records`
in /metrics), and a stop what outputs have not taken within `grace`, told in the log for each output. Files, systemd's
journal and the API server's Events are read again, since positions follow delivery (`storage.path`, or `db`).

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
        #: (output, fault), (input, fault) -> said, lost, twice, set aside
        self.outputs: dict[tuple[str, str], Counts] = {}
        self.inputs: dict[tuple[str, str], Counts] = {}

    def add(self, name: str, on: str, test: str, said: int, lost: int, twice: int, seconds: float) -> None:
        row = self.rows.setdefault(name, Row(on, set()))
        row.tests.add(test)
        row.said += said
        row.lost += lost
        row.twice += twice
        row.seconds = max(row.seconds, seconds)

    def add_output(self, output: str, fault: str, counts: Counts) -> None:
        self.outputs[output, fault] = counts

    def add_input(self, name: str, fault: str, counts: Counts) -> None:
        """Of all variants together."""
        before = self.inputs.get((name, fault), Counts(0, 0, 0))
        self.inputs[name, fault] = Counts(*(a + b for a, b in zip(before, counts, strict=True)))

    def _cells(self) -> str:
        o, i = outputs, inputs
        return (
            INPUTS_HEAD
            + _table("input", sorted(i.INPUTS), i.FAULTS, self.inputs, i.NOT_HAD, i.REASONS)
            + OUTPUTS_HEAD
            + _table("output", sorted(o.OUTPUTS), o.FAULTS, self.outputs, o.NOT_HAD, o.REASONS)
        )

    def keep(self, page: str) -> None:
        """What did not run this time, if there is still such a test."""
        self._keep_rows(page.partition("\n# ")[0])
        for found, heading, known in (
            (self.outputs, "Outputs", outputs.COMBINATIONS),
            (self.inputs, "Inputs", inputs.COMBINATIONS),
        ):
            for key, counts in shown_counts(page, heading).items():
                if key in known:
                    found.setdefault(key, counts)

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
        return HEAD + "\n".join(lines) + "\n" + self._cells()


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
            taken = {argument.arg for argument in function.args.args}
            if "fault" not in taken or not function.name.startswith("test_"):
                continue  # another one of that name
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "fault":
                    assert isinstance(call.args[0], ast.Constant), "the fault's name is written out"
                    yield str(call.args[0].value), function.name.removeprefix("test_")


def shown(page: str) -> dict[str, set[str]]:
    """Fault -> tests, as the page has them."""
    rows = [line.split(" | ") for line in page.partition("\n# Inputs")[0].splitlines() if line.startswith("| ")][1:]
    return {row[0].removeprefix("| "): set(row[-1].removesuffix(" |").split(", ")) for row in rows}


class Counts(NamedTuple):
    """Of records."""

    said: int
    lost: int
    twice: int
    aside: int = 0

    def __str__(self) -> str:
        return f"{self.said}: {self.lost} lost, {self.twice} twice" + (
            f", {self.aside} set aside" if self.aside else ""
        )


_CELL = re.compile(r"(\d+): (\d+) lost, (\d+) twice(?:, (\d+) set aside)?")


def _table(
    what: str,
    names: Sequence[str],
    faults: Sequence[str],
    counts: Mapping[tuple[str, str], Counts],
    not_had: Mapping[tuple[str, str], str],
    reasons: Mapping[str, str],
) -> str:
    """Each cell has figures, or the letter of the reason why there are none."""
    rows = [f"| {what} | {' | '.join(faults)} |", "|---" * (len(faults) + 1) + "|"]
    for name in names:
        cells = [str(counts.get((name, f), f"– {not_had.get((name, f), '?')}")) for f in faults]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*rows, "", *(f"- – {letter}: {reason}." for letter, reason in reasons.items())]) + "\n"


def shown_cells(page: str, heading: str) -> dict[tuple[str, str], str]:
    """(name, fault) -> cell, of the table below this heading."""
    found: dict[tuple[str, str], str] = {}
    faults: list[str] = []
    for line in page.partition(f"\n# {heading}")[2].partition("\n# ")[0].splitlines():
        first, *cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `"):
            found |= {(first.strip("`"), fault): cell for fault, cell in zip(faults, cells, strict=True)}
        elif line.startswith("| "):
            faults = cells
    return found


def shown_counts(page: str, heading: str) -> dict[tuple[str, str], Counts]:
    """Likewise, where the cell has figures."""
    found = {}
    for key, cell in shown_cells(page, heading).items():
        if figures := _CELL.fullmatch(cell):
            found[key] = Counts(*(int(figure or 0) for figure in figures.groups()))
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
        aside: Iterable[Hashable] = (),
    ) -> None:
        """`once`: the far side recognises what comes twice. `may_lose`: nobody acknowledges there. `aside`: what was
        set aside is not lost."""
        assert (output, fault) in outputs.COMBINATIONS
        self._matrix.add_output(output, fault, _judged(output, said, kept, aside, once=once, may_lose=may_lose))


class InputFault:
    """What fixture `input_fault` gives."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    def __call__(
        self, name: str, fault: str, said: Iterable[Hashable], kept: Iterable[Hashable], *, once: bool = True
    ) -> None:
        """`once`: what comes twice is recognised. What may be lost is in `inputs.fault_list.MAY_LOSE`."""
        assert (name, fault) in inputs.COMBINATIONS
        may_lose = (name, fault) in inputs.MAY_LOSE
        self._matrix.add_input(name, fault, _judged(name, said, kept, once=once, may_lose=may_lose))


def _judged(
    name: str,
    said: Iterable[Hashable],
    kept: Iterable[Hashable],
    aside: Iterable[Hashable] = (),
    *,
    once: bool,
    may_lose: bool,
) -> Counts:
    """The figures; AssertionError for those that must not be."""
    wanted, got, left = Counter(said), Counter(kept), set(aside)
    assert wanted, "a fault under which nothing was said shows nothing"
    lost, twice = wanted.keys() - got.keys() - left, [key for key, n in got.items() if n > 1]
    assert not got.keys() - wanted.keys(), f"{name}: something arrived that was not said"
    assert not lost or may_lose, f"{name}: {len(lost)} of {len(wanted)} lost, e.g. {list(lost)[:3]}"
    assert not twice or not once, f"{name}: {len(twice)} arrived more than once, e.g. {twice[:3]}"
    return Counts(len(wanted), len(lost), len(twice), len(left))


@pytest.fixture
def input_fault(request: pytest.FixtureRequest) -> InputFault:
    return InputFault(request.config.stash[MATRIX])


@pytest.fixture
def output_fault(request: pytest.FixtureRequest) -> OutputFault:
    return OutputFault(request.config.stash[MATRIX])


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    matrix = request.config.stash[MATRIX]
    return Fault(matrix, str(request.node.originalname).removeprefix("test_"))


MATRIX = pytest.StashKey[Matrix]()
