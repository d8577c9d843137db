"""Output `null`: throws everything away. For measuring inputs, and for trying a pipeline out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery

#: none of its own
KEYS = ()


class NullOutput:
    """No keys."""

    def __init__(self, keys: Mapping[str, str], name: str = "null") -> None:
        Options(f"output {name}", keys, KEYS)
        self.name = name

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        pass

    async def close(self) -> None:
        pass
