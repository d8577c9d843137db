"""Who did what to some objects, one row a deed: the audit trail's operations, each with the admission reviews that saw
the same, and the reviews that no audit record tells of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubewitness.questions import auditrows, coverage, reviews
from kubewitness.questions.auditrows import AuditRow
from kubewitness.questions.facts import Facts
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.operations import LONGEST_US, SESSIONS, STARTED, operation_of
from kubewitness.questions.paging import BY_KEY, Place
from kubewitness.questions.reviews import Review, review_of
from kubewitness.questions.times import Window
from kubewitness.questions.views import review_line

_NO_READS = (
    "(verb NOT IN ('get', 'list', 'watch') OR code >= 400 OR resource = 'secrets' "
    f"OR coalesce(subresource, '') IN ('proxy', {', '.join(repr(s) for s in SESSIONS)}))"
)


def of(
    facts: Facts, keys: Sequence[int], window: Window, limit: int, *, reads: bool, place: Place | None = None
) -> list[tuple[Place, TimelineRow]]:
    """The newest deeds about the objects of these keys, those after a place, at least `limit` where there are as many;
    each with where it stands."""
    where, params = [f"object_key IN ({', '.join('?' * len(keys))})"], [*keys]
    operations = _operations(facts, where, params, window, limit, reads=reads, place=place)
    seen = reviews.join(operations, _reviews(facts, where, params, window, limit, place))
    recorded = coverage.unbroken(facts, auditrows.began_open(operations))
    found = [(r.place, auditrows.line(r, seen.of[i], recorded)) for i, r in enumerate(operations)]
    return found + [(review.place, review_line(review, fitting)) for review, fitting in seen.alone]


def _operations(
    facts: Facts,
    where: list[str],
    params: list[Any],
    window: Window,
    limit: int,
    *,
    reads: bool,
    place: Place | None,
) -> list[AuditRow]:
    asked = where if reads else [*where, _NO_READS]
    inside, values = [*asked], [*params]
    window.conditions(inside, values)
    # one more than asked for tells that there are more
    ends = window.until is not None
    found, _ = auditrows.fetch(facts.session, inside, values, limit + 1, ends=ends, place=place)
    if window.since is not None:
        going_on = _going_on(facts, asked, params, window.since, {operation_of(r) for r in found}, limit)
        found += [r for r in going_on if place is None or place.before(r.place)]
    return found


def _going_on(
    facts: Facts, where: list[str], params: list[Any], since: int, known: set[Any], limit: int
) -> list[AuditRow]:
    """Sessions that had begun before `since`, and not ended by then."""
    before, values = [*where, f"stage = '{STARTED}'", "code < 400"], [*params]
    Window(since - LONGEST_US, since - 1).conditions(before, values)
    rows, _ = auditrows.fetch(facts.session, before, values, limit, ends=True)
    return [r for r in rows if operation_of(r) not in known and (r.course is None or r.course.open or r.ts >= since)]


def _reviews(
    facts: Facts, where: list[str], params: list[Any], window: Window, limit: int, place: Place | None
) -> list[Review]:
    where, params = [*where], [*params]
    window.conditions(where, params)
    if place is not None:
        clause, values = place.beyond("admission")
        where, params = [*where, clause], [*params, *values]
    sql = (
        f"SELECT {reviews.SELECT} FROM admission WHERE {' AND '.join(where)} "  # noqa: S608
        f"ORDER BY ts DESC, {BY_KEY} LIMIT {limit + 1}"
    )
    return [review_of(row) for row in facts.session.query(sql, params)]
