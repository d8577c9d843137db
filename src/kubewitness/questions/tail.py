"""What arrives, as it arrives: one call gives what came since the one before. The caller waits between calls."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Filter, tables_for, where
from kubewitness.questions.model import TimelineRow

#: a record may become visible this much after its time of arrival: batches are committed together
LATE_US = 10_000_000
_MOST = 10_000


class TailQuestion(msgspec.Struct):
    filter: Filter
    #: arrivals after this are wanted, microseconds UTC
    since: int


class Follower:
    """Remembers what was shown, so that a record that becomes visible late is shown once."""

    def __init__(self, question: TailQuestion) -> None:
        self.filter = question.filter
        self.since = question.since
        self._seen: dict[bytes, int] = {}
        self._newest = question.since

    def poll(self, session: Session) -> list[TimelineRow]:
        """Records that arrived since the last call, in order of arrival."""
        return [row for _, row in self.arrivals(session)]

    def arrivals(self, session: Session) -> list[tuple[int, TimelineRow]]:
        """The same, each with its time of arrival (microseconds UTC); at most so many of a table at once."""
        found: list[tuple[int, TimelineRow]] = []
        horizon = max(self.since, self._newest - LATE_US)
        most = _MOST + len(self._seen)  # what was shown already must not hide the rest of a burst
        for view in tables_for(self.filter.conditions):
            condition, params = where(view, self.filter)
            sql = (
                f"SELECT {view.select}, epoch_us(arrived_ts), record_key FROM {view.table} "  # noqa: S608
                f"WHERE {condition} AND arrived_ts > make_timestamp(?) ORDER BY arrived_ts LIMIT {most}"
            )
            for values in session.query(sql, [*params, horizon]):
                key = self._key(view.table, values[-1], values)
                if key not in self._seen:
                    self._seen[key] = int(values[-2])
                    found.append((int(values[-2]), view.rows([values[:-2]])[0]))
        found.sort(key=lambda f: (f[0], f[1].when))
        if found:
            self._newest = max(self._newest, found[-1][0])
            self._seen = {k: t for k, t in self._seen.items() if t > self._newest - 2 * LATE_US}
        return found

    @staticmethod
    def _key(table: str, key: Any, values: tuple[Any, ...]) -> bytes:
        return table.encode() + (bytes(key) if key else repr(values).encode())
