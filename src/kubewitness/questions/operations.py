"""One request gives up to three audit records, its stages; every question shows them as one operation.

A client may choose its auditID, and use one twice. What all stages of a request share, and no client can choose, is
the time at which the API server received it; so an operation is (cluster, auditID, user, verb, URI, time received).

Stages, of k8s.io/apiserver pkg/endpoints/filters/audit.go: RequestReceived; ResponseStarted, of long-running requests
only (watch, exec, attach, port-forward, proxy, log), and alone for failed logins; then ResponseComplete or Panic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions.times import Window, span

RECEIVED, STARTED, PANIC, COMPLETE = "RequestReceived", "ResponseStarted", "Panic", "ResponseComplete"
_RANK = {RECEIVED: 0, STARTED: 1, PANIC: 2, COMPLETE: 3}
#: stages that a request can leave in the store
MOST_STAGES = 3

#: subresources whose requests last as long as somebody uses them
SESSIONS = ("exec", "attach", "portforward")
#: those whose requests have a stage ResponseStarted, as watches do
LONG_RUNNING = (*SESSIONS, "proxy", "log")
#: what is shorter is no session to speak of, and which requests are called slow; microseconds
_SHORT_US, _SLOW_US = 100_000, 1_000_000
#: sessions that began longer before the time asked for are not looked for
LONGEST_US = 24 * 3600 * 1_000_000
#: open operations whose ends are looked for at once
MOST_OPEN = 500


class Stage(Protocol):
    """What an audit record must tell to be put together with others; times in microseconds UTC."""

    @property
    def ts(self) -> int: ...
    @property
    def received(self) -> int: ...
    @property
    def cluster(self) -> str: ...
    @property
    def audit_id(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def subresource(self) -> str: ...
    @property
    def code(self) -> int: ...


S = TypeVar("S", bound=Stage)


class Course(msgspec.Struct, frozen=True):
    """How an operation went. `ended` is None as long as no record tells of its end."""

    began: int
    ended: int | None
    #: the recorded stages, in order
    stages: tuple[str, ...]
    #: whether it is a session that lasts: it was let in, and its answer goes on
    streams: bool = False
    panicked: bool = False
    #: of a session: when its answer began
    opened: int | None = None

    @property
    def open(self) -> bool:
        """A session that has begun, and of whose end no record tells."""
        return self.streams and self.ended is None

    @property
    def lasted(self) -> int | None:
        """Microseconds from its reception to its end."""
        return None if self.ended is None else max(0, self.ended - self.began)


def operation_of(r: Stage) -> tuple[str, str, str, str, str, int]:
    """What all stages of one operation share, and no two operations do."""
    return (r.cluster, r.audit_id, r.user, r.verb, r.uri, r.received)


def merged(records: Iterable[S]) -> list[list[S]]:
    """The recorded stages of each operation in their order, so that the last one tells most; operations by the time of
    that one."""
    found: dict[tuple[str, str, str, str, str, int], list[S]] = {}
    for r in records:
        found.setdefault(operation_of(r), []).append(r)
    for stages in found.values():
        if len(stages) > 1:
            stages.sort(key=lambda r: (_RANK.get(r.stage, 0), r.ts))
    return sorted(found.values(), key=lambda stages: (stages[-1].ts, stages[-1].received))


def course_of(stages: Sequence[Stage]) -> Course:
    """How the operation of these stages went."""
    last = stages[-1]
    started = next((r for r in stages if r.stage == STARTED), None)
    let_in = (started or last).code < 400 and last.stage != RECEIVED
    streams = let_in and (started is not None or last.verb == "watch" or last.subresource in SESSIONS)
    ends = last.stage in (COMPLETE, PANIC) or (last.stage == STARTED and not streams)
    names = (last.stage,) if len(stages) == 1 else tuple(dict.fromkeys(r.stage for r in stages))
    return Course(
        last.received, last.ts if ends else None, names, streams, last.stage == PANIC, started.ts if started else None
    )


def told(course: Course, recorded: Window | None = None) -> str:
    """How long it lasted, as the end of a sentence; "" for what is not worth a word.

    `recorded`: the time in which the recording never stopped: what began in it and has no end, is open.
    """
    if course.ended is None:
        if not course.streams:
            return ", with no answer recorded so far"
        if recorded is None or recorded.until is None or course.began < (recorded.since or 0):
            return ", with no end recorded"
        return f", still open at {format_us(recorded.until)}"
    lasted = course.lasted or 0
    if course.streams and course.panicked:
        return f", ended by a panic of the API server after {span(lasted)}"
    if course.streams:
        return f" for {span(lasted)}" if lasted >= _SHORT_US else ""
    return f", took {span(lasted)}" if lasted >= _SLOW_US else ""


def command_of(uri: str) -> str:
    """What an exec's URI says that it ran; "" when it says nothing."""
    return " ".join(parse_qs(urlsplit(uri).query).get("command", []))


def ends_of(still_open: Sequence[Stage]) -> tuple[list[str], list[Any]]:
    """The WHERE conditions that find the ends of open operations, of which a time limit or a filter kept them away."""
    some = still_open[-MOST_OPEN:]
    marks = ", ".join("?" * len(some))
    return (
        [f"audit_id IN ({marks})", f"stage IN ('{COMPLETE}', '{PANIC}')", "ts >= make_timestamp(?)"],
        [*(r.audit_id for r in some), min(r.received for r in some)],
    )
