"""A SIGHUP that comes before anybody can obey it: it is remembered, where it would end the process."""

from __future__ import annotations

import contextlib
import signal

_came = False


def note() -> None:
    """From now on, until a pipeline takes over."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGHUP, _note)


def _note(number: int, frame: object) -> None:
    global _came
    _came = True


def came() -> bool:
    """Whether one came; tells so once."""
    global _came
    before, _came = _came, False
    return before
