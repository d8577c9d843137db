"""kubectl as people use it: as one user, with their own home and caches."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.cluster.harness.binaries import Binaries
from tests.cluster.harness.pki import User

Version = Literal["old", "current"]
#: What the old program prints before anything else: a warning of a library, of three lines and an empty one.
_NOISE = ("WARNING: Package ", "\tA future release of ", "\twhich has long been excluded")


class KubectlError(Exception):
    """kubectl ended with an error; the message has the command and what it said."""


class Kubectl:
    """Runs commands of one version as one user. stdout is only what kubectl printed there."""

    def __init__(self, binaries: Binaries, user: User, home: Path, version: Version = "current") -> None:
        self.program = binaries.current_kubectl if version == "current" else binaries.path("kubectl")
        self.user = user
        home.mkdir(parents=True, exist_ok=True)
        self.env = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "KUBECONFIG": str(user.kubeconfig)}

    def run(
        self, *args: str, stdin: str = "", seconds: float = 60.0, editor: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Whatever the exit code. `editor` is the command that `kubectl edit` gives the object's file to."""
        done = subprocess.run(
            [self.program, *args],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.env | ({"KUBE_EDITOR": editor} if editor else {}),
            timeout=seconds,
            check=False,
        )
        done.stderr = without_noise(done.stderr)
        return done

    def __call__(self, *args: str, stdin: str = "", seconds: float = 60.0) -> str:
        """What it printed; KubectlError if it failed."""
        done = self.run(*args, stdin=stdin, seconds=seconds)
        if done.returncode:
            raise KubectlError(
                f"kubectl {' '.join(args)} (as {self.user.name}): exit {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def start(self, *args: str) -> subprocess.Popen[str]:
        """In the background; the caller waits for it."""
        command: Sequence[str] = [self.program, *args]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env
        )


def without_noise(stderr: str) -> str:
    return "\n".join(line for line in stderr.splitlines() if not line.startswith(_NOISE)).strip()
