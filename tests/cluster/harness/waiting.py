"""Waiting for something to become true, without a busy loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: str, probe: Callable[[], T | None], seconds: float = 30.0, every: float = 0.1) -> T:
    """The first truthy answer of `probe`. OSErrors (nobody listens yet) count as no.

    Raises TimeoutError that names `what`, and the last error if there was one.
    """
    deadline = time.monotonic() + seconds
    last: OSError | None = None
    while True:
        try:
            if answer := probe():
                return answer
        except OSError as e:
            last = e
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}" + (f" ({last})" if last else ""))
        time.sleep(every)
