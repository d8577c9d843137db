"""Format `ltsv`: `label:value`, tabs between. Source: ltsv.org."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.parsers.finish import Finish

_FIELD = re.compile(r"(?:^|\t)([0-9A-Za-z_.-]+):([^\t\r\n]*)")


class LtsvParser:
    """What stands between two tabs and has no label is left out; only the first line counts."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self._finish = Finish(opts, clock)

    def parse(self, raw: bytes) -> Parsed | None:
        line = raw.decode("utf-8", "backslashreplace").lstrip("\r\n").partition("\n")[0]
        fields = dict(_FIELD.findall(line))
        return self._finish.text_fields(fields) if fields else None
