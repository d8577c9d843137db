"""Format `cri`: `TIME STREAM P|F TEXT`, as containerd and CRI-O write it. Source: KEP-30 (CRI log format).

Fields as of Fluent Bit's parser of that name: time, stream, logtag, message. Parts of a line (P) are not joined here:
that is input tail's, or a multiline parser's.
"""

from __future__ import annotations

from collections.abc import Callable

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.errors import UsageError
from kubewitness.parsers.finish import RFC3339, Finish


class CriParser:
    """One line."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self._names = opts.items("cri_fields")
        if len(set(self._names)) != 4:
            raise UsageError(f"parser {name}: 'cri_fields' names four fields")
        self._finish = Finish(opts, clock, time_format=RFC3339)

    def parse(self, raw: bytes) -> Parsed | None:
        words = raw.decode("utf-8", "backslashreplace").split(" ", 3)
        if len(words) != 4 or not words[0] or words[1] not in ("stdout", "stderr"):
            return None
        return self._finish.text_fields(dict(zip(self._names, words, strict=True)))
