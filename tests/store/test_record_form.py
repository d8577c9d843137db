"""Log records that a filter made objects of, in the store: columns, times, places, questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main
from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.formats.recordform import CHANGED
from kubewitness.journal import Journal
from kubewitness.record import ChunkBuilder, Origin
from kubewitness.store import Store, StoreWriter
from tests.filters.pods import container_id, cri, lines_of, log_file, pod, preload
from tests.filters.samples import made
from tests.store.states import paths_in

FILE = "/var/log/containers/web-1_shop_app-" + "0" * 64 + ".log"
LINES = [
    b"2026-11-22T19:26:05.038000000Z stdout F started",
    b'2026-11-22T19:26:06.500000000Z stderr F {"level":"ERROR","msg":"cannot pay"}',
]


def test_a_changed_line_keeps_its_columns_and_shows_the_rest_as_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = ChunkBuilder("logs", source=FILE, tag="kube.x", received_us=1, form="cri")
    for line in LINES:
        builder.add(line)
    chunk = builder.take()
    chunk.lines, chunk.origin = True, Origin(FILE, offset=1000, node="n1")
    pairs = [("condition", "key_value_equals stream stderr"), ("set", "team pay"), ("set", "level WARN")]
    (left,) = made("modify", pairs).apply(chunk)
    paths = paths_in(tmp_path)
    with Journal(paths.create().journal) as journal:
        journal.append([Batch([left])])
        seen = rows_of(paths)
        with StoreWriter.acquire(paths) as writer:
            writer.drain(journal)
    assert rows_of(paths) == seen
    (first, second), raws = seen
    assert first[:-1] == ("2026-11-22 19:26:05.038", "web-1", "n1", "stdout", "", "started", FILE, 1000, "")
    assert second[:-1] == (
        "2026-11-22 19:26:06.5", "web-1", "n1", "stderr", "warn", LINES[1].split(b" ", 3)[3].decode(), FILE,
        1000 + len(LINES[0]) + 1, CHANGED,
    )  # fmt: skip
    assert json.loads(second[-1]) == {
        "time": "2026-11-22T19:26:06.500000000Z",
        "_p": "F",
        "team": "pay",
        "level": "WARN",
    }
    assert raws == list(left.records())
    # and questions find it as any other line of the pod
    state = ["--state", str(paths.root), "-o", "json"]
    assert main(["search", "cannot pay", *state]) == 0
    assert [row["summary"] for row in json.loads(capsys.readouterr().out)] == [second[5]]
    assert main(["timeline", "pod/web-1", "-n", "shop", *state]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["source"], row["summary"]) for row in told] == [("log", "started"), ("log", second[5])]


def rows_of(paths: StatePaths) -> tuple[list[tuple[Any, ...]], list[bytes]]:
    """The rows, and the bytes that they point at, by time."""
    with Store(paths).session() as s:
        rows = s.query(
            "SELECT CAST(ts AT TIME ZONE 'UTC' AS VARCHAR), pod, node, stream, severity, message, file, "
            '"offset", flags, fields FROM logs ORDER BY ts'
        )
        return rows, s.raw(s.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM logs ORDER BY ts"))


@pytest.mark.parametrize("known", [True, False], ids=["file", "network"])
def test_what_filter_kubernetes_said_of_a_line_is_in_columns_and_its_bytes_are_as_they_were(
    tmp_path: Path, known: bool
) -> None:
    owner = {"kind": "ReplicaSet", "name": "web-5d", "uid": "1", "controller": True}
    keys = preload(tmp_path, pod(ownerReferences=[owner], labels={"app": "web", "pod-template-hash": "5d"}))
    (left,) = made("kubernetes", [*keys, ("workload", "on")]).apply(lines_of(log_file(), cri("paid"), known=known))
    paths = paths_in(tmp_path / "state")
    wanted = "namespace, pod, container, container_id, pod_uid, node, message, labels, owner_kind, owner_name, fields"
    with Journal(paths.create().journal) as journal:
        journal.append([Batch([left])])
        with StoreWriter.acquire(paths) as writer:
            writer.drain(journal)
    with Store(paths).session() as s:
        (row,) = s.query(f"SELECT {wanted} FROM logs")
        raws = s.raw(s.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM logs"))
    assert row[:6] == ("shop", "web-1", "app", container_id("a"), "uid-web-1", "worker-1")
    assert row[6:10] == ("paid", '{"app":"web","pod-template-hash":"5d"}', "Deployment", "web")
    assert json.loads(row[10])["kubernetes"]["pod_ip"] == "10.0.0.7"
    assert raws == [cri("paid")[0].encode()]
