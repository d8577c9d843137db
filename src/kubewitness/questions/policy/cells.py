"""What the audit trail holds, counted: a row for each kind of request, level and stage. All else is made from these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kubewitness.questions.facts import Session
from kubewitness.questions.policy.rules import Asked
from kubewitness.questions.times import Window

#: stands for all nodes' kubelets, which are many and do the same
NODES = "system:nodes"
_MOST_CELLS = 50_000
_MOST_ASKERS = 500
_TRUNCATED = "audit.k8s.io/truncated"
#: groups that a user is in by name (k8s.io/apiserver pkg/authentication)
_GROUPS = {"node": (NODES,), "serviceaccount": ("system:serviceaccounts",)}


class Cell(msgspec.Struct, frozen=True):
    """`user`: only of those that a policy was asked about by name. `path`: the first part, of requests for no resource.
    `bytes` of the records as the API server wrote them; `truncated`: records whose bodies were too large for it."""

    group: str
    resource: str
    subresource: str
    verb: str
    level: str
    stage: str
    kind: str
    user: str
    path: str
    records: int
    bytes: int
    truncated: int

    @property
    def asked(self) -> Asked:
        groups = _GROUPS.get(self.kind, ())
        return Asked(
            self.verb,
            self.group,
            self.resource,
            self.subresource,
            path=self.path,
            user=self.user,
            groups=groups,
        )

    @property
    def what(self) -> tuple[str, str, str]:
        return self.group, self.resource, self.subresource


class Noise(msgspec.Struct, frozen=True):
    """How much one user has recorded with one kind of request. `user` system:nodes: all nodes' kubelets together."""

    user: str
    kind: str
    verb: str
    group: str
    resource: str
    subresource: str
    records: int
    bytes: int


_FIRST_PART = "'/' || split_part(split_part(uri, '?', 1), '/', 2)"
_WHAT = (
    "coalesce(api_group, '') AS g, coalesce(resource, '') AS r, coalesce(subresource, '') AS s, coalesce(verb, '') AS v"
)


def cells(session: Session, cluster: str, window: Window, users: Sequence[str]) -> list[Cell]:
    """`users`: whose requests are counted apart."""
    named = f'"user" IN ({", ".join("?" * len(users))})' if users else "false"
    where, params = _where(cluster, window)
    sql = (
        f"SELECT {_WHAT}, coalesce(level, '') AS l, coalesce(stage, '') AS st, coalesce(user_kind, '') AS k, "  # noqa: S608
        f"CASE WHEN {named} THEN \"user\" ELSE '' END AS u, "
        f"CASE WHEN coalesce(resource, '') = '' THEN {_FIRST_PART} ELSE '' END AS p, "
        "count(*), coalesce(sum(raw_len), 0)::BIGINT, "
        f"count(*) FILTER (contains(annotations, '{_TRUNCATED}')) "
        f"FROM audit WHERE {where} GROUP BY ALL LIMIT {_MOST_CELLS}"
    )
    return [Cell(*row) for row in session.query(sql, [*users, *params])]


def askers(session: Session, cluster: str, window: Window) -> list[Noise]:
    """Who has most recorded, by bytes."""
    where, params = _where(cluster, window)
    sql = (
        f"SELECT CASE WHEN user_kind = 'node' THEN '{NODES}' ELSE \"user\" END AS u, coalesce(user_kind, '') AS k, "  # noqa: S608
        "v, g, r, s, count(*), coalesce(sum(raw_len), 0)::BIGINT AS b "
        f'FROM (SELECT "user", user_kind, raw_len, {_WHAT} FROM audit WHERE {where}) '
        f"GROUP BY ALL ORDER BY b DESC, u, v, g, r, s LIMIT {_MOST_ASKERS}"
    )
    return [Noise(u or "", k, v, g, r, s, n, b) for u, k, v, g, r, s, n, b in session.query(sql, params)]


def span(session: Session, cluster: str, window: Window) -> tuple[int, int] | None:
    """The times of the first and the last record, microseconds UTC; None where there is none."""
    where, params = _where(cluster, window)
    first, last = session.query(f"SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM audit WHERE {where}", params)[0]  # noqa: S608
    return None if first is None else (int(first), int(last))


def _where(cluster: str, window: Window) -> tuple[str, list[Any]]:
    where: list[str] = ["cluster = ?"]
    params: list[Any] = [cluster]
    window.conditions(where, params)
    return " AND ".join(where), params
