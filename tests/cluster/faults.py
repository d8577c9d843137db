"""What the tests of faults share: Events of known versions, recorders that are waited for, an etcd set back."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kubewitness.config.alive import published
from kubewitness.config.state import state_paths
from kubewitness.store import Store
from tests.cluster.harness import Api, ControlPlane, until
from tests.cluster.recorder import Recorder

Version = tuple[str, str]

_EVENTS = "/api/v1/namespaces/default/events"
_MERGE = {"Content-Type": "application/merge-patch+json"}
_KEPT = "SELECT uid, resource_version FROM events WHERE change <> 'EXPIRED'"


class Teller:
    """Makes Events, and new versions of them if `again`; `said` is what the API server has acknowledged."""

    def __init__(self, api: Api, name: str, *, again: bool = True) -> None:
        self._api = api
        self._name = name
        self._again = again
        self._number = 0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.said: list[Version] = []

    def tell(self, count: int) -> None:
        """So many Events. OSError when the server is away."""
        for _ in range(count):
            self._number += 1
            name = f"{self._name}-{self._number}"
            self._send("POST", _EVENTS, _event(name))
            if self._again:
                self._send("PATCH", f"{_EVENTS}/{name}", {"count": 2})

    def start(self) -> None:
        """Goes on telling, in a thread, also while the server comes and goes; `stop` ends it."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(60)

    def _work(self) -> None:
        while not self._stopped.wait(0.01):
            try:
                self.tell(1)
            except (OSError, http.client.HTTPException):
                # it may have been done all the same: only what was answered counts
                self._stopped.wait(0.1)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        reply = self._api.request(method, path, body, _MERGE if method == "PATCH" else None, seconds=10)
        if reply.status not in (200, 201):
            raise OSError(f"{method} {path}: {reply.status}")
        metadata = reply.json()["metadata"]
        self.said.append((metadata["uid"], metadata["resourceVersion"]))


def _event(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Namespace", "name": "default", "namespace": "default"},
        "reason": "Told",
        "count": 1,
    }


def kept(recorder: Recorder, of: Iterable[Version]) -> list[Version]:
    """Of these versions each as often as it is stored."""
    wanted = set(of)
    with Store(state_paths(str(recorder.state))).session() as session:
        found = [(str(uid), str(version)) for uid, version in session.query(_KEPT)]
    return [version for version in found if version in wanted]


def wait_kept(recorder: Recorder, said: list[Version], seconds: float = 90.0) -> float:
    """Waits until all that was said is stored, or for `seconds`: the caller compares. The time when it was."""
    end = time.monotonic() + seconds
    while set(said) - set(kept(recorder, said)) and time.monotonic() < end:
        time.sleep(0.2)
    return time.monotonic()


def wait_watching(recorder: Recorder) -> None:
    """Until its watch is open."""
    until("the watch", lambda: '"watching"' in json.dumps(published(recorder.state)), 60)


class Backup:
    """A copy of etcd's data, as a backup is: `restore` puts the cluster back to it, `wipe` begins a new one.

    The API server is stopped meanwhile, and both are as new processes afterwards.
    """

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._data = cluster.folder / "etcd"
        self._copy = cluster.folder / "backup"

    def make(self) -> None:
        self._down()
        shutil.copytree(self._data, self._copy)
        self._up()

    def restore(self) -> None:
        self._replace(self._copy)

    def wipe(self) -> None:
        self._replace(None)

    def _replace(self, by: Path | None) -> None:
        self._down()
        shutil.rmtree(self._data)
        if by is not None:
            shutil.copytree(by, self._data)
        self._up()

    def _down(self) -> None:
        self._cluster.apiserver.kill()
        self._cluster.etcd.stop()

    def _up(self) -> None:
        self._cluster.etcd.start()
        self._cluster.apiserver.start()
        self._cluster.wait_ready()
