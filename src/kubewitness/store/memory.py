"""Memory that a commit has freed goes back to the system before the next one begins.

Building Parquet files frees tens of megabytes in pieces that the C library keeps for later; over many commits its
holdings creep up. Only glibc has this call, and only it needs it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back_memory() -> None:
    """Costs about a millisecond; does nothing where the C library is another one."""
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], int]:
    found: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)
    return found
