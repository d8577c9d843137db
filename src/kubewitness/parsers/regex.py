"""Format `regex`: the named groups of a regular expression are the fields."""

from __future__ import annotations

from collections.abc import Callable

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.errors import UsageError
from kubewitness.parsers.finish import Finish
from kubewitness.parsers.onigmo import compiled

#: seconds that one record may take: an expression that backtracks for ever must not stop a pipeline
TIMEOUT = 0.2


class RegexParser:
    """Fields in the order of their groups. `timeouts` counts records that took too long, and so did not match."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self.timeouts = 0
        pattern = opts.text("regex")
        if not pattern:
            raise UsageError(f"parser {name}: it has no 'regex'")
        self._search = compiled(pattern)
        #: (name, place among all groups)
        self._fields = [(name, n - 1) for name, n in sorted(self._search.groupindex.items(), key=lambda item: item[1])]
        if not self._fields:
            raise UsageError(f"parser {name}: 'regex' has no named group, such as (?<time>[^ ]+)")
        self._skip_empty = opts.flag("skip_empty_values")
        self._finish = Finish(opts, clock)

    def parse(self, raw: bytes) -> Parsed | None:
        text = raw.decode("utf-8", "backslashreplace")
        try:
            found = self._search.search(text, timeout=TIMEOUT)
        except TimeoutError:
            self.timeouts += 1
            return None
        if found is None:
            return None
        values = found.groups("")  # by names it takes five times as long
        fields = {name: values[n] for name, n in self._fields if values[n] or not self._skip_empty}
        return self._finish.text_fields(fields)
