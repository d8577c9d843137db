"""One of several elected recorders, as a process that can be killed and frozen, and what it says of itself."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.harness.ports import free_port
from tests.cluster.recorder import Recorder

#: lease duration, renew deadline, retry period: a fifth of client-go's, so that a test need not wait long
SHORT = ("3s", "2s", "500ms")


@dataclass(frozen=True)
class SharedStore:
    """Where replicas with states of their own keep the tables; none: in the one state that they share."""

    flags: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class Reader(Recorder):
    """Records nothing: asks of the tables alone, from a state without a journal."""

    def __init__(self, folder: Path, store: SharedStore) -> None:
        super().__init__(folder / "state")
        self.env |= store.env
        self._store = store

    def ask(self, *args: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        return super().ask(*args, *self._store.flags, seconds=seconds)


class Replica(Recorder):
    """`kubewitness record --leader-elect`; answers on `port`, takes audit batches on `audit_port`."""

    def __init__(
        self,
        name: str,
        folder: Path,
        access: Sequence[str],
        store: SharedStore | None = None,
        namespace: str = "default",
    ) -> None:
        self.port, self.audit_port = free_port(), free_port()
        self._store = store or SharedStore()
        duration, renew, retry = SHORT
        super().__init__(
            folder / "state",
            *access,
            *("--leader-elect", "--identity", name, "--lease-namespace", namespace),
            *("--lease-duration", duration, "--renew-deadline", renew, "--retry-period", retry),
            *("--audit-listen", f"127.0.0.1:{self.audit_port}", "--flush-seconds", "1"),
            *self._store.flags,
            listen=f"127.0.0.1:{self.port}",
        )
        self.name = self.hostname = name
        self.log = folder / f"{name}.log"
        self.env |= self._store.env

    def get(self, path: str, body: bytes | None = None, *, port: int = 0, seconds: float = 5.0) -> tuple[int, str]:
        """(status, body) of a request; (0, "") when nobody answers."""
        url = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return 0, ""

    def ask(self, *args: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        return super().ask(*args, *self._store.flags, seconds=seconds)

    @property
    def ready(self) -> bool:
        """Whether a Service would send requests to it: it leads, and takes records."""
        return self.get("/readyz")[0] == 200

    def election(self) -> dict[str, Any]:
        status, text = self.get("/api/v1/status", seconds=20)
        assert status == 200, text
        election: dict[str, Any] = json.loads(text)["election"]
        return election
