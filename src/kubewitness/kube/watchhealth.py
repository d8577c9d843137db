"""What one watch says of itself, and several of them together. Times are microseconds UTC, 0 for never."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field


def _now_us() -> int:
    return time.time_ns() // 1000


@dataclass(slots=True)
class WatchHealth:
    """`dead_since_us` is 0 while records can come; a watch that polls is alive, though not connected."""

    #: starting, listing, watching, polling, failing
    state: str = "starting"
    connected: bool = False
    records: int = 0
    duplicates: int = 0
    #: when a record was stored last, and when the server last sent anything
    last_record_us: int = 0
    last_event_us: int = 0
    dead_since_us: int = field(default_factory=_now_us)
    lists: int = 0
    #: lists but for the first: what was stored already came again
    relists: int = 0
    watches: int = 0
    #: watches but for the first
    reconnects: int = 0
    #: lists that were due because the server no longer had our version
    expired: int = 0
    errors: int = 0
    last_error: str = ""
    #: what the server refuses for want of rights: "watch events"
    missing_rights: list[str] = field(default_factory=list)

    def show(self) -> dict[str, object]:
        return asdict(self)

    def lacks(self, right: str) -> bool:
        """Whether that is news."""
        if right in self.missing_rights:
            return False
        self.missing_rights.append(right)
        return True

    def has(self, right: str) -> None:
        if right in self.missing_rights:
            self.missing_rights.remove(right)

    def listing(self) -> None:
        self.relists += 1 if self.lists else 0
        self.lists += 1
        if self.state != "polling":
            self.state = "listing"

    def alive(self, *, opened: bool) -> None:
        if opened:
            self.reconnects += 1 if self.watches else 0
            self.watches += 1
        else:
            self.last_event_us = _now_us()
        self.connected, self.state, self.dead_since_us = True, "watching", 0

    def polling(self, why: str) -> None:
        self.connected, self.state, self.dead_since_us, self.last_error = False, "polling", 0, why

    def put(self, stored: int, duplicates: int) -> None:
        self.records += stored
        self.duplicates += duplicates
        if stored:
            self.last_record_us = _now_us()

    def failed(self, error: str) -> None:
        self.errors += 1
        if self.connected or not self.dead_since_us:
            self.dead_since_us = _now_us()
        self.connected, self.state, self.last_error = False, "failing", error


#: from bad to good: what several watches together are called is what the worst is called
_STATES = ("failing", "starting", "listing", "polling", "watching")
_LATEST = ("last_record_us", "last_event_us")


def together(watches: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The health of all: counts are added up, times are the latest, `dead_since_us` is of the longest dead."""
    shown: dict[str, object] = {
        "state": min((str(w["state"]) for w in watches), key=_STATES.index),
        "connected": all(w["connected"] for w in watches),
        "dead_since_us": min((d for w in watches if (d := _number(w, "dead_since_us"))), default=0),
        "last_error": next((e for w in watches if not w["connected"] and (e := w["last_error"])), "")
        or next((w["last_error"] for w in watches if w["last_error"]), ""),
        "missing_rights": sorted({right for w in watches for right in _rights(w)}),
    }
    for name in watches[0]:
        if name not in shown:
            numbers = [_number(w, name) for w in watches]
            shown[name] = max(numbers) if name in _LATEST else sum(numbers)
    return shown


def _rights(health: Mapping[str, object]) -> list[str]:
    rights = health["missing_rights"]
    assert isinstance(rights, list)
    return rights


def _number(health: Mapping[str, object], name: str) -> int:
    value = health[name]
    assert isinstance(value, int)
    return value
