"""The example pipeline files are right as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.cli import main

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[p.stem for p in EXAMPLES])
def test_every_example_can_be_started(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_FILE", str(tmp_path / "audit.log"))
    monkeypatch.setenv("OUT_DIR", str(tmp_path))
    assert main(["run", "-c", str(path), "--dry-run"]) == 0


def test_the_example_for_audit_lines_copies_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'{"auditID":"a","stage":"Panic","stageTimestamp":"2026-11-22T10:00:00Z"}\n' * 3
    (tmp_path / "audit.log").write_bytes(lines)
    monkeypatch.setenv("AUDIT_FILE", str(tmp_path / "audit.log"))
    monkeypatch.setenv("OUT_DIR", str(tmp_path))
    monkeypatch.setenv("KUBEWITNESS_STATE", str(tmp_path / "state"))
    example = next(p for p in EXAMPLES if p.stem == "audit-to-lines")
    assert main(["run", "-c", str(example), "--exit-on-eof"]) == 0
    assert (tmp_path / "audit.jsonl").read_bytes() == lines[: len(lines) // 3]  # a repeat is recognised as one
