"""An input that runs while a test does something, and waiting for what it does then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from kubewitness.contracts import Input, Sink

Source = TypeVar("Source", bound=Input)


@contextlib.asynccontextmanager
async def running(source: Source, sink: Sink) -> AsyncIterator[tuple[Source, asyncio.Task[None]]]:
    """The input and its task; cancelled and awaited at the end."""
    task = asyncio.create_task(source.run(sink))
    try:
        yield source, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
