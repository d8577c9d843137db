"""docs/outputs.md: its examples are pipelines that would start; the first runs, with a far side that refuses."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main
from kubewitness.outputs import OUTPUTS
from tests.outputs.sides import LokiSide
from tests.pipeline.test_run import event

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_would_start(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EXAMPLES[number]
    for secret in re.findall(r"_file: (/etc/kubewitness/\S+)", text):
        (tmp_path / Path(secret).name).write_text(
            "https://chat.example.com/s3cret" if "webhook" in secret else "secret"
        )
    path = tmp_path / "pipeline.yaml"
    path.write_text(text.replace("/etc/kubewitness", str(tmp_path)))
    assert main(["run", "-c", str(path), "--dry-run", "--state", str(tmp_path / "state")]) == 0, capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_every_output_is_on_the_page() -> None:
    assert [name for name in OUTPUTS if f"`{name}`" not in PAGE.split("Not built yet")[0]] == []


async def run(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubewitness", *arguments),
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


class Picky(LokiSide):
    """Takes whole audit events, but not the one of web-3."""

    bad = False

    def refuses(self, numbers: list[int]) -> bool:
        return self.bad

    def _line(self, stamp: str, line: str, metadata: dict[str, str] | None = None) -> str:
        self.bad = self.bad or '"web-3"' in line
        return super()._line(stamp, line, metadata)

    def take(self, request: Any, body: bytes) -> Any:
        self.bad = False
        return super().take(request, body)


async def test_the_first_example_runs_and_status_shows_what_was_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Picky() as side:
        (tmp_path / "audit.log").write_bytes(b"".join(event(n) + b"\n" for n in range(8)))
        text = EXAMPLES[0].replace("/var/log/kubernetes", str(tmp_path)).replace("port: 3100", f"port: {side.port}")
        path = tmp_path / "pipeline.yaml"
        path.write_text("service:\n  flush: 0.05\n" + text.replace("loki.monitoring.svc", "127.0.0.1"))
        state = str(tmp_path / "state")
        await run("run", "-c", str(path), "--state", state, "--exit-on-eof")
        assert side.wrong == []
        lines = [value[1] for stream in side.streams for value in stream["values"]]
        assert [json.loads(line)["objectRef"]["name"] for line in lines] == [f"web-{n}" for n in (0, 1, 2, 4, 5, 6, 7)]
        assert {json.dumps(s["stream"]) for s in side.streams} == {'{"job": "audit", "verb": "get"}'}
        assert main(["status", "--state", state, "-o", "json"]) == 0
        (refused,) = json.loads(capsys.readouterr().out)["set_aside"]
        assert (refused["output"], refused["records"]) == ("loki.0", 1)
        (kept,) = [json.loads(line) for line in Path(refused["path"]).read_text().splitlines()]
        assert (kept["raw"].encode(), "too far behind" in kept["reason"]) == (event(3), True)
        assert main(["status", "--state", state]) == 0
        assert "set aside 1 records of pipeline" in capsys.readouterr().out
