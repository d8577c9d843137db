"""What `who` needs from the audit trail to prove its answers (docs/who.md), and how far what is recorded goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from kubewitness.formats.scope import Scope
from kubewitness.questions.facts import WRITES as OF_ONE
from kubewitness.questions.facts import Session
from kubewitness.questions.operations import RECEIVED
from kubewitness.questions.policy.cells import Cell
from kubewitness.questions.policy.rules import LEVELS
from kubewitness.questions.times import Window

Met = Literal["met", "part", "lower", "left-out", "unseen"]
What = tuple[str, str, str]

WRITES = (*OF_ONE, "deletecollection")
_READS = ("get", "list", "watch")
_CHANGES = ("update", "patch")


class Need(msgspec.Struct, frozen=True):
    """`what`: (group, resource, subresource) each. `events`: reasons of Events, and kinds of their objects, that tell
    that such a request was made."""

    what: tuple[What, ...]
    verbs: Sequence[str]
    level: str
    purpose: str
    events: tuple[tuple[str, str], ...] = ()


def _apps(*names: str) -> tuple[What, ...]:
    return tuple(("apps", name, sub) for name in names for sub in ("", "scale") if not sub or name != "daemonsets")


_RBAC = "rbac.authorization.k8s.io"
_MAKERS = ("ReplicaSet", "StatefulSet", "DaemonSet", "Job")

NEEDS = (
    Need(
        (("", "pods", ""),),
        WRITES,
        "RequestResponse",
        "which ReplicaSet, StatefulSet or Job a pod belonged to: rollouts, scalings, jobs",
        tuple((reason, kind) for reason in ("SuccessfulCreate", "SuccessfulDelete") for kind in _MAKERS),
    ),
    Need((("", "pods", "eviction"),), ("create",), "Metadata", "drains and other evictions"),
    Need(
        (("", "pods", "binding"),),
        ("create",),
        "Request",
        "which node a pod was on: whether its eviction was part of a drain",
        (("Scheduled", "Pod"),),
    ),
    Need(
        (("", "pods", "status"),),
        _CHANGES,
        "Request",
        "containers that ended by themselves, pods that their node ended",
        (("Started", "Pod"),),
    ),
    Need(
        _apps("deployments", "replicasets"),
        WRITES,
        "RequestResponse",
        "rollouts, rollbacks, restarts and scalings",
        (("ScalingReplicaSet", "Deployment"),),
    ),
    Need(_apps("statefulsets", "daemonsets"), WRITES, "RequestResponse", "changes of StatefulSets and DaemonSets"),
    Need((("batch", "jobs", ""), ("batch", "cronjobs", "")), WRITES, "RequestResponse", "jobs, their ends and limits"),
    Need((("autoscaling", "horizontalpodautoscalers", ""),), WRITES, "Request", "autoscalers and their limits"),
    Need((("", "nodes", ""),), WRITES, "Request", "cordons, drains and taints"),
    Need(
        (("", "nodes", "status"),),
        _CHANGES,
        "Request",
        "nodes that were lost or came back",
        (("NodeNotReady", "Node"), ("NodeReady", "Node")),
    ),
    Need((("", "namespaces", ""),), ("create", "delete"), "Metadata", "namespaces that were deleted"),
    Need(
        tuple((_RBAC, r, "") for r in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")),
        WRITES,
        "Request",
        "which right a change of a role or binding gave",
    ),
    Need(
        tuple(("", "pods", s) for s in ("exec", "attach", "portforward")),
        ("get", "create"),
        "Metadata",
        "who ran something in a container",
    ),
    Need((("", "secrets", ""),), (*_READS, *WRITES), "Metadata", "who read or changed a secret"),
    Need((("", "serviceaccounts", "token"),), ("create",), "Metadata", "who got a token for a service account"),
)


class NeedAnswer(msgspec.Struct):
    """`state`: met; part and lower, where some or all was recorded at a lower level; left-out, where other records tell
    that it happened (`sign`), but the audit trail does not; unseen, where nothing tells. `levels`: records at each."""

    resources: list[str]
    verbs: list[str]
    level: str
    purpose: str
    state: Met
    records: int
    levels: dict[str, int]
    sign: str | None = None


def judged(session: Session, cluster: str, window: Window, found: Sequence[Cell]) -> list[NeedAnswer]:
    """Every need, and how far it is met by what was counted. What may not be read is not judged: it is hidden, and not
    missing."""
    signs = _signs(session, cluster, window)
    readable = [_readable(need, session.scope) for need in NEEDS]
    return [_judge(need, found, signs) for need in readable if need.what]


def _readable(need: Need, scope: Scope | None) -> Need:
    what = tuple(w for w in need.what if scope is None or scope.reads(*w[:2]))
    return msgspec.structs.replace(need, what=what)


def _judge(need: Need, found: Sequence[Cell], signs: dict[tuple[str, str], int]) -> NeedAnswer:
    levels: dict[str, int] = {}
    for cell in found:
        if cell.what in need.what and cell.verb in need.verbs and cell.stage != RECEIVED:
            levels[cell.level] = levels.get(cell.level, 0) + cell.records
    total = sum(levels.values())
    enough = sum(n for level, n in levels.items() if not _below(level, need.level))
    state: Met = "unseen" if not total else "met" if enough == total else "part" if enough else "lower"
    sign = None
    told = [(reason, signs[reason, kind]) for reason, kind in need.events if (reason, kind) in signs]
    if state == "unseen" and told:
        state = "left-out"
        said: dict[str, int] = {}
        for reason, n in told:
            said[reason] = said.get(reason, 0) + n
        sign = "Events tell of it: " + ", ".join(f"{n} × {reason}" for reason, n in sorted(said.items()))
    names = [_named(w) for w in need.what]
    return NeedAnswer(names, list(need.verbs), need.level, need.purpose, state, total, levels, sign)


def _below(level: str, wanted: str) -> bool:
    """A level that is not told (clouds leave it out) counts as too low: no body can be counted on."""
    return level not in LEVELS or LEVELS.index(level) < LEVELS.index(wanted)


def _named(what: What) -> str:
    group, resource, subresource = what
    return ".".join(p for p in (resource, group) if p) + (f"/{subresource}" if subresource else "")


def _signs(session: Session, cluster: str, window: Window) -> dict[tuple[str, str], int]:
    """How often Events tell of what needs ask for: (reason, kind) -> occurrences."""
    pairs = {pair for need in NEEDS for pair in need.events}
    where = ["cluster = ?", "change <> 'EXPIRED'", f"reason IN ({', '.join('?' * len(pairs))})"]
    params: list[object] = [cluster, *sorted(reason for reason, _ in pairs)]
    window.conditions(where, params)
    sql = (
        "SELECT reason, coalesce(kind, ''), sum(coalesce(count_delta, 1))::BIGINT FROM events "  # noqa: S608
        f"WHERE {' AND '.join(where)} GROUP BY ALL"
    )
    return {(r, k): int(n) for r, k, n in session.query(sql, params) if (r, k) in pairs}
