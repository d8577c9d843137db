"""Which write changed which field: the differences between an object's versions, each with its author."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions.bodies import Path, changes, everything
from kubewitness.questions.facts import Facts, Request
from kubewitness.questions.lives import Life
from kubewitness.questions.model import Certainty, FieldChange
from kubewitness.questions.rebuild import Version, versions_of
from kubewitness.questions.rebuild.managers import manager_of, webhook_of

_FOREVER = 1 << 62


class Step(msgspec.Struct):
    """What lies between two known versions. More than one write: nobody knows which of them changed what."""

    before: Any
    after: Version
    writes: list[Request]
    found: list[tuple[Path, Any, Any]]


def steps_of(versions: Sequence[Version], start: Any, *, everything_too: bool = False) -> list[Step]:
    """The steps after a known body. Unknown versions are part of the step that ends at the next known one."""
    compare = everything if everything_too else changes
    steps: list[Step] = []
    passed: list[Request] = []
    for version in versions:
        if version.request is not None:
            passed.append(version.request)
        if version.body is None:
            continue
        found = compare(start, version.body)
        if found:
            steps.append(Step(start, version, passed, found))
        start, passed = version.body, []
    return steps


def changed_by(facts: Facts, life: Life, request_id: str) -> list[FieldChange]:
    """The fields that one request changed; empty when no body tells."""
    versions = versions_of(facts, life, _FOREVER)
    at = next((n for n, v in enumerate(versions) if v.id == request_id), None)
    if at is None or versions[at].body is None or not any(v.body is not None for v in versions[:at]):
        return []
    first = max(n for n, v in enumerate(versions[:at]) if v.body is not None)
    steps = steps_of(versions[first + 1 : at + 1], versions[first].body)
    return [change for step in steps for change in field_changes(step)]


def field_changes(step: Step, paths: Sequence[tuple[Path, Any, Any]] | None = None) -> list[FieldChange]:
    """A step's changes with their author: its only write; of several, the last, as `inferred`; or nobody's."""
    writes = step.writes
    author = writes[-1] if writes else None
    own = step.after.request is not None and len(writes) == 1
    certainty: Certainty = "proved" if own and not step.after.doubt else "inferred" if author else "unknown"
    return [_field(step, author, certainty, *change) for change in (step.found if paths is None else paths)]


def _field(step: Step, author: Request | None, certainty: Certainty, path: Path, old: Any, new: Any) -> FieldChange:
    # managedFields of a rebuilt body are those of the version before
    manager = manager_of(step.after.body, path) if new is not None and step.after.whole else None
    when = format_us(author.ts if author is not None else step.after.when)
    evidence = list(dict.fromkeys([*(w.id for w in reversed(step.writes)), step.after.id]))
    return FieldChange(
        path=list(path),
        field=".".join(path),
        old=old,
        new=new,
        user=(author.user or None) if author else None,
        acting_as=(author.acting_as or None) if author else None,
        manager=manager or (_claimed(author) if author else None),
        webhook=webhook_of(author.annotations, path) if author else None,
        when=when,
        certainty=certainty,
        evidence=evidence,
    )


def _claimed(request: Request) -> str | None:
    """The manager that the request names; without one, the API server takes the user agent's first word."""
    said = parse_qs(urlsplit(request.uri).query).get("fieldManager", [""])[0]
    return said or request.user_agent.partition("/")[0] or None
