"""What is to be seen to in an audit policy: secrets that it has recorded, what it leaves out, what it says twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from kubewitness.questions.operations import COMPLETE, LONG_RUNNING, PANIC, RECEIVED, STARTED
from kubewitness.questions.policy.cells import Cell
from kubewitness.questions.policy.rules import LEVELS

#: (group, resource, subresource) whose bodies hold secrets
_SECRET = (
    ("", "secrets", ""),
    ("", "configmaps", ""),
    ("", "serviceaccounts", "token"),
    ("authentication.k8s.io", "tokenreviews", ""),
)
_SENDS = ("create", "update", "patch")


class Remark(msgspec.Struct):
    """Something to see to. `words`: a search for the records meant."""

    kind: Literal["danger", "missing", "waste"]
    sentence: str
    mend: str
    words: list[str] = msgspec.field(default_factory=list)


def of(found: Sequence[Cell]) -> list[Remark]:
    """What to see to, the gravest first."""
    return [*_dangers(found), *_gaps(found), *_waste(found)]


def _dangers(found: Sequence[Cell]) -> list[Remark]:
    remarks = []
    for what in _SECRET:
        bodies = [c for c in found if c.what == what and _has_body(c)]
        if not bodies:
            continue
        name = "/".join(p for p in what[1:] if p)
        kept = "" if name == "configmaps" else "; kubewitness keeps their values as REDACTED, but"
        n = sum(c.records for c in bodies)
        remarks.append(
            Remark(
                "danger",
                f"{n} records of {name} were made with bodies{kept or ';'} whatever else receives the audit trail "
                "(a file, another webhook, a backup) has them in plain text.",
                f"level Metadata for {name}, before any rule with bodies",
                [f"resource={what[1]}", f"subresource={what[2]}", "level=Request,RequestResponse", "source=audit"],
            )
        )
    return remarks


def _has_body(cell: Cell) -> bool:
    """The first stage has none yet, a watch never; reads and deletions have none of their own but are answered."""
    if cell.stage == RECEIVED or cell.verb == "watch":
        return False
    return cell.level == "RequestResponse" or (cell.level == "Request" and cell.verb in _SENDS)


def _gaps(found: Sequence[Cell]) -> list[Remark]:
    remarks = []
    stages = {c.stage for c in found if c.resource}
    if stages and not stages & {COMPLETE, PANIC}:
        remarks.append(
            Remark(
                "missing",
                "No request's end is recorded: what came of it is unknown.",
                "no omitStages: ResponseComplete",
            )
        )
    sessions = [c for c in found if c.verb == "watch" or c.subresource in LONG_RUNNING]
    if sessions and not any(c.stage == STARTED for c in sessions):
        remarks.append(
            Remark(
                "missing",
                "No session's beginning is recorded: an exec or a port-forward shows only once it has ended.",
                "no omitStages: ResponseStarted",
            )
        )
    if cut := sum(c.truncated for c in found):
        remarks.append(
            Remark(
                "missing",
                f"{cut} records were too large for the API server's limit, so that it left out their bodies.",
                "--audit-log-truncate-max-event-size, --audit-webhook-truncate-max-event-size",
                ["annotations~audit.k8s.io/truncated"],
            )
        )
    if any(c.level not in LEVELS for c in found):
        remarks.append(Remark("missing", "Some records do not tell their level, as the exports of some clouds do.", ""))
    return remarks


def _waste(found: Sequence[Cell]) -> list[Remark]:
    first = [c for c in found if c.stage == RECEIVED]
    if not first:
        return []
    n, size = sum(c.records for c in first), sum(c.bytes for c in first)
    part = 100 * size / max(1, sum(c.bytes for c in found))
    return [
        Remark(
            "waste",
            f"{n} records ({part:.0f} % of the bytes) are of stage RequestReceived: each is said again with its "
            "outcome. They tell only of requests that were never answered.",
            "omitStages: [RequestReceived]",
            [f"stage={RECEIVED}"],
        )
    ]
