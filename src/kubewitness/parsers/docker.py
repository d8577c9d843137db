"""Format `docker`: the json-file driver's lines, {"log", "stream", "time"}. Source: moby daemon/logger/jsonfilelog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.parsers.finish import RFC3339, Finish

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class DockerParser:
    """As format json, but only what has a `log` that is text; the time is kept unless `time_keep` is off."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self._finish = Finish(opts, clock, time_format=RFC3339, keep=True)

    def parse(self, raw: bytes) -> Parsed | None:
        try:
            fields = _decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        return self._finish.json_fields(fields) if isinstance(fields.get("log"), str) else None
