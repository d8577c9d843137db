"""Output `null`: throws everything away. For measuring inputs, and for trying a pipeline out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery

_NOTHING = "accepted, without effect: nothing is written"

KEYS = (
    Key("format", doc=_NOTHING),
    Key("json_date_key", default="date", doc=_NOTHING),
    Key("json_date_format", doc=_NOTHING),
)


class NullOutput:
    """Takes everything."""

    def __init__(self, keys: Mapping[str, str], name: str = "null") -> None:
        Options(f"output {name}", keys, KEYS)
        self.name = name

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        pass

    async def close(self) -> None:
        pass
