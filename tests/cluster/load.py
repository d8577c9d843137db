"""A load of API requests that writes objects and Events, some of them often."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
from typing import Any

from tests.cluster.harness import Api

_BASE = "/api/v1/namespaces/load"
_MERGE = {"Content-Type": "application/merge-patch+json"}


class Load:
    """`requests` requests from `threads` threads, or until `finish`; `done` counts those that were answered.

    Each thread keeps its connection. A server that is away ends the load: that is the test's failure.
    """

    def __init__(self, api: Api, requests: int, threads: int = 2, *, first: int = 0) -> None:
        self._api = api
        self._requests = requests
        self._numbers = itertools.count()
        #: of the objects' names, so that a second load makes others
        self._first = first
        self._lock = threading.Lock()
        self.done = 0
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(threads)]

    def start(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def finish(self) -> None:
        """No more rounds, however many were asked for; `join` then waits for those that run."""
        self._requests = 0

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(300)
        assert self.done >= self._requests, f"only {self.done} of {self._requests} requests were answered"

    def _work(self, worker: int) -> None:
        with contextlib.closing(self._api.connect()) as line:
            while (round_ := next(self._numbers)) * 8 < self._requests:
                name = f"{worker}-{self._first + round_}"
                self._send(line, "POST", f"{_BASE}/configmaps", _config_map(name, "1"))
                self._send(line, "GET", f"{_BASE}/configmaps/{name}")
                self._send(line, "PATCH", f"{_BASE}/configmaps/{name}", {"data": {"n": "2"}})
                self._send(line, "POST", f"{_BASE}/events", _event(name))
                self._send(line, "PATCH", f"{_BASE}/events/{name}", {"count": 2})
                self._send(line, "PATCH", f"{_BASE}/events/{name}", {"count": 7, "message": f"told again by {name}"})
                self._send(line, "DELETE", f"{_BASE}/configmaps/{name}")
                self._send(line, "GET", f"{_BASE}/pods/none-{name}")

    def _send(self, line: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> None:
        self._api.send(line, method, path, body, _MERGE if method == "PATCH" else {})
        reply = line.getresponse()
        said = reply.read()
        assert reply.status < 500, f"{method} {path}: {reply.status} {said[:200]!r}"
        with self._lock:
            self.done += 1


def _config_map(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": value}}


def _event(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": {"kind": "ConfigMap", "namespace": "load", "name": name},
        "type": "Normal",
        "reason": "Told",
        "message": f"told by {name}",
        "count": 1,
        "source": {"component": "load"},
    }
