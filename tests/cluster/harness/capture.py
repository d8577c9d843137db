"""An independent list and watch: the lines exactly as the API server sent them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

from tests.cluster.harness.api import Api, Stream


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
        self._stream: Stream | None = None
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
            url = f"{self.path}{join}watch=1&timeoutSeconds=600&resourceVersion={self._version}"
            try:
                with self._api.stream(url, seconds=120.0) as self._stream:
                    for line in self._stream:
                        self._take(line)
            except (OSError, http.client.HTTPException, ValueError):
                # The server is away, or was silent for long, or `stop` broke off: go on from the last version.
                self._stopped.wait(0.2)

    def _take(self, line: bytes) -> None:
        event = json.loads(line)
        if event["type"] == "ERROR":
            self.error = line.decode()
            self._stopped.set()
            return
        self.arrived.append(time.time())
        self.lines.append(line)
        self._version = event["object"]["metadata"]["resourceVersion"]

    def stop(self) -> None:
        """Ends the watch; raises if it had ended with an ERROR (the capture has a gap then)."""
        self._stopped.set()
        if self._stream:
            self._stream.break_off()
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
