"""docs/reliability.md shows the faults that the tests play, all of them and no other."""

from __future__ import annotations

import pytest

from tests.faults import PAGE, Fault, Matrix, reported, shown, shown_outputs
from tests.inputs.events_docs import FAULTS
from tests.outputs.fault_list import COMBINATIONS


def test_the_page_has_every_fault_that_a_test_plays_and_no_other() -> None:
    played: dict[str, set[str]] = {}
    for name, test in reported():
        played.setdefault(name, set()).add(test)
    assert shown(PAGE.read_text(encoding="utf-8")) == played, "run `make reliability`"


def test_nothing_on_the_page_is_lost_or_doubled() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("\n# Outputs")[0]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    assert {(row[3], row[4]) for row in rows} == {("0", "0")}


def test_the_page_has_every_output_under_every_fault_that_it_is_tried_under() -> None:
    shown = shown_outputs(PAGE.read_text(encoding="utf-8"))
    assert set(shown) == set(COMBINATIONS), "run `make reliability`"
    assert {output for (output, fault), (_, lost, _) in shown.items() if lost} <= {"syslog", "tcp"}
    twice = {output for (output, _), (_, _, n) in shown.items() if n}
    assert not twice & {"alertmanager", "es", "opensearch", "kafka", "nats", "file", "prometheus_remote_write"}


def test_every_fault_known_from_another_collector_is_on_the_page() -> None:
    names = shown(PAGE.read_text(encoding="utf-8"))
    assert [n for n in FAULTS if not any(name.startswith(f"e{n}: ") for name in names)] == []
    assert [n for n in range(1, 9) if not any(name.startswith(f"t{n}: ") for name in names)] == []


def test_the_real_control_plane_plays_what_it_can() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert sum(" | real control plane | " in line for line in page) >= 12


def test_what_is_lost_or_doubled_fails_and_is_counted() -> None:
    matrix = Matrix()
    report = Fault(matrix, "t")
    with pytest.raises(AssertionError, match="1 of 2 lost"):
        report("x", said=[1, 2], kept=[1])
    with pytest.raises(AssertionError, match="kept more than once"):
        report("x", said=[1], kept=[1, 1])
    assert (matrix.rows["x"].lost, matrix.rows["x"].twice) == (1, 1)
