"""Which audit policy is in effect, as its records show it: what is seen at which level, its cost, what `who` misses.

Only what was recorded can be counted. Level None leaves no trace: what is not seen may not have happened.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions.facts import Session
from kubewitness.questions.policy import needs, remarks, suggestion
from kubewitness.questions.policy.cells import Cell, Noise, askers, cells, span
from kubewitness.questions.policy.needs import NeedAnswer
from kubewitness.questions.policy.remarks import Remark
from kubewitness.questions.policy.suggestion import Suggestion
from kubewitness.questions.times import Window

#: a policy in effect is that of the last day, unless a window is asked for
_DAY_US = 86_400_000_000
_MOST_RESOURCES = 2_000
_MOST_ASKERS = 15


class PolicyQuestion(msgspec.Struct):
    """Times in microseconds UTC. Without `since`: the last day that was recorded, up to `until`."""

    cluster: str
    since: int | None = None
    until: int | None = None


class Counted(msgspec.Struct):
    """Of one level or stage: `name` "" where the records do not tell it (some clouds leave the level out)."""

    name: str
    records: int = 0
    bytes: int = 0


class VerbSeen(msgspec.Struct):
    """`levels` and `stages`: records of each; `kinds`: records by kind of user."""

    verb: str
    records: int
    bytes: int
    levels: dict[str, int]
    stages: dict[str, int]
    kinds: dict[str, int]


class ResourceSeen(msgspec.Struct):
    """`resource` "" and `path`: requests for no resource."""

    group: str
    resource: str
    subresource: str
    path: str
    records: int
    bytes: int
    verbs: list[VerbSeen]


class PolicyAnswer(msgspec.Struct):
    """`since`, `until`: first and last record of what was counted. `bytes`: as the API server wrote the records.
    `missing`: what the records cannot tell of the policy."""

    cluster: str
    since: str | None
    until: str | None
    records: int
    bytes: int
    levels: list[Counted]
    stages: list[Counted]
    resources: list[ResourceSeen]
    more_resources: int
    needs: list[NeedAnswer]
    remarks: list[Remark]
    noise: list[Noise]
    suggestion: Suggestion
    missing: list[str] = msgspec.field(default_factory=list)


def ask(session: Session, question: PolicyQuestion) -> PolicyAnswer:
    window = _window(session, question)
    found = cells(session, question.cluster, window, suggestion.users())
    loud = askers(session, question.cluster, window)
    times = span(session, question.cluster, window)
    resources = _resources(found)
    return PolicyAnswer(
        question.cluster,
        format_us(times[0]) if times else None,
        format_us(times[1]) if times else None,
        sum(c.records for c in found),
        sum(c.bytes for c in found),
        _counted(found, "level"),
        _counted(found, "stage"),
        resources[:_MOST_RESOURCES],
        max(0, len(resources) - _MOST_RESOURCES),
        needs.judged(session, question.cluster, window, found),
        remarks.of(found),
        loud[:_MOST_ASKERS],
        suggestion.suggested(found, loud),
        _missing(question.cluster, found),
    )


def _window(session: Session, question: PolicyQuestion) -> Window:
    if question.since is not None:
        return Window(question.since, question.until)
    times = span(session, question.cluster, Window(None, question.until))
    return Window(times[1] - _DAY_US if times else None, question.until)


def _counted(found: Sequence[Cell], field: str) -> list[Counted]:
    counted: dict[str, Counted] = {}
    for cell in found:
        name = getattr(cell, field)
        one = counted.setdefault(name, Counted(name))
        one.records += cell.records
        one.bytes += cell.bytes
    return sorted(counted.values(), key=lambda c: -c.records)


def _resources(found: Sequence[Cell]) -> list[ResourceSeen]:
    """Largest first."""
    seen: dict[tuple[str, ...], ResourceSeen] = {}
    for cell in found:
        key = (*cell.what, cell.path)
        one = seen.setdefault(key, ResourceSeen(*cell.what, cell.path, 0, 0, []))
        one.records += cell.records
        one.bytes += cell.bytes
        verb = next((v for v in one.verbs if v.verb == cell.verb), None)
        if verb is None:
            verb = VerbSeen(cell.verb, 0, 0, {}, {}, {})
            one.verbs.append(verb)
        verb.records += cell.records
        verb.bytes += cell.bytes
        for counts, name in ((verb.levels, cell.level), (verb.stages, cell.stage), (verb.kinds, cell.kind)):
            counts[name] = counts.get(name, 0) + cell.records
    for one in seen.values():
        one.verbs.sort(key=lambda v: v.verb)
    return sorted(seen.values(), key=lambda r: -r.bytes)


def _missing(cluster: str, found: Sequence[Cell]) -> list[str]:
    if not found:
        return [f"any audit record of cluster {cluster!r} in that time"]
    return [
        "the policy itself: this is what its records show. Level None leaves none, so what is not seen was either "
        "not asked for or not recorded",
        "whether a rule is about some users or namespaces only: those that asked are shown, not those that did not",
    ]
