"""Key `rotate` of output `file`: a file that is large enough is put aside, packed, and the oldest go.

Names are Fluent Bit's: FILE.YYYYMMDD_HHMMSS_xxxxxxxx (local time, eight random hexadecimal digits), `.gz` behind it
when packed. What is packed appears whole or not at all: a crash leaves the plain file, or both.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import time
import zlib
from pathlib import Path

from kubewitness.config.keys import Options
from kubewitness.errors import UsageError

_log = logging.getLogger(__name__)

_ASIDE = re.compile(r"\.\d{8}_\d{6}(?:_[0-9a-f]{8})?(?:\.gz)?")
_BLOCK = 1024 * 1024
_UNFINISHED = ".part"


class Rotation:
    """One thread at a time. Failing is no reason not to write: it is told, and tried again with the next batch."""

    def __init__(self, what: str, opts: Options) -> None:
        self.size = opts.number("rotate_max_size")
        self._files = opts.number("rotate_max_files")
        self._packs = opts.flag("rotate_gzip")
        if self.size <= 0 or self._files < 1:
            raise UsageError(f"{what}: 'rotate_max_size' and 'rotate_max_files' are to be at least 1")

    def put_aside(self, path: Path) -> bool:
        """Whether `path` is free now. The caller has closed it."""
        aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%d_%H%M%S')}_{secrets.token_hex(4)}")
        try:
            path.rename(aside)
        except OSError as e:
            _log.warning("%s cannot be rotated: %s; it is written on", path, e.strerror)
            return False
        try:
            if self._packs:
                _pack(aside)
            self._trim(path)
        except OSError as e:
            _log.warning("%s: packing, or removing the oldest: %s", aside, e.strerror)
        return True

    def _trim(self, path: Path) -> None:
        """Keeps the newest of what was put aside, by time and then by name."""
        found = [p for p in path.parent.glob(f"{_literal(path.name)}.*") if _ASIDE.fullmatch(p.name[len(path.name) :])]
        found.sort(key=lambda p: (p.stat().st_mtime_ns, p.name))
        for old in found[: -self._files]:
            old.unlink()


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _pack(plain: Path) -> None:
    """With the plain file's time and mode; then that goes."""
    unfinished = plain.with_name(plain.name + ".gz" + _UNFINISHED)
    try:
        with plain.open("rb") as data, unfinished.open("wb") as out:
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            while block := data.read(_BLOCK):
                out.write(packer.compress(block))
            out.write(packer.flush())
            out.flush()
            shutil.copystat(plain, unfinished)
            os.fsync(out.fileno())
        unfinished.rename(plain.with_name(plain.name + ".gz"))
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    plain.unlink()
