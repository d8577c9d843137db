"""What the tests of input kubernetes_events share: a recording that runs meanwhile, and what it kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

from kubewitness.inputs.kubernetes_events import KubernetesEvents
from tests.fake_apiserver import FakeApiServer
from tests.inputs.sinks import Kept


@contextlib.asynccontextmanager
async def recording(server: FakeApiServer, sink: Kept, **keys: str) -> AsyncIterator[KubernetesEvents]:
    """Keys with a dot are written with two underscores: `tls__verify`."""
    source = KubernetesEvents({"kube_url": server.url, **{k.replace("__", "."): v for k, v in keys.items()}})
    task = asyncio.create_task(source.run(sink))
    try:
        yield source
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def versions(sink: Kept, table: str = "events") -> list[tuple[str, str]]:
    """(uid, resourceVersion) of each record, in order."""
    found = []
    for raw, _ in sink.records(table):
        metadata = json.loads(raw)["metadata"]
        found.append((metadata["uid"], metadata["resourceVersion"]))
    return found


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def watching(source: KubernetesEvents) -> None:
    await until(lambda: source.health()["state"] == "watching")
