"""Format `json`: a record is one JSON object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.parsers.finish import Finish

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class JsonParser:
    """The object's keys are the fields, with their types."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self._finish = Finish(opts, clock)

    def parse(self, raw: bytes) -> Parsed | None:
        try:
            fields = _decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        return self._finish.json_fields(fields)
