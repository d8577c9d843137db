"""Configurations as people publish them, run as they are, with the output worked out by hand from the documentation.

A folder is a case: its configuration (`fluent-bit.conf` or `.yaml`) with the files that it includes, `in` (what is in
/var when it begins) and `out` (what is to be in /var/out at the end, by file). /var is a folder of the test's own;
`<time>` in an expected line stands for the time of arrival, `<Dec 14 06:41:08>` for the latest such one.

A file `*.export` is the journal of its folder: journal files, read by journalctl, where systemd is installed; else
entries that a program in journalctl's place reads (tests/journald.py), so that the case runs on any machine.

What is sent to a server that cannot be had here (`servers.py`) is in /var/out, sorted, by the last part of its path.
A case with `send` is sent that over the network (`network.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubewitness.cli import main
from tests.golden.network import Sending, far_sides, with_free_ports
from tests.golden.servers import servers
from tests.journald import Journald, parsed

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/fluent-bit.*"))
_LATEST = re.compile(r"<(\w+ \d+ [\d:]+)>")
_ARRIVED = re.compile(r"\[(\d+\.\d{9}), ")


def placed(case: Path, root: Path) -> Path:
    """The configuration, with its files, under `root`; what it calls /var is there, too."""
    if (case / "in").exists():
        shutil.copytree(case / "in", root / "var")
    (root / "var" / "out").mkdir(parents=True)
    for path in case.iterdir():
        if path.is_file():
            (root / path.name).write_text(path.read_text().replace("/var/", f"{root}/var/"))
    for path in (root / "var").rglob("*.export"):
        journal = Journald(path.parent)
        journal.add(*parsed(path.read_text()))
        path.unlink()
        program = root / "bin" / "journalctl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shutil.which(journal.journalctl) or journal.journalctl} "$@"\n')
        program.chmod(0o755)
    return next(root.glob("fluent-bit.*"))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_published_configuration_gives_what_its_documentation_says(
    case: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_NAME", "worker-1")
    tmp_path = tmp_path_factory.mktemp("golden")  # a test's own has its name, with what means something in a file's
    before = time.time()
    config = placed(case, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    text, ports = with_free_ports(case, config.read_text())
    config.write_text(text)
    out = tmp_path / "var" / "out"
    with (
        servers(text, out, monkeypatch.setenv),
        far_sides(text, tmp_path, monkeypatch.setenv) as sides,
        Sending(case, ports, out, sides),
    ):
        assert main(["run", "-c", str(config), "--exit-on-eof", "--state", str(tmp_path / "state")]) == 0
    found = {path.name: path.read_text().splitlines() for path in out.iterdir()}
    expected = {}
    for path in (case / "out").iterdir():
        lines = path.read_text().splitlines()
        expected[path.name] = [
            filled(line, found.get(path.name, [])[i : i + 1], before) for i, line in enumerate(lines)
        ]
    assert found == expected


def filled(line: str, found: list[str], before: float) -> str:
    """An expected line with its times in it."""
    if "<time>" in line and found:
        arrived = _ARRIVED.search(found[0])
        assert arrived is not None
        assert before - 1 < float(arrived[1]) < time.time() + 1
        line = line.replace("<time>", arrived[1])
    return _LATEST.sub(lambda m: f"{latest(m[1], before)}.000000000", line)


def latest(text: str, now: float) -> int:
    """Seconds since 1970 of the latest such time that is not more than a day ahead."""
    year = datetime.fromtimestamp(now + 86_400, UTC).year
    times = [datetime.strptime(f"{y} {text} +0000", "%Y %b %d %H:%M:%S %z").timestamp() for y in (year, year - 1)]
    return int(next(t for t in times if t <= now + 86_400))
