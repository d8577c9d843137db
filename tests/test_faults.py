"""docs/reliability.md shows the faults that the tests play, all of them and no other."""

from __future__ import annotations

import pytest

from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS as PLUGINS
from tests.faults import PAGE, Fault, Matrix, reported, shown, shown_cells, shown_counts
from tests.inputs import fault_list as inputs
from tests.inputs.events_docs import FAULTS
from tests.outputs import fault_list as outputs
from tests.outputs.fault_list import OUTPUTS


def test_the_page_has_every_fault_that_a_test_plays_and_no_other() -> None:
    played: dict[str, set[str]] = {}
    for name, test in reported():
        played.setdefault(name, set()).add(test)
    assert shown(PAGE.read_text(encoding="utf-8")) == played, "run `make reliability`"


def test_nothing_on_the_page_is_lost_or_doubled() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("\n# Inputs")[0]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    assert {(row[3], row[4]) for row in rows} == {("0", "0")}


def test_the_page_has_every_output_under_every_fault_or_says_why_not() -> None:
    page = PAGE.read_text(encoding="utf-8")
    cells = shown_cells(page, "Outputs")
    assert set(cells) == {(o, f) for o in OUTPUTS for f in outputs.FAULTS}, "run `make reliability`"
    assert {key: cell for key, cell in cells.items() if cell.startswith("–")} == {
        key: f"– {letter}" for key, letter in outputs.NOT_HAD.items()
    }, "run `make reliability`"
    assert set(outputs.NOT_HAD.values()) == set(outputs.REASONS)
    counts = shown_counts(page, "Outputs")
    assert set(counts) == set(outputs.COMBINATIONS), "run `make reliability`"
    assert {key for key, told in counts.items() if told.lost} <= {("syslog", "cut"), ("tcp", "cut")}
    assert {key for key, told in counts.items() if told.aside} == {("opentelemetry", "half")}


def test_the_page_has_every_input_under_every_fault_or_says_why_not() -> None:
    page = PAGE.read_text(encoding="utf-8")
    cells = shown_cells(page, "Inputs")
    assert set(cells) == {(i, f) for i in inputs.INPUTS for f in inputs.FAULTS}, "run `make reliability`"
    assert {key: cell for key, cell in cells.items() if cell.startswith("–")} == {
        key: f"– {letter}" for key, letter in inputs.NOT_HAD.items()
    }, "run `make reliability`"
    assert set(inputs.NOT_HAD.values()) == set(inputs.REASONS)
    counts = shown_counts(page, "Inputs")
    assert set(counts) == set(inputs.COMBINATIONS), "run `make reliability`"
    assert {key for key, told in counts.items() if told.lost} <= inputs.MAY_LOSE
    twice = {key for key, told in counts.items() if told.twice}
    assert {fault for _, fault in twice} <= {"kill -9", "kill -9, memory"}
    assert {name for name, fault in twice if fault == "kill -9"} <= {"http"}
    assert {name.split()[0] for name in inputs.INPUTS} == set(INPUTS)


def test_every_output_with_a_far_side_or_a_file_is_in_the_table() -> None:
    assert set(PLUGINS) - set(OUTPUTS) == {"null", "counter", "flowcounter", "prometheus_exporter"}


def test_what_a_far_side_can_tell_apart_is_there_once() -> None:
    counts = shown_counts(PAGE.read_text(encoding="utf-8"), "Outputs")
    twice = {(output, fault) for (output, fault), told in counts.items() if told.twice}
    once = {"alertmanager", "es", "opensearch", "kafka", "nats", "file", "prometheus_remote_write", "store"}
    # a new process is another producer to Kafka; a file's lines are written again where they were not acknowledged
    assert {key for key in twice if key[0] in once} <= {("kafka", "kill -9"), ("file", "kill -9")}


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
