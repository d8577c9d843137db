"""Findings are told where the object is told that they are about."""

from __future__ import annotations

import json
from pathlib import Path

from kubewitness.config.state import state_paths
from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.questions import board, timeline
from kubewitness.questions.filters import Filter
from kubewitness.questions.targets import parse_target
from kubewitness.record import chunk_of
from kubewitness.store import Store


def test_a_finding_is_in_its_objects_history_and_a_mark_on_its_row(tmp_path: Path) -> None:
    about = {"kind": "Deployment", "namespace": "shop", "name": "web", "actor": "bob", "severity": "high"}
    found = {"rule": "image-from-elsewhere", "when": "2026-03-01T10:00:00Z", "summary": "an unknown registry", **about}
    paths = state_paths(str(tmp_path / "state")).create()
    with Journal(paths.journal) as journal:
        journal.append([Batch([chunk_of("findings", [(json.dumps(found).encode(), b"finding-00000001")])])])
    store = Store(paths)
    with store.session() as session:
        ref = parse_target(["deploy/web"], namespace="shop", cluster="default")
        [row] = timeline.ask(session, timeline.TimelineQuestion(ref)).rows
        drawn = board.ask(session, board.BoardQuestion(Filter()))
    store.close()
    assert (row.source, row.action, row.object) == ("finding", "image-from-elsewhere", "Deployment/shop/web")
    assert [r.object for r in drawn.rows] == ["Deployment/shop/web"]
    assert [drawn.types[t] for t in drawn.marks.type] == ["finding"]
    assert [drawn.outcomes[o] for o in drawn.marks.outcome] == ["error"]
