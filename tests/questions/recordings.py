"""States made of recordings for the tests of the questions: through the real importer, into the real store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zstandard

from kubewitness.config.state import StatePaths, state_paths
from kubewitness.inputs.importer.files import find
from kubewitness.inputs.importer.run import Importer


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a .zst file."""
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def without_bodies(event: dict[str, Any]) -> dict[str, Any]:
    """The audit event as a policy of level Metadata would have logged it: no bodies, no message."""
    bare = {k: v for k, v in event.items() if k not in ("requestObject", "responseObject")}
    bare["level"] = "Metadata"
    status = bare.get("responseStatus")
    if isinstance(status, dict):
        bare["responseStatus"] = {k: v for k, v in status.items() if k in ("metadata", "status", "reason", "code")}
    ref = bare.get("objectRef")
    if isinstance(ref, dict) and event.get("verb") == "create" and not ref.get("subresource"):
        asked = (event.get("requestObject") or {}).get("metadata") or {}
        if asked and not asked.get("name"):  # generateName: the API server names it later than the audit's reference
            bare["objectRef"] = {k: v for k, v in ref.items() if k != "name"}
    return bare


def only_requests(event: dict[str, Any]) -> dict[str, Any]:
    """The audit event as a policy of level Request would have logged it: no response bodies."""
    bare = {k: v for k, v in event.items() if k != "responseObject"}
    if bare.get("level") == "RequestResponse":
        bare["level"] = "Request"
    return bare


def imported(folder: Path, files: Iterable[Path]) -> StatePaths:
    """A state with these files imported."""
    paths = state_paths(str(folder))
    Importer(paths).run(find([str(f) for f in files]))
    return paths


def written(folder: Path, events: Iterable[dict[str, Any]]) -> Path:
    """A JSON-lines file of these records."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "audit.jsonl"
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return path
