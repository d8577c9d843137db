"""Which rows of a table a scope lets through, as a condition on its columns."""

from __future__ import annotations

from collections.abc import Iterable

from kubewitness.formats.scope import POD_LOGS, Scope
from kubewitness.store.quoting import quoted

_EVENT = ("", "events")


def condition(table: str, scope: Scope) -> str:
    """The WHERE condition. What a table does not tell the resource of (rejects, findings) is for those only who may
    read everything of the cluster. An Event needs the right to read Events where it is, and what it is about."""
    cluster = f"cluster = {quoted(scope.cluster)}"
    if scope.everything:
        return cluster
    if table in ("audit", "objects", "admission"):
        return f"{cluster} AND {_allowed(scope, 'namespace')}"
    if table == "events":
        return f"{cluster} AND {_fixed(scope, 'event_namespace', *_EVENT)} AND {_allowed(scope, 'namespace')}"
    if table == "logs":
        pods, logs = _fixed(scope, "namespace", "", "pods"), _fixed(scope, "namespace", "", POD_LOGS)
        return f"{cluster} AND {pods} AND {logs}"
    return "false"


def _allowed(scope: Scope, namespace: str) -> str:
    """The row's own resource may be read: everywhere, or in the row's namespace. No part of a name holds a slash."""
    kind = "coalesce(resource, '') || '.' || coalesce(api_group, '')"
    anywhere = _in(kind, (f"{resource}.{group}" for group, resource in scope.anywhere))
    within = _in(
        f"coalesce({namespace}, '') || '/' || {kind}",
        (f"{space}/{resource}.{group}" for space, group, resource in scope.within if space),
    )
    return f"(coalesce(resource, '') <> '' AND ({anywhere} OR {within}))"


def _fixed(scope: Scope, namespace: str, group: str, resource: str) -> str:
    """One resource may be read in the row's namespace."""
    if (group, resource) in scope.anywhere:
        return "true"
    spaces = (space for space, g, r in scope.within if (g, r) == (group, resource) and space)
    return _in(f"coalesce({namespace}, '')", spaces)


def _in(expression: str, values: Iterable[str]) -> str:
    listed = sorted(set(values))
    return f"({expression} IN ({', '.join(map(quoted, listed))}))" if listed else "false"
