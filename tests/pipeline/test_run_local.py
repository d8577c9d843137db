"""`run` with inputs of the machine itself, as somebody's script calls it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kubewitness.cli import main

pytestmark = pytest.mark.timeout(60)

DOCS = (Path(__file__).parents[2] / "docs" / "local-inputs.md").read_text(encoding="utf-8")

STDOUT = """
[OUTPUT]
    Name   stdout
    Match  *
    Format msgpack
"""


def config(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "a.conf"
    path.write_text("[SERVICE]\n    flush 0.05\n    storage.type memory\n" + text + STDOUT)
    return ["run", "-c", str(path), "--state", str(tmp_path / "state")]


def test_dummy_shows_its_time_and_metadata(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = """
[INPUT]
    Name            dummy
    Samples         1
    Copies          2
    Metadata        {"m":1}
    Start_Time_Sec  1700000000
    Fixed_Timestamp on
    Flush_On_Startup on
"""
    assert main([*config(tmp_path, text), "--exit-on-eof"]) == 0
    assert capfd.readouterr().out == "".join(
        f'[{n}] dummy.0: [[1700000000.000000000, {{"m"=>1}}], {{"message"=>"dummy"}}]\n' for n in (0, 1)
    )


def test_the_process_ends_at_the_end_of_its_standard_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kubewitness", *config(tmp_path, "[INPUT]\n    Name stdin\n")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(command, input='[17.5,{"a":1}]', capture_output=True, text=True, timeout=50, env=environment)
    assert (done.returncode, done.stdout) == (0, '[0] stdin.0: [[17.500000000, {}], {"a"=>1}]\n'), done.stderr


def test_the_process_ends_as_the_command_did(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "[INPUT]\n    Name exec\n    Command echo done; exit 7\n    Exit_After_Oneshot on\n"
    assert main(config(tmp_path, text)) == 0
    assert main(config(tmp_path, text + "    Propagate_Exit_Code on\n")) == 7
    assert [line.split("}], ")[1] for line in capfd.readouterr().out.splitlines()] == ['{"exec"=>"done"}]'] * 2


def test_metrics_are_records(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = """
[INPUT]
    Name            fluentbit_metrics
    Scrape_Interval 10ms
    Scrape_On_Start on
[INPUT]
    Name         exec
    Command      sleep 0.3
    Exit_After_Oneshot on
"""
    assert main(config(tmp_path, text)) == 0
    assert '"name"=>"kubewitness_pipeline_scrapes"' in capfd.readouterr().out


@pytest.mark.parametrize("text", re.findall(r"```conf\n(.*?)```", DOCS, re.DOTALL))
def test_every_example_of_the_page_can_be_started(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(text)
    assert main(["run", "-c", str(tmp_path / "a.conf"), "--dry-run", "--state", str(tmp_path / "s")]) == 0
