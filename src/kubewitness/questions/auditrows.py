"""Rows of the audit trail as `timeline`, `search` and `tail` show them: one line for each operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.times import format_us
from kubewitness.questions.factrows import Session
from kubewitness.questions.model import Joined, TimelineRow
from kubewitness.questions.operations import (
    MOST_OPEN,
    MOST_STAGES,
    RECEIVED,
    STARTED,
    Course,
    command_of,
    course_of,
    ends_of,
    merged,
    operation_of,
    told,
)
from kubewitness.questions.paging import BY_KEY, Place, place_at
from kubewitness.questions.reviews import Review
from kubewitness.questions.targets import action_text, object_text
from kubewitness.questions.times import Window

COLUMNS = (
    "ts",
    "received_ts",
    "cluster",
    "audit_id",
    "stage",
    "verb",
    "user",
    "impersonated_user",
    "api_group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "uid",
    "resource_version",
    "uri",
    "dry_run",
    "code",
    "reason",
    "message",
    "flags",
    "record_key",
)
_SELECT = ", ".join(f"epoch_us({c})" if c.endswith("ts") else f'"{c}"' for c in COLUMNS)

#: what a stage that is shown by itself is the record of
_STAGE_SAYS = {RECEIVED: ", received", STARTED: ", answer begun"}


class AuditRow(msgspec.Struct, frozen=True):
    """One operation: its last recorded stage (`key` is that record's), and its course. Times in microseconds UTC."""

    ts: int
    received: int
    cluster: str
    audit_id: str
    stage: str
    verb: str
    user: str
    acting_as: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    uri: str
    dry_run: bool
    code: int
    reason: str
    message: str
    flags: str
    key: bytes = b""
    course: Course | None = None

    @property
    def place(self) -> Place:
        """Where it stands in a list of the newest."""
        return place_at(self.ts, "audit", self.key)

    @property
    def when(self) -> int:
        """When a session began; when anything else was answered."""
        return self.course.began if self.course is not None and self.course.streams else self.ts


def row_of(values: Sequence[Any]) -> AuditRow:
    """A record of a row of `COLUMNS`."""
    given: list[Any] = ["" if value is None else value for value in values[: len(COLUMNS)]]
    given[1] = int(values[1] or values[0])
    given[16], given[17], given[21] = bool(values[16]), int(values[17] or 0), bytes(values[21] or b"")
    return AuditRow(*given)


def operations(records: Iterable[AuditRow], *, ascending: bool = False) -> list[AuditRow]:
    """One row for each operation, by the time of its last stage: newest first, and as `paging` orders them."""
    found = [msgspec.structs.replace(s[-1], course=course_of(s)) for s in merged(records)]
    return sorted(found, key=lambda r: r.ts) if ascending else sorted(found, key=lambda r: r.place.order)


def fetch(
    session: Session,
    where: Sequence[str],
    params: Sequence[Any],
    limit: int,
    *,
    ascending: bool = False,
    ends: bool = False,
    place: Place | None = None,
    widely: bool = False,
) -> tuple[list[AuditRow], bool]:
    """The newest (or oldest) `limit` operations of what fulfils the conditions, and whether there are more.

    `ends`: the conditions may have kept ends of sessions away; they are looked for. `place`: newest ones only after it.
    `widely`: the conditions may fit many records; their times are looked for first, so that little else is read.
    """
    where, params = [*where], [*params]
    if place is not None:
        clause, values = place.beyond("audit")
        where, params, ends = [*where, clause], [*params, *values], True
    sql = f"SELECT {_SELECT} FROM audit WHERE {' AND '.join(where) or 'true'} "  # noqa: S608
    order = f"ORDER BY ts {'' if ascending else 'DESC'}"
    most = limit + 1 + limit // 3  # room for sessions, which have two stages
    while True:
        edge, values = "", [*params]
        if widely:
            times = f"SELECT epoch_us(ts) AS t FROM audit WHERE {' AND '.join(where) or 'true'} {order} LIMIT {most}"  # noqa: S608
            found_edge = session.query(f"SELECT {'max' if ascending else 'min'}(t) FROM ({times})", params)  # noqa: S608
            edge = f"AND ts {'<=' if ascending else '>='} make_timestamp(?) "
            values.append(found_edge[0][0] if found_edge else None)
        records = [row_of(v) for v in session.query(f"{sql}{edge}{order}, {BY_KEY} LIMIT {most}", values)]
        found = operations(records, ascending=ascending)
        if ends and (still_open := [r for r in found if r.course is not None and r.course.ended is None]):
            found = operations([*records, *_ends(session, still_open)], ascending=ascending)
        if place is not None:  # sessions that ended later were in a page before
            found = [r for r in found if place.before(r.place)]
        if len(records) < most or len(found) > limit:
            return found[:limit], len(found) > limit
        most *= MOST_STAGES


def _ends(session: Session, still_open: list[AuditRow]) -> list[AuditRow]:
    """The last stages of operations whose first ones are known."""
    known = {operation_of(r) for r in still_open}
    found = []
    for begin in range(0, len(still_open), MOST_OPEN):
        where, params = ends_of(still_open[begin : begin + MOST_OPEN])
        sql = f"SELECT {_SELECT} FROM audit WHERE {' AND '.join(where)}"  # noqa: S608
        found += [r for v in session.query(sql, params) if operation_of(r := row_of(v)) in known]
    return found


def began_open(rows: Iterable[AuditRow]) -> list[int]:
    """When those of them that are open sessions began."""
    return [r.received for r in rows if r.course is not None and r.course.open]


def line(r: AuditRow, seen: Sequence[Review] = (), recorded: Window | None = None) -> TimelineRow:
    """The operation as one line. `seen`: the admission reviews that were joined with it; `recorded`: see `told`."""
    kind = kind_of_resource(r.resource, r.group) if r.resource else ""
    action = action_text(r.verb, r.resource, r.subresource)
    namespace = "" if r.resource == "namespaces" else r.namespace
    target = object_text(kind, namespace, r.name) or r.uri
    course = r.course or course_of([r])
    return TimelineRow(
        format_us(r.when),
        "audit",
        r.user or None,
        action,
        target,
        f"{r.code or ''} {r.reason}".strip() or r.stage,
        1,
        _summary(r, action, target, course, seen, recorded),
        f"audit:{r.cluster}/{r.audit_id}/{r.stage}",
        until=format_us(course.ended) if course.streams and course.ended is not None else None,
        duration_ms=course.lasted / 1000 if course.lasted is not None else None,
        stages=list(course.stages),
        joined=[Joined(v.id) for v in seen],
    )


def _summary(
    r: AuditRow, action: str, target: str, course: Course, seen: Sequence[Review], recorded: Window | None
) -> str:
    acting = f" (acting as {r.acting_as})" if r.acting_as else ""
    said = f"{r.user or 'anonymous'}{acting} {action} {target}"
    command = command_of(r.uri) if r.subresource == "exec" else ""
    said += f" ({command!r})" if command else ""
    if r.code >= 400 and not course.streams:
        said += f": refused, {f'{r.code} {r.reason}'.strip()}" + (f" ({r.message})" if r.message else "")
    if r.dry_run:
        said += " (dry run)"
    elif any(v.dry_run for v in seen):
        said += " (dry run, says its admission review)"
    if "audit-id-reused" in r.flags:
        said += " (auditID reused)"
    if seen:
        said += " (also seen at admission)"
    if r.course is None and course.ended is None:  # a record by itself: what came after it is not looked for
        return said + _STAGE_SAYS.get(r.stage, "")
    return said + told(course, recorded)
