"""The time that outputs show beside a record: for Events the one that Fluent Bit picks, unless that misdates them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.formats.record_times import stamps_ns
from kubewitness.outputs.file import FileOutput
from kubewitness.outputs.stdout import StdoutOutput
from kubewitness.record import Chunk
from tests.journal.helpers import chunk


def event(
    created: str, *, first: str | None = None, last: str | None = None, at: str | None = None, **more: Any
) -> bytes:
    body = {
        "metadata": {
            "name": "e",
            "namespace": "default",
            "uid": "u",
            "resourceVersion": "7",
            "creationTimestamp": created,
        },
        "involvedObject": {"kind": "Pod", "name": "web"},
        "firstTimestamp": first,
        "lastTimestamp": last,
        "eventTime": at,
        **more,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def events(*raw: bytes) -> Chunk:
    made = chunk(list(raw), "events")
    made.tag, made.received_us = "kubernetes_events.0", 1_800_000_000_000_000
    return made


def series(seen: str) -> dict[str, Any]:
    return {"series": {"count": 41, "lastObservedTime": seen}}


#: the times of Fluent Bit's own test data (tests/runtime/data/in_kubernetes_events) and what its tests expect of them
PEERS = [
    (event("2023-12-24T13:37:16Z", at="2023-12-24T13:37:16.335172Z"), 1703425036.0),
    (event("2023-12-24T09:30:07Z", first="2023-12-24T09:29:51Z", last="2023-12-24T09:29:51Z"), 1703410191.0),
    (event("2024-07-31T18:26:51Z", first="2024-07-31T18:26:51Z", last="2024-07-31T18:47:15Z"), 1722451635.0),
]
#: what it misdates, and what is shown here
OURS = [
    # a series that goes on keeps its creation there
    (event("2023-12-24T11:00:00Z", at="2023-12-24T11:00:00.5Z", **series("2023-12-24T13:00:00.25Z")), 1703422800.25),
    # created by the API server in the second after it happened, or much later
    (event("2023-12-24T13:37:17Z", at="2023-12-24T13:37:16.335172Z"), 1703425036.335172),
    (event("2023-12-24T13:37:17Z", last="2023-12-24T13:37:17Z", at="2023-12-24T13:40:00.5Z"), 1703425200.5),
    # no time but the creation's, and none at all: dropped there
    (event("2023-12-24T13:37:16Z"), 1703425036.0),
    (event(""), 1800000000.0),
]


@pytest.mark.parametrize(("raw", "expected"), [*PEERS, *OURS])
def test_an_event_has_the_time_that_fluent_bit_gives_it_unless_that_misdates_it(raw: bytes, expected: float) -> None:
    assert stamps_ns(events(raw)) == [round(expected * 1e6) * 1000]


async def test_lines_of_the_file_output_are_as_fluent_bit_writes_them(tmp_path: Path) -> None:
    output = FileOutput({"path": str(tmp_path), "file": "out"})
    await output.write([Delivery(1, events(PEERS[0][0], OURS[1][0]))])
    await output.close()
    assert (tmp_path / "out").read_bytes() == (
        b"kubernetes_events.0: [1703425036.000000000, " + PEERS[0][0] + b"]\n"
        b"kubernetes_events.0: [1703425036.335172000, " + OURS[1][0] + b"]\n"
    )


@pytest.mark.parametrize(
    ("form", "date"),
    [
        ("double", "1703425036.335172"),
        ("epoch", "1703425036"),
        ("epoch_ms", "1703425036335"),
        ("iso8601", '"2023-12-24T13:37:16.335172Z"'),
        ("iso8601_ns", '"2023-12-24T13:37:16.335172000Z"'),
        ("java_sql_timestamp", '"2023-12-24 13:37:16.335172"'),
    ],
)
async def test_stdout_puts_the_date_first_in_the_form_asked_for(
    form: str, date: str, capfd: pytest.CaptureFixture[str]
) -> None:
    raw = OURS[1][0]
    output = StdoutOutput({"json_date_key": "date", "json_date_format": form})
    await output.write([Delivery(1, events(raw))])
    assert capfd.readouterr().out == f'{{"date":{date},{raw.decode()[1:]}\n'


async def test_a_whole_second_has_one_decimal_as_the_peer_writes_it(capfd: pytest.CaptureFixture[str]) -> None:
    await StdoutOutput({"json_date_key": "at"}).write([Delivery(1, events(PEERS[1][0]))])
    assert capfd.readouterr().out.startswith('{"at":1703410191.0,"metadata":')


async def test_other_records_have_their_own_times_and_rejects_their_arrival(capfd: pytest.CaptureFixture[str]) -> None:
    audit = b'{"auditID":"a","stage":"ResponseComplete","verb":"get","stageTimestamp":"2023-12-24T13:37:16.000001Z"}'
    line = chunk([b"2023-12-24T13:37:16.5Z stdout F hello"], "logs")
    line.form = "cri"
    reject = chunk([b"{broken"], "rejects")
    reject.received_us = 1_500_000
    output = StdoutOutput({"json_date_key": "date"})
    await output.write(
        [Delivery(i, c) for i, c in enumerate((chunk([audit], "audit"), line, reject, chunk([b"{}"], "findings")))]
    )
    dates = [json.loads(text)["date"] for text in capfd.readouterr().out.splitlines()]
    assert dates == [1703425036.000001, 1703425036.5, 1.5, 1700000000.0]


def test_unknown_forms_of_dates_are_refused() -> None:
    with pytest.raises(UsageError, match="'json_date_format' cannot be 'iso'"):
        StdoutOutput({"json_date_key": "date", "json_date_format": "iso"})
