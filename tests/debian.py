"""Programs of Debian packages, for tests that talk to the real far side: unpacked, not installed, so that nothing on
this machine is started or changed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_PLACE = Path(__file__).parents[1] / ".build" / "debian"


def program(package: str, name: str) -> Path:
    """The path of a program (`usr/bin/NAME`) of a package; what is on this machine already is taken."""
    installed = shutil.which(name)
    if installed:
        return Path(installed)
    place = _PLACE / package
    path = place / "usr" / "bin" / name
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        if not _run(place, "apt-get", "download", "-qq", package):
            assert _run(place, "apt-get", "update", "-qq"), "apt-get update failed"
            assert _run(place, "apt-get", "download", "-qq", package), f"{package} cannot be had from Debian"
        (file,) = place.glob("*.deb")
        assert _run(place, "dpkg", "-x", file.name, ".")
        file.unlink()
    return path


@contextlib.contextmanager
def at_its_place(package: str, folder: str) -> Iterator[None]:
    """While this lasts, a folder of a package (`usr/share/NAME`) is where its programs look for it. Needs root."""
    link = Path("/") / folder
    if link.exists():
        yield
        return
    link.symlink_to(_PLACE / package / folder)
    try:
        yield
    finally:
        link.unlink()


def _run(place: Path, *command: str) -> bool:
    return subprocess.run(command, cwd=place, capture_output=True, timeout=300).returncode == 0
