"""The names that a log and what it was rotated to have in their folder."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

#: of looking at a folder that changes while it is looked at
TRIES = 10
#: a name with so many digits has a date in it
_DATE_DIGITS = 8


class RotatedNames:
    """Of one log: `audit-<time>.log` (kube-apiserver), `0.log.<time>` (the kubelet), `name.1`, `name-<date>`
    (logrotate), each also with `.gz`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        name, stem, suffix = map(re.escape, (path.name, path.stem, path.suffix))
        self._rotated = re.compile(rf"(?:{stem}-\d{{4}}-\d\d-\d\dT[^/]*{suffix}|{name}[.-]\d[\d.-]*?)(?:\.gz)?")

    def all(self) -> list[Path]:
        """The rotated files, oldest first, then the live one. A time in the name counts before the file's own, which is
        that of its compression where the kubelet or kube-apiserver compressed it."""
        for tries in range(TRIES):
            found = self._listed(last=tries + 1 == TRIES)
            if found is not None:
                break
        found = found or []
        plain = {name for _, _, name in found}
        # a `.gz` beside what it is made of is not complete yet
        rotated = [name for _, _, name in sorted(found) if name.removesuffix(".gz") == name or name[:-3] not in plain]
        return [*(self._path.with_name(name) for name in rotated), self._path]

    def _listed(self, *, last: bool) -> list[tuple[str, int, str]] | None:
        """(time in the name, time of the file, name) of rotated files; None when one went away meanwhile: it may have
        been compressed, and the folder's entries be from before that. `last`: then it is left out."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self._path.parent) as entries:
            for entry in entries:
                if not self._rotated.fullmatch(entry.name):
                    continue
                try:
                    found.append((self._stamp(entry.name), entry.stat().st_mtime_ns, entry.name))
                except FileNotFoundError:
                    if not last:
                        return None
        return found

    def _stamp(self, name: str) -> str:
        """The time in a rotated file's name; "" for a number only (`.1`), which is another file's tomorrow."""
        digits = "".join(filter(str.isdigit, name.removesuffix(".gz").removeprefix(self._path.stem)))
        return digits if len(digits) >= _DATE_DIGITS else ""
