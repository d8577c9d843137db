"""What the tests of input kubernetes_events share: a recording that runs meanwhile, and what it kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from kubewitness.inputs.kubernetes_events import KubernetesEvents
from tests.fake_apiserver import FakeApiServer
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept

__all__ = ["recording", "until", "versions", "watching"]


@contextlib.asynccontextmanager
async def recording(server: FakeApiServer, sink: Kept, **keys: str) -> AsyncIterator[KubernetesEvents]:
    """Keys with a dot are written with two underscores: `tls__verify`."""
    source = KubernetesEvents({"kube_url": server.url, **{k.replace("__", "."): v for k, v in keys.items()}})
    async with running(source, sink):
        yield source


def versions(sink: Kept, table: str = "events") -> list[tuple[str, str]]:
    """(uid, resourceVersion) of each record, in order."""
    found = []
    for raw, _ in sink.records(table):
        metadata = json.loads(raw)["metadata"]
        found.append((metadata["uid"], metadata["resourceVersion"]))
    return found


async def watching(source: KubernetesEvents) -> None:
    await until(lambda: source.health()["state"] == "watching")
