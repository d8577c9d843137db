"""Where a state's tables are: a directory of this machine, or one of an object store; and what of them stays here."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kubewitness.config.state import StatePaths
from kubewitness.store.objectdir import Found, ObjectDir

if TYPE_CHECKING:
    import duckdb

Directory: TypeAlias = Path | ObjectDir


def store_directory(paths: StatePaths) -> Directory:
    """UsageError for an address that this version does not know."""
    return ObjectDir(paths.store_uri) if "://" in paths.store_uri else Path(paths.store_uri)


def seen_ids_directory(paths: StatePaths, directory: Directory) -> Path:
    """Where the files of `reuse.SeenIds` are, which only save look-ups: beside an object store, in the state."""
    return directory if isinstance(directory, Path) else paths.root


def read_file(path: Directory) -> bytes:
    """FileNotFoundError when it is not there."""
    return path.read_bytes() if isinstance(path, Path) else path.read()


def replace_file(path: Directory, data: bytes) -> None:
    """Writes it whole, in place of what was there."""
    if isinstance(path, ObjectDir):
        path.write(data)
        return
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def remove_file(path: Directory) -> None:
    """Removes it, if it is there."""
    if isinstance(path, ObjectDir):
        path.delete()
    else:
        path.unlink(missing_ok=True)


def listed(directory: Directory, ending: str) -> list[Found]:
    """The files with such a name below a directory, to any depth; of which some may go meanwhile."""
    if isinstance(directory, ObjectDir):
        return [f for f in directory.list() if f.name.endswith(ending)]
    found = []
    for path in directory.rglob(f"*{ending}"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found.append(Found(path.relative_to(directory).as_posix(), stat.st_size, stat.st_mtime))
    return found


def let_read(con: duckdb.DuckDBPyConnection, directory: Directory) -> None:
    """Lets a DuckDB instance read the files of an object store."""
    if isinstance(directory, ObjectDir):
        from kubewitness.store.objectfiles import ObjectFiles

        con.register_filesystem(ObjectFiles(directory))
