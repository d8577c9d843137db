"""The forms of outputs `stdout` and `file`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.outputs.file import FileOutput
from kubewitness.outputs.stdout import StdoutOutput
from tests.outputs.test_es import logs

RECORDS = ('{"a":"x \\"y\\"\\n","b":1,"c":0.5,"d":null}', '{"a":[true,{"k":"v"}]}')


@pytest.mark.parametrize(
    ("form", "out"),
    [
        ("json_lines", RECORDS[0] + "\n" + RECORDS[1] + "\n"),
        ("json", f"[{RECORDS[0]},{RECORDS[1]}]\n"),
        ("json_stream", RECORDS[0] + RECORDS[1] + "\n"),
        (
            "msgpack",
            '[0] kube.shop: [[1700000000.123456789, {}], {"a"=>"x "y"\n", "b"=>1, "c"=>0.500000, "d"=>nil}]\n'
            '[1] kube.shop: [[1700000000.123456789, {}], {"a"=>[true, {"k"=>"v"}]}]\n',
        ),
    ],
)
async def test_stdout_has_fluent_bits_forms(form: str, out: str, capfd: pytest.CaptureFixture[str]) -> None:
    output = StdoutOutput({"format": form})
    await output.write([Delivery(1, logs(*RECORDS))])
    assert capfd.readouterr().out == out


async def test_stdout_writes_otlp_as_json_a_line_a_chunk(capfd: pytest.CaptureFixture[str]) -> None:
    output = StdoutOutput({"format": "otlp_json"})
    await output.write([Delivery(1, logs(*RECORDS)), Delivery(2, logs('{"SeverityText":"WARN"}'))])
    requests = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (first, second), (third,) = (r["resourceLogs"][0]["scopeLogs"][0]["logRecords"] for r in requests)
    assert first["timeUnixNano"] == "1700000000123456789"
    assert {"key": "b", "value": {"intValue": "1"}} in first["body"]["kvlistValue"]["values"]
    assert second["body"]["kvlistValue"]["values"][0]["key"] == "a"
    assert third["severityText"] == "WARN"


async def written(directory: Path, *records: str, **keys: str) -> str:
    output = FileOutput({"path": str(directory), "file": "out", **keys})
    for i, record in enumerate(records):
        await output.write([Delivery(i, logs(record))])
    await output.close()
    return (directory / "out").read_text()


async def test_csv_can_be_read_as_csv_and_begins_with_names_once(tmp_path: Path) -> None:
    text = await written(tmp_path, RECORDS[0], '{"a":1}', format="csv", csv_column_names="on")
    assert list(csv.reader(text.splitlines(keepends=True))) == [
        ["timestamp", "a", "b", "c", "d"],
        ["1700000000.123456789", 'x "y"\n', "1", "0.500000", "nil"],
        ["1700000000.123456789", "1"],
    ]
    assert (await written(tmp_path, '{"a":"b"}', format="csv", delimiter="tab")).endswith('123456789\t"b"\n')


async def test_ltsv_and_templates_are_one_line_a_record(tmp_path: Path) -> None:
    assert await written(tmp_path, RECORDS[0], format="ltsv") == (
        '"time":1700000000.123457\t"a":"x "y"\\n"\t"b":1\t"c":0.500000\t"d":nil\n'
    )
    (tmp_path / "out").unlink()
    assert await written(tmp_path, '{"b":1}', format="ltsv", label_delimiter="=", delimiter=",") == (
        '"time"=1700000000.123457,"b"=1\n'
    )
    (tmp_path / "out").unlink()
    assert await written(tmp_path, RECORDS[0], format="template", template="{time} {b}/{a}{absent}") == (
        '1700000000.123457 1/x "y"\\n{absent}\n'
    )


def test_keys_that_are_not_built_say_so() -> None:
    with pytest.raises(UsageError, match="'enable_strftime' is not supported: not built yet; `rotate` rotates by size"):
        FileOutput({"enable_strftime": "on"})
