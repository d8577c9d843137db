"""`kubewitness-fluent-bit`: command line, words, log and exit codes, as scripts written for Fluent Bit expect them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness import __version__
from kubewitness.cli.fluent_bit import main
from kubewitness.cli.fluent_bit_dump import dump
from kubewitness.cli.fluent_bit_log import FluentBitFormatter
from kubewitness.pipeline.delivery import NOT_TAKEN, RECOVERED, RETRIED

PIPELINE = """\
[SERVICE]
    Flush        1
    Parsers_File parsers.conf
[INPUT]
    Name         tail
    Path         {place}/*.log
    Tag          app.*
[OUTPUT]
    Name         stdout
    Match        {match}
"""


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "fluent-bit.conf"
    path.write_text(PIPELINE.format(place=tmp_path, match="app.*"))
    return path


Said = pytest.CaptureFixture[str]


# --- what only tells something ---


def test_the_version_is_in_the_form_that_scripts_take_apart(capsys: Said) -> None:
    assert main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Fluent Bit v\d+\.\d+\.\d+", first)
    assert second == f"Git commit: kubewitness-{__version__}"


def test_help_lists_options_and_plugins(capsys: Said) -> None:
    assert main(["-h"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: ")
    for line in ("  -c  --config=FILE", "  -Y, --enable-hot-reload", "Inputs\n", "  tail", "Outputs\n", "  opensearch"):
        assert line in out


@pytest.mark.parametrize(
    ("arguments", "title", "key"),
    [
        (["-i", "tail", "-h"], "tail input plugin", r"rotate_wait +.*\n(?: +.*\n)* +> default: 5, type: time"),
        (["-F", "grep", "--help"], "grep filter plugin", r"regex +"),
        (["-i", "tail", "-o", "http", "-h"], "http output plugin", r"retry_limit +"),
        (["-o", "opentelemetry", "-h"], "opentelemetry output plugin", r"format +.*; one\n +of `protobuf`, `json`"),
        (["-o", "opentelemetry", "-h"], "opentelemetry output plugin", r"grpc +only off; anything else is refused: "),
    ],
)
def test_a_plugins_keys_are_shown_with_default_and_type(
    capsys: Said, arguments: list[str], title: str, key: str
) -> None:
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert title in said.out
    assert re.search(f"^{key}", said.out, re.MULTILINE)
    assert said.err.startswith("Fluent Bit v")


def test_keys_come_as_json_too(capsys: Said) -> None:
    assert main(["-i", "tail", "-J"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["type"], told["name"]) == ("input", "tail")
    options = {option["name"]: option for option in told["properties"]["options"]}
    assert (options["rotate_wait"]["default"], options["rotate_wait"]["type"]) == ("5", "time")
    assert main(["-J"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"fluent-bit", "inputs", "filters", "outputs"} <= schema.keys()


def test_the_support_report_names_the_parts_and_no_secret(capsys: Said, config: Path) -> None:
    more = ["-o", "http", "-m", "*", "-p", "http_user=alice", "-p", "http_passwd=hidden", "-S"]
    assert main(["-c", str(config), *more]) == 0
    out = capsys.readouterr().out
    assert "[OUTPUT] Instance\n    Name\t\thttp" in out
    assert "hidden" not in out


# --- checks ---


def test_a_dry_run_says_what_fluent_bit_says(capsys: Said, config: Path) -> None:
    assert main(["-c", str(config), "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert err.endswith("\nconfiguration test is successful\n")
    assert err.startswith("Fluent Bit v")
    assert main(["-q", "-c", str(config), "-D"]) == 0
    assert capsys.readouterr().err == "configuration test is successful\n"


def test_what_is_wrong_is_told_where_it_was_asked_also_when_there_is_a_log_file(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    arguments = ["-l", str(log), "-i", "dummy", "-p", "sampels=2", "-o", "stdout"]
    assert main([*arguments, "-D"]) == 1
    assert "'sampels'" in capfd.readouterr().err
    assert not log.exists()
    assert main(arguments) == 255
    assert "[error] [config] dummy: unknown configuration property 'sampels'" in capfd.readouterr().err
    assert "'sampels'" in log.read_text()


def test_what_fluent_bit_does_not_look_at_in_a_parser_is_a_warning(capsys: Said, config: Path) -> None:
    more = "[PARSER]\n    Name p\n    Format json\n    Time_Fmt %s\n    Types a:int b:integer\n"
    config.write_text(config.read_text() + more)
    assert main(["-c", str(config), "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"\[ warn\] \[config\] .*:14: parser p has no key 'time_fmt', it is ignored; did you mean", err)
    assert re.search(r"\[ warn\] \[config\] .*:15: parser p: 'types' has 'a:int', which is ignored", err)


def test_a_retry_limit_that_is_none_is_one_as_in_fluent_bit(capsys: Said) -> None:
    assert main(["-i", "dummy", "-o", "stdout", "-m", "*", "-p", "retry_limit=0", "-D"]) == 0
    assert (
        "'retry_limit' is '0'; it takes a number from 1, no_limits or no_retries; taken as 1" in capsys.readouterr().err
    )


def test_a_quiet_start_that_fails_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "-i", "dummy", "-p", "sampels=2", "-o", "stdout"]) == 255
    assert "'sampels'" in capfd.readouterr().err


def test_what_run_refuses_is_a_warning_here(capsys: Said, config: Path) -> None:
    config.write_text(PIPELINE.format(place="${NOT_SET_ANYWHERE}", match="other.*"))
    assert main(["-c", str(config), "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"\[ warn\] \[config\] .*:6: variable \$\{NOT_SET_ANYWHERE\} is not set", err)
    assert re.search(r"\[ warn\] \[config\] .*:10: match 'other\.\*' of output stdout fits no input's tag", err)


def test_the_environment_says_how_much_is_logged(capsys: Said, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(PIPELINE.format(place="${NOT_SET_ANYWHERE}", match="*"))
    monkeypatch.setenv("FLB_LOG_LEVEL", "error")
    assert main(["-v", "-c", str(config), "--dry-run"]) == 0
    assert "[ warn]" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-i", "tial", "-o", "stdout"], 1, r"\[error\] \[config\] section 'tial' tried to instance a plugin name that "
         r"doesn't exist: .*did you mean 'tail'"),
        (["-c", "/no/such.conf"], 1, r"\nError: Could not open configuration file\. Aborting\n"),
        (["-i", "tail", "-p", "path=/x", "-p", "tga=1", "-o", "stdout"], 255,
         r"\[error\] \[config\] tail: unknown configuration property 'tga'\. The following properties are allowed: .*"
         r"did you mean 'tag'\?\)\n.*\[help\] try the command: kubewitness-fluent-bit -i tail -h\n"),
        (["-i", "tail", "-p", "path=/x", "-p", "rotate_wait=long", "-o", "stdout"], 255, r"'rotate_wait' is 'long'"),
        (["-i", "tail", "-p", "path=/x", "-p", "tga=1", "-o", "stdout", "--dry-run"], 1, "Aborting"),
        (["-w", "/no/such/place", "-i", "tail", "-o", "stdout"], 255, r"\[error\] \[config\] workdir /no/such/place"),
        (["--nonsense"], 1, "option --nonsense not recognized"),
        (["-i", "tial", "-h"], 1, "invalid input plugin 'tial'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_its_words_and_with_its_codes(
    capsys: Said, arguments: list[str], code: int, said: str
) -> None:
    assert main(arguments) == code
    assert re.search(said, capsys.readouterr().err)


# --- the shape of the log ---


def line(logger: str, level: int, message: str, *args: object) -> str:
    shape = FluentBitFormatter()
    shape.titles = {"tail/default/x.log": "input:tail:tail.0", "http.0": "output:http:http.0"}
    record = logging.LogRecord(logger, level, "", 0, message, args, None)
    record.created = 1_764_244_800.25
    return shape.format(record)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (("kubewitness.pipeline", logging.WARNING, "%s: %s", "http.0", "503"), "[ warn] [output:http:http.0] 503"),
        (("kubewitness.pipeline", logging.WARNING, RETRIED, "http.0", "503: busy", 7.6),
         "[ warn] [engine] failed to flush chunk, retry in 8 seconds: output=http.0: 503: busy"),
        (("kubewitness.pipeline", logging.ERROR, NOT_TAKEN, "http.0", 2, "dropped", "given up after 1 retries: 503"),
         "[error] [engine] chunk cannot be retried: output=http.0: 2 records, dropped: given up after 1 retries: 503"),
        (("kubewitness.pipeline", logging.INFO, RECOVERED, "http.0"),
         "[ info] [engine] flush chunk succeeded at retry: output=http.0"),
        (("kubewitness.inputs.tail", logging.ERROR, "%s: gone", "tail/default/x.log"),
         "[error] [input:tail:tail.0] gone"),
        (("kubewitness.inputs.tail", logging.DEBUG, "looked"), "[debug] [input:tail] looked"),
        (("kubewitness.run", logging.INFO, "[reload] %s", "done"), "[ info] [reload] done"),
        (("asyncio", logging.CRITICAL, "oh"), "[error] [engine] oh"),
    ],
)  # fmt: skip
def test_a_line_has_time_level_and_the_part_that_speaks(written: tuple[str, int, str], shown: str) -> None:
    stamp, _, rest = line(*written).partition("] ")
    assert re.fullmatch(r"\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.250000000", stamp)
    assert rest == shown


def test_the_dump_tells_of_inputs_outputs_and_what_waits() -> None:
    counts = {
        "input": {"tail.0": {"records": 7, "bytes": 70}},
        "output": {"http.0": {"proc_records": 5, "proc_bytes": 50}},
    }
    text = dump(counts, {"chunks": 2, "bytes": 20, "memory": 1})
    for part in ("Fluent Bit Dump", "tail.0", "7 (70 bytes)", "5 (50 bytes)", "├─ mem chunks    : 2"):
        assert part in text
