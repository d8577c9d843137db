"""What may be wrong with a recording beside its level: stages left out, clocks apart, files in disorder, ids used
again, a minute missing. Each makes other captures of a recording's; the truth stays as it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from kubewitness.formats.times import format_us, parse_us

Record = dict[str, Any]
#: the audit records, as the files that a folder with several API servers' trails would hold
Audit = Callable[[list[Record]], list[list[Record]]]
#: one Event, changed in place
Event = Callable[[Record], None]

_SECOND = 1_000_000
_AUDIT_TIMES = ("requestReceivedTimestamp", "stageTimestamp")
_EVENT_TIMES = ("firstTimestamp", "lastTimestamp", "eventTime")
_CONTROLLERS = "system:serviceaccount:kube-system:"
_KUBELETS = "system:node:"
#: every so many-th request's auditID is used again by the next one
_REUSED = 10
#: of the recording, where the missing minute begins
_MIDDLE = 0.4


def shifted(record: Record, keys: tuple[str, ...], seconds: float) -> Record:
    moved = {k: format_us(parse_us(record[k]) + int(seconds * _SECOND)) for k in keys if record.get(k)}
    return {**record, **moved}


def only_complete(records: list[Record]) -> list[list[Record]]:
    """A policy with omitStages: what a watch or exec answered first is missing, too."""
    return [[r for r in records if r["stage"] == "ResponseComplete"]]


def apart(users: str, seconds: float) -> Audit:
    """These users speak to an API server whose clock is that much ahead of the others'."""

    def change(records: list[Record]) -> list[list[Record]]:
        mine = [r for r in records if str((r.get("user") or {}).get("username", "")).startswith(users)]
        rest = [r for r in records if not str((r.get("user") or {}).get("username", "")).startswith(users)]
        return [rest, [shifted(r, _AUDIT_TIMES, seconds) for r in mine]]

    return change


def in_disorder(records: list[Record]) -> list[list[Record]]:
    """Two API servers' files, each request in one of them, neighbours out of order."""
    rng = random.Random(1)
    files: list[list[Record]] = [[], []]
    for r in records:
        files[hash_of(r["auditID"]) % 2].append(r)
    for file in files:
        for begin in range(0, len(file), 200):
            part = file[begin : begin + 200]
            rng.shuffle(part)
            file[begin : begin + 200] = part
    return files


def hash_of(text: str) -> int:
    return sum(text.encode())


def ids_used_again(records: list[Record]) -> list[list[Record]]:
    """A client sends Audit-ID headers of its own: now and then a request carries the id of the one before."""
    changed: list[Record] = []
    last, renamed = "", dict[str, str]()
    for r in records:
        ident = r["auditID"]
        if ident not in renamed:
            again = last and hash_of(ident) % _REUSED == 0 and r["verb"] in ("delete", "patch", "create")
            renamed[ident] = last if again else ident
            last = ident if r["verb"] in ("delete", "patch", "create") else last
        changed.append({**r, "auditID": renamed[ident]})
    return [changed]


def a_minute_missing(records: list[Record]) -> list[list[Record]]:
    times = sorted(r["stageTimestamp"] for r in records)
    begin = times[int(len(times) * _MIDDLE)]
    end = format_us(parse_us(begin) + 60 * _SECOND)
    return [[r for r in records if not begin <= r["stageTimestamp"] <= end]]


def events_apart(component: str, seconds: float) -> Event:
    """The clocks of the machines on which this component runs are that much ahead."""

    def change(event: Record) -> None:
        who = event.get("reportingComponent") or (event.get("source") or {}).get("component", "")
        if str(who).startswith(component):
            for key in _EVENT_TIMES:
                if event.get(key):
                    moved = format_us(parse_us(event[key]) + int(seconds * _SECOND))
                    event[key] = moved if key == "eventTime" else moved[:19] + "Z"

    return change


VARIATIONS: dict[str, tuple[Audit | None, Event | None]] = {
    "ResponseComplete only": (only_complete, None),
    "controllers' API server 2 s ahead": (apart(_CONTROLLERS, 2), None),
    "controllers' API server 2 s behind": (apart(_CONTROLLERS, -2), None),
    "kubelets' API server 2 s ahead": (apart(_KUBELETS, 2), None),
    "kubelets' API server 2 s behind": (apart(_KUBELETS, -2), None),
    "kubelets' Events 3 s ahead": (None, events_apart("kubelet", 3)),
    "kubelets' Events 3 s behind": (None, events_apart("kubelet", -3)),
    "two API servers' files in disorder": (in_disorder, None),
    "auditIDs used again": (ids_used_again, None),
    "a minute of the audit trail missing": (a_minute_missing, None),
}


def changed_events(lines: Iterator[Record] | list[Record], change: Event) -> list[str]:
    """Lines of a list or watch of Events, with every Event changed."""
    found = []
    for line in lines:
        for event in line["items"] if "items" in line else [line.get("object", line)]:
            change(event)
        found.append(json.dumps(line))
    return found
