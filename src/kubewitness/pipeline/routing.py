"""Which chunks go to which output: tags and `match`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kubewitness.contracts import Delivery, Output


def matcher(pattern: str) -> re.Pattern[str]:
    """A `match` of Fluent Bit: `*` stands for any characters, everything else for itself. Use with `fullmatch`."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


class Routed:
    """An output that wants only the tags that match. `name` identifies it in the journal and in health."""

    def __init__(self, output: Output, match: str, name: str) -> None:
        self.name = name
        self.output = output
        self._match = matcher(match)

    def wants(self, chunk_table: str, tag: str) -> bool:
        return self._match.fullmatch(tag) is not None and self.output.wants(chunk_table, tag)

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await self.output.write(deliveries)

    def health(self) -> Mapping[str, object]:
        """What the output itself tells, if it does."""
        own = getattr(self.output, "health", None)
        return dict(own()) if own is not None else {}

    async def close(self) -> None:
        await self.output.close()
