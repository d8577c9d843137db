"""Small states to test with: audit lines, Events and chunks whose times and names the test chooses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from kubewitness.config.state import StatePaths
from kubewitness.formats.times import format_us
from kubewitness.record import Chunk, chunk_of
from kubewitness.store.places import Directory

DAY = 86_400_000_000
#: 2026-11-20T10:00:00Z
T0 = 1_795_168_800_000_000


def paths_in(directory: Path) -> StatePaths:
    root = directory / "state"
    return StatePaths(root, str(root / "store"))


def on_disk(directory: Directory) -> Path:
    """For tests of what only a disk has."""
    assert isinstance(directory, Path)
    return directory


def audit_line(
    n: int,
    *,
    us: int = T0,
    audit_id: str | None = None,
    stage: str = "ResponseComplete",
    user: str = "alice",
    verb: str = "get",
    name: str = "web-1",
    received: int | None = None,
) -> bytes:
    """One audit record, a millisecond after the one before."""
    at = us + n * 1000
    return json.dumps(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Request",
            "auditID": audit_id or f"00000000-0000-0000-0000-{n:012d}",
            "stage": stage,
            "requestURI": f"/api/v1/namespaces/shop/pods/{name}",
            "verb": verb,
            "user": {"username": user, "groups": ["ops", "system:authenticated"]},
            "sourceIPs": ["1.2.3.4", "10.0.0.7"],
            "userAgent": "kubectl/v1.31.0",
            "objectRef": {"resource": "pods", "namespace": "shop", "name": name, "apiVersion": "v1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": format_us(received if received is not None else at - 5000),
            "stageTimestamp": format_us(at),
            "annotations": {"authorization.k8s.io/decision": "allow"},
        }
    ).encode()


def audit_chunk(lines: Sequence[bytes], *, source: str = "test", cluster: str = "default") -> Chunk:
    return chunk_of("audit", [(line, b"") for line in lines], source=source, cluster=cluster)


def audit_run(first: int, count: int, *, us: int = T0) -> Chunk:
    """Records number `first` and following."""
    return audit_chunk([audit_line(n, us=us) for n in range(first, first + count)])


def event(uid: str, version: int, count: int, *, us: int = T0) -> bytes:
    return json.dumps(
        {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": f"e-{uid}", "namespace": "shop", "uid": uid, "resourceVersion": str(version)},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "p1", "apiVersion": "v1"},
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "type": "Warning",
            "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": format_us(us)[:19] + "Z",
            "lastTimestamp": format_us(us + version * 1_000_000)[:19] + "Z",
            "count": count,
        }
    ).encode()
