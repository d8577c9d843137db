"""What the Kafka client says in its log: why no broker could be reached is only there, not in the error that it raises.

Nobody else sees that log: the engine tells what fails, once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Self

_library = logging.getLogger("aiokafka")


class Said(logging.Handler):
    """Keeps the errors of the library, between `with` and its end."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._said: list[str] = []

    def __enter__(self) -> Self:
        if _library.propagate:
            _library.propagate = False
            _library.addHandler(logging.NullHandler())
        _library.addHandler(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _library.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(" ".join(record.getMessage().split())[:300])

    def of(self, brokers: Sequence[str]) -> str:
        """The last error about one of these; "" when there is none."""
        found = [text for text in self._said if any(broker in text for broker in brokers)]
        return found[-1] if found else ""
