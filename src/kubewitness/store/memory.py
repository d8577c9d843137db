"""Memory that a commit has freed goes back to the system before the next one begins.

Building Parquet files frees tens of megabytes in pieces that allocators keep for later, each allocator (glibc's, and
those inside the libraries) and each thread's arena for itself; over many commits their holdings creep up.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

#: of the allocator inside deltalake (jemalloc): what is freed goes back at once
_JEMALLOC = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
#: glibc's mallopt: large blocks (bytes) are the system's, whatever was freed before; free memory at the end of the
#: heap goes back from so much on; threads share two arenas
_MALLOPT = ((-3, 256 * 1024), (-1, 1024 * 1024), (-8, 2))

#: of madvise; pages of a file's unchanged text are read again when they are used
_DONTNEED = 4


def hold_little_memory() -> None:
    """For processes that record: once, before the store is imported. A burst then costs tens of megabytes less."""
    os.environ.setdefault(*_JEMALLOC)
    set_option: Callable[[int, int], int] = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)
    for option, value in _MALLOPT:
        set_option(option, value)


def give_back_code() -> None:
    """Unmaps the code of libraries, of which most pages were touched once, at the start, or stand beside such: what
    is used comes back from the file system's cache by itself. Saves some 25 MB and costs about two milliseconds; does
    nothing where it is not Linux."""
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None:
        return
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            where, rights, *_, path = line.split(maxsplit=5) if line.count("/") else ("", "", "")
            if rights == "r-xp" and ".so" in path:
                begin, end = (int(address, 16) for address in where.split("-"))
                advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)


def give_back_memory() -> None:
    """Costs about a millisecond; does nothing where the C library is not glibc, which alone has and needs it."""
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], int]:
    found: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)
    return found
