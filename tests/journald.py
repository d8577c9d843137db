"""A systemd journal that a test writes, rotates and vacuums, and the journalctl that reads it.

`systemd-journal-remote` writes real journal files, real journalctl reads them. Where they are not installed (Debian:
packages systemd, systemd-journal-remote; `KUBEWITNESS_TEST_JOURNAL_REMOTE` may name the program), files of our own and
`tests/journalctl.py` stand in their place: it does what the manual page says of the options that input `systemd` uses.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

Fields = Sequence[tuple[str, bytes | str]]

BOOT = "0123456789abcdef0123456789abcdef"
#: microseconds of the first entry; each further one is a second later
BEGIN_US = 1_700_000_000_000_000


def journal_remote() -> str | None:
    """The program that writes journal files, where it and journalctl are installed."""
    if shutil.which("journalctl") is None:
        return None
    named = os.environ.get("KUBEWITNESS_TEST_JOURNAL_REMOTE")
    places = [named] if named else ["/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"]
    return next((place for place in places if place and Path(place).is_file()), None)


class Journald:
    """The journal in `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._remote = journal_remote()
        self._count = 0
        self._places: dict[tuple[str, bytes], int] = {}
        self._files = 0

    @property
    def is_real(self) -> bool:
        return self._remote is not None

    @property
    def journalctl(self) -> str:
        """What input `systemd` is to call."""
        return "journalctl" if self.is_real else f"{sys.executable} {Path(__file__).with_name('journalctl.py')}"

    def add(self, *entries: Fields) -> None:
        """Each a second after the one before."""
        stamped = []
        for fields in entries:
            self._count += 1
            about = [("__REALTIME_TIMESTAMP", str(BEGIN_US + self._count * 1_000_000)),
                     ("__MONOTONIC_TIMESTAMP", str(self._count * 1_000_000)), ("_BOOT_ID", BOOT)]  # fmt: skip
            stamped.append([(name, _bytes(value)) for name, value in (*about, *fields)])
        if self._remote is not None:
            command = [self._remote, f"--output={self._current}", "-"]
            subprocess.run(command, input=b"".join(map(exported, stamped)), capture_output=True, check=True)
            return
        with self._current.open("ab") as file:
            for n, entry in enumerate(stamped, self._count - len(stamped) + 1):
                cursor = f"s={self._files:x};i={n:x};t={BEGIN_US + n * 1_000_000:x}"
                # journal files keep each value once; an entry has them in the order of their places
                entry = sorted(entry, key=lambda field: self._places.setdefault(field, len(self._places)))
                said = [[name, base64.b64encode(value).decode()] for name, value in entry]
                file.write(json.dumps({"cursor": cursor, "fields": said}).encode() + b"\n")

    def rotate(self) -> None:
        """What comes next goes to a new file."""
        if self._current.exists():
            self._files += 1
            self._current.rename(self._current.with_stem(f"system@{self._files}"))

    def vacuum(self) -> None:
        """Deletes the files that were rotated away."""
        for path in self.directory.glob("system@*"):
            path.unlink()

    @property
    def _current(self) -> Path:
        return self.directory / ("system.journal" if self.is_real else "system.entries")


def exported(fields: Sequence[tuple[str, bytes]]) -> bytes:
    """An entry in the export format."""
    parts = []
    for name, value in fields:
        plain = b"\n" not in value and all(byte >= 32 or byte == 9 for byte in value) and _is_text(value)
        size = struct.pack("<Q", len(value))
        parts.append(b"%b=%b\n" % (name.encode(), value) if plain else b"%b\n%b%b\n" % (name.encode(), size, value))
    return b"".join(parts) + b"\n"


def parsed(text: str) -> list[Fields]:
    """Entries of a text: `NAME=VALUE` lines, an empty line behind each; `\\n` in a value stands for a newline."""
    return [
        [(name, value.replace("\\n", "\n")) for name, _, value in (line.partition("=") for line in part.splitlines())]
        for part in text.strip().split("\n\n")
    ]


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
