"""The top level of the command line."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from kubewitness import __version__
from kubewitness.cli import COMMANDS, build_parser, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out and text in out for name, _, text in COMMANDS)


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: kubewitness {name}" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "module"), [(name, module) for name, module, _ in COMMANDS])
def test_every_option_of_a_command_has_a_help_text(name: str, module: str) -> None:
    parser = build_parser(name, importlib.import_module(f"kubewitness.cli.{module}"))
    assert [a.dest for a in parser._actions if not a.help] == []


def test_an_unknown_command_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timelin"]) == 2
    assert "did you mean 'timeline'?" in capsys.readouterr().err


def test_an_unknown_command_far_from_all_is_not_taken_for_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 2
    assert capsys.readouterr().err == "kubewitness: unknown command 'rules'; `kubewitness --help` lists the commands\n"


@pytest.mark.parametrize(
    "words", [["who"], ["sql"], ["import"], ["search", "--limit", "x"], ["who", "pod/x", "-o", "z"]]
)
def test_wrong_usage_is_one_line_and_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert told.count("\n") == 1
    assert told.endswith(f"see `kubewitness {words[0]} --help`\n")


@pytest.mark.parametrize("name", ["a/b", "..", "", "two words", "x" * 300, "-x"])
@pytest.mark.parametrize("command", ["import", "record"])
def test_a_name_that_would_break_ids_cannot_be_given_to_a_cluster(
    command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, f"--cluster={name}", *(["nothing.json"] if command == "import" else [])])
    assert stop.value.code == 2
    assert "cannot be a cluster's name" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--max-age", "3x"], ["--max-bytes", "much"]])
def test_record_refuses_a_retention_it_cannot_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", *words]) == 2
    assert f"kubewitness record: {words[0]} {words[1]!r}: write a" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kubewitness {__version__}\n"


def test_help_loads_neither_the_store_nor_the_network_parts() -> None:
    code = (
        "import sys; from kubewitness.cli import main; main(['--help']);"
        "print([m for m in ('duckdb', 'deltalake', 'aiohttp', 'lightkube', 'msgspec', 'rich') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
