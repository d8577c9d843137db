"""One running part of the control plane."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LAUNCH = Path(__file__).with_name("launch.py")


class Part:
    """A program that can be started, stopped, killed, paused, resumed, and started again with the same command.

    Its output goes to `log` (appended). Everything is done by pid. Start parts from a thread that lives as
    long as they should: the kernel ends them when that thread ends.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, hostname: str = ""
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.env = dict(env or {})
        self.hostname = hostname or name
        self.paused = False
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    def __repr__(self) -> str:
        return f"<Part {self.name} pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Part:
        if self.running:
            raise RuntimeError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        launch = [sys.executable, "-S", "-E", str(_LAUNCH), self.hostname, str(os.getpid()), str(writing)]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*launch, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.log.parent), **self.env},
                cwd=self.log.parent,
                start_new_session=True,
                pass_fds=(writing,),
            )
        os.close(writing)
        # End of file: it has become the program, and would not outlive us.
        os.read(reading, 1)
        os.close(reading)
        self.paused = False
        return self

    def stop(self, seconds: float = 20.0) -> None:
        """Asks it to end (SIGTERM), then makes it (SIGKILL)."""
        if not self.running or self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, also of a paused part."""
        if self._process is not None:
            if self.running:
                self._process.kill()
            self._process.wait()
        self.paused = False

    def pause(self) -> None:
        """Freezes it (SIGSTOP): connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self._signal(signal.SIGCONT)
            self.paused = False

    def check(self) -> None:
        """Raises RuntimeError with the end of its log if it has ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise RuntimeError(f"{self.name} ended with {code}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        if not self.log.exists():
            return "(no output)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if not self.running or self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        self._process.send_signal(number)


def stop_all(parts: Sequence[Part], seconds: float = 15.0) -> None:
    """Stops all in order; whoever does not end in time is killed."""
    deadline = time.monotonic() + seconds
    for part in parts:
        part.stop(max(0.5, deadline - time.monotonic()))
