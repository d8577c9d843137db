"""The demo's data: a recording of a real cluster, and what is known to be true of it (src/kubewitness/demo/README.md).

Use by `from tests.fixtures_demo import demo` in a test module or conftest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[1] / "src" / "kubewitness" / "demo" / "data"


@dataclass(frozen=True)
class Demo:
    folder: Path = DATA
    #: audit.k8s.io/v1 Events, one a line
    audit: Path = DATA / "audit.jsonl.zst"
    #: the v1 EventList that the watch began from, one document
    events_list: Path = DATA / "events.list.json.zst"
    #: watch messages {"type": ..., "object": <v1 Event>}, one a line
    events_watch: Path = DATA / "events.watch.jsonl.zst"
    truth_file: Path = DATA / "truth.json"

    @property
    def captures(self) -> list[Path]:
        """What `kubewitness import` is given."""
        return [self.audit, self.events_list, self.events_watch]

    @property
    def truth(self) -> dict[str, Any]:
        """`recorded`, `steps`, `vanished` and `questions`: what the driver did, known without any record."""
        truth: dict[str, Any] = json.loads(self.truth_file.read_text())
        return truth


@pytest.fixture(scope="session")
def demo() -> Demo:
    return Demo()
