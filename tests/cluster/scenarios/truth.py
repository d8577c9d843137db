"""What a scenario knows to be true of an effect, without looking at any record."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.cluster.harness import RawWatch

Pod = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """Why something happened. `root` is who set it off (None: nobody did); `object` is what they acted on.

    `candidates` are (mechanism, user) that are as good, where even the driver cannot know: naming any of them, the root
    included, is right.
    """

    mechanism: str
    root: str | None
    object: str
    acting_as: str | None = None
    kind: str = ""
    candidates: tuple[tuple[str, str], ...] = ()

    @property
    def root_kind(self) -> str:
        if self.kind:
            return self.kind
        return "serviceaccount" if (self.root or "").startswith("system:serviceaccount:") else "human"


@dataclass
class Known:
    """One question with its right answer; `at` only where the name was used more than once."""

    scenario: str
    verb: str
    kind: str
    namespace: str
    name: str
    uid: str
    when: str
    truth: Truth
    at: bool = False

    def row(self) -> dict[str, Any]:
        row = asdict(self)
        row["truth"] = {**asdict(self.truth), "root_kind": self.truth.root_kind}
        return row


Judge = Callable[[Pod], Truth | None]


@dataclass
class PodWatch:
    """Which pods have begun to vanish, by namespace; each is given out once. Used by many threads."""

    watch: RawWatch
    _read: int = 0
    _seen: set[str] = field(default_factory=set)
    _waiting: dict[str, list[tuple[Pod, float]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, namespace: str) -> list[tuple[Pod, float]]:
        """(the pod, when its deletion was first seen) of the pods that nobody has taken yet."""
        with self._lock:
            self._advance()
            return list(self._waiting.get(namespace, ()))

    def take(self, namespace: str, uid: str) -> None:
        with self._lock:
            self._waiting[namespace] = [w for w in self._waiting[namespace] if w[0]["metadata"]["uid"] != uid]

    def _advance(self) -> None:
        if self.watch.error:
            raise RuntimeError(f"the watch of the pods has ended: {self.watch.error}")
        lines, arrived = self.watch.lines, self.watch.arrived
        while self._read < len(lines):
            event, when = json.loads(lines[self._read]), arrived[self._read]
            self._read += 1
            meta = event["object"]["metadata"]
            if event["type"] != "DELETED" and "deletionTimestamp" not in meta:
                continue
            if meta["uid"] not in self._seen:
                self._seen.add(meta["uid"])
                self._waiting.setdefault(meta["namespace"], []).append((event["object"], when))
