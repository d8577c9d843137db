"""An independent list and watch: the lines exactly as the API server sent them."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from tests.cluster.harness.api import Api


class RawWatch:
    """Lists `path` once, then watches from the list's resourceVersion in a thread until `stop`.

    `list_body` is the list as it came; `lines` are the watch's lines, `arrived` when each came (Unix seconds).
    """

    def __init__(self, api: Api, path: str) -> None:
        self.path = path
        self._api = api
        self.lines: list[bytes] = []
        self.arrived: list[float] = []
        self.error = ""
        self.list_body = b""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> RawWatch:
        reply = self._api.request("GET", self.path)
        if reply.status != 200:
            raise OSError(f"GET {self.path}: {reply.status}")
        self.list_body = reply.body
        self._version = str(reply.json()["metadata"]["resourceVersion"])
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stopped.is_set():
            join = "&" if "?" in self.path else "?"
            url = (
                f"{self.path}{join}watch=1&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion={self._version}"
            )
            try:
                for line in self._api.lines(url, seconds=2.0):
                    self.arrived.append(time.time())
                    self.lines.append(line)
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        self.error = line.decode()
                        return
                    self._version = event["object"]["metadata"]["resourceVersion"]
                    if self._stopped.is_set():
                        return
            except OSError:
                # Idle for two seconds, or the server is away: go on from the last version.
                self._stopped.wait(0.2)

    def stop(self) -> None:
        """Ends the watch; raises if it had ended with an ERROR (the capture has a gap then)."""
        self._stopped.set()
        self._thread.join(10)
        if self.error:
            raise RuntimeError(f"the independent watch of {self.path} was broken off: {self.error}")

    def events(self) -> list[dict[str, Any]]:
        """The watch's messages, decoded."""
        return [json.loads(line) for line in list(self.lines)]

    def versions(self, *changes: str) -> set[tuple[str, str]]:
        """(uid, resourceVersion) of the list's items and of the watch's objects (all but the DELETED by default)."""
        listed = {(i["metadata"]["uid"], i["metadata"]["resourceVersion"]) for i in json.loads(self.list_body)["items"]}
        seen = (e for e in self.events() if e["type"] in (changes or ("ADDED", "MODIFIED")))
        return listed | {(e["object"]["metadata"]["uid"], e["object"]["metadata"]["resourceVersion"]) for e in seen}
