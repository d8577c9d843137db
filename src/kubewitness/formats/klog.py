"""klog's text lines: `I1122 21:25:09.518619    1234 file.go:12] "Message" key="value"`. Source: k8s.io/klog/v2.

The header is severity, month and day, time (the process's zone, UTC in a cluster), thread and place; what follows is
text, or a message in quotes with keys and values.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

_HEADER = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6})\s+(\d+) ([^\s\]]+:\d+)\] ?(.*)", re.DOTALL)
_SEVERITY = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}


class Klog(NamedTuple):
    """One line. `us` is 0 when no year has such a day."""

    us: int
    severity: str
    thread: int
    caller: str
    text: str


def parse(line: str, now_us: int) -> Klog | None:
    """None when it does not begin as klog's. There is no year in it: the latest one that is not after `now_us` plus a
    day is taken; `now_us` 0: any."""
    match = _HEADER.match(line)
    if match is None:
        return None
    level, month, day, hour, minute, second, micro, thread, caller, text = match.groups()
    latest = datetime.fromtimestamp(now_us / 1e6 + 86_400, UTC)
    us = 0
    for year in range(latest.year, latest.year - 5, -1):
        try:  # 29 February exists in some years only
            moment = datetime(year, int(month), int(day), int(hour), int(minute), int(second), int(micro), tzinfo=UTC)
        except ValueError:
            continue
        if moment <= latest or not now_us:
            us = int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + int(micro)
            break
    return Klog(us, _SEVERITY[level], int(thread), caller, text)
