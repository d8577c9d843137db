"""Where the watches of a cluster go on, kept with the store, so that another machine's recorder can go on there.

A file `positions/<number>.json` holds name -> position. It is durable before the commit of table `events` that names
it, by the Delta transaction `kubewitness-positions`, whose version is the file's number (random, so that two writers
never mean the same file). A position is committed last: after every chunk, of any table, that the journal had when the
position was read. So the store is never behind the position that it holds.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kubewitness.errors import StateError
from kubewitness.store.objectdir import ObjectDir
from kubewitness.store.places import Directory
from kubewitness.store.segments import fsync_path
from kubewitness.store.tables import DeltaStoreTable

#: application id of the Delta transaction whose version is the number of the file with the positions
POSITIONS = "kubewitness-positions"
#: the table whose commits carry it
HOME = "events"
#: Which positions of a journal are shared: those in a cluster. A place in a file means nothing on another machine.
_SHARED = "kubernetes_events/"

#: The file of a version is removed once a later one counts; a reader that meets it gone looks again.
_TRIES = 4

_decoder = msgspec.json.Decoder(dict[str, bytes])


def shared_of(positions: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of a journal's positions that another machine can go on from."""
    return {name: value for name, value in positions.items() if name.startswith(_SHARED)}


def read_positions(table: DeltaStoreTable, files: PositionFiles) -> dict[str, bytes]:
    """The positions that the table's newest version names; none where none were ever shared."""
    for _ in range(_TRIES):
        if not table.refresh():
            return {}
        number = table.cursor(POSITIONS)
        found = files.load(number) if number else {}
        if found is not None:
            return found
    raise StateError(f"the shared positions of {table.directory.parent} are gone; remove none of its files by hand")


class PositionFiles:
    """The files in `directory`; which one counts, the table says."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def save(self, positions: Mapping[str, bytes]) -> int:
        """Writes a new file, durably; returns its number."""
        number = secrets.randbits(62) | 1
        path, data = self._path(number), msgspec.json.encode(dict(positions))
        if isinstance(path, Path) and isinstance(self._directory, Path):
            _write_new(self._directory, path, data)
        elif isinstance(path, ObjectDir):
            path.write(data)
        return number

    def load(self, number: int) -> dict[str, bytes] | None:
        """What the file holds; None when it is gone: a later one counts by now."""
        try:
            path = self._path(number)
            return _decoder.decode(path.read_bytes() if isinstance(path, Path) else path.read())
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as e:
            raise StateError(f"{self._path(number)} is damaged: {e}; remove it, the watches then list anew") from e

    def remove(self, number: int) -> None:
        """Removes a file that the commit after it has put out of use, if it is there."""
        path = self._path(number)
        if isinstance(path, Path):
            path.unlink(missing_ok=True)
        elif number:
            path.delete()

    def _path(self, number: int) -> Directory:
        return self._directory / position_name(number)


def position_name(number: int) -> str:
    return f"{number:019d}.json"


def _write_new(directory: Path, path: Path, data: bytes) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    fsync_path(directory)
