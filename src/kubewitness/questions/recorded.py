"""Which resources anything was recorded of, and in which namespaces."""

from __future__ import annotations

from kubewitness.questions.facts import Session

#: (namespace, group, plural)
Place = tuple[str, str, str]

_SAME = "coalesce(namespace, '') AS s, coalesce(api_group, '') AS g, coalesce(resource, '') AS r"
_EACH = (
    ("audit", _SAME),
    ("objects", _SAME),
    ("admission", _SAME),
    ("events", _SAME),
    ("events", "coalesce(event_namespace, '') AS s, '' AS g, 'events' AS r"),
    ("logs", "coalesce(namespace, '') AS s, '' AS g, 'pods' AS r"),
)
_MOST = 100_000


def places(session: Session, cluster: str) -> frozenset[Place]:
    """All of them, of one cluster."""
    each = [f"SELECT DISTINCT {columns} FROM {table} WHERE cluster = ?" for table, columns in _EACH]  # noqa: S608
    sql = f"SELECT DISTINCT s, g, r FROM ({' UNION ALL '.join(each)}) WHERE r <> '' LIMIT {_MOST}"  # noqa: S608
    return frozenset((str(s), str(g), str(r)) for s, g, r in session.query(sql, [cluster] * len(each)))
