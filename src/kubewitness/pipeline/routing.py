"""Which chunks go to which output: tags and `match`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubewitness.contracts import Delivery, Output
from kubewitness.pipeline.filtering import Filters


def matcher(pattern: str) -> re.Pattern[str]:
    """A `match` of Fluent Bit: `*` stands for any characters, everything else for itself. Use with `fullmatch`."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def wanting(match: str, pattern: Any = None) -> Callable[[str], bool]:
    """Whether a tag is wanted: `match` fits it ("" fits none), or `pattern` (as of `re`) its beginning."""
    whole = matcher(match).fullmatch if match else None

    def wants(tag: str) -> bool:
        if whole is not None and whole(tag):
            return True
        found = pattern.match(tag) if pattern is not None else None
        return found is not None and found.end() > 0

    return wants


class Routed:
    """An output that wants only the tags that match. `name` identifies it in the journal and in health.

    `retry_limit`, `processors` (`filters` there) and `limit`: as `delivery.DeliveryLoop` has them.
    """

    def __init__(
        self,
        output: Output,
        match: Callable[[str], bool] | str,
        name: str,
        retry_limit: int | None = None,
        processors: Filters | None = None,
        limit: int | None = None,
    ) -> None:
        self.name = name
        self.output = output
        self.retry_limit = retry_limit
        self.processors = processors
        self.limit = limit
        self.batch_bytes: int | None = getattr(output, "batch_bytes", None)
        self._match = wanting(match) if isinstance(match, str) else match

    def wants(self, chunk_table: str, tag: str) -> bool:
        return self._match(tag) and self.output.wants(chunk_table, tag)

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await self.output.write(deliveries)

    async def start(self) -> None:
        begin = getattr(self.output, "start", None)
        if begin is not None:
            await begin()

    def health(self) -> Mapping[str, object]:
        """What the output itself tells, if it does."""
        own = getattr(self.output, "health", None)
        return dict(own()) if own is not None else {}

    async def close(self) -> None:
        await self.output.close()
