"""Reading a watch on while what came before is being made durable."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from kubewitness.errors import KubewitnessError

#: what is put at once: so many bytes, or what came within so many seconds
_BATCH_BYTES = 256 * 1024
_LINGER = 0.1
#: groups of lines read ahead while a batch is being made durable
_GROUPS = 4


async def read_ahead(groups: AsyncGenerator[list[bytes], None]) -> AsyncGenerator[list[bytes], None]:
    """Reads on while the caller works, and joins what came in the meantime into batches.

    No more than a few groups are held: a caller that waits for room lets the server wait, too. Nothing read is
    dropped. What ended the stream is raised after the last batch.
    """
    queue: asyncio.Queue[list[bytes] | BaseException | None] = asyncio.Queue(_GROUPS)

    async def read() -> None:
        try:
            async with contextlib.aclosing(groups):
                async for group in groups:
                    await queue.put(group)
            await queue.put(None)
        except (KubewitnessError, OSError) as e:
            await queue.put(e)

    task = asyncio.create_task(read(), name="watch reader")
    try:
        ended: BaseException | None = None
        open_ = True
        while open_:
            found = await queue.get()
            batch: list[bytes] = []
            until = time.monotonic() + _LINGER
            size = 0
            while True:
                if not isinstance(found, list):
                    ended, open_ = found, False
                    break
                batch += found
                size += sum(map(len, found))
                wait = until - time.monotonic()
                if size >= _BATCH_BYTES or wait <= 0 or not batch:
                    break
                try:
                    # not wait_for: in Python 3.11 it swallows a cancellation that comes together with the result
                    async with asyncio.timeout(wait):
                        found = await queue.get()
                except TimeoutError:
                    break
            if batch or open_:
                yield batch
        if ended is not None:
            raise ended
    finally:
        task.cancel()
        # asyncio.wait, because awaiting the task itself would make its cancellation and ours one
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
