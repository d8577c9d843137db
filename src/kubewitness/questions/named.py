"""Recorded objects by (the beginning of) their name, latest first."""

from __future__ import annotations

import msgspec

from kubewitness.formats.names import find_resource, kind_of_resource
from kubewitness.questions.facts import Session
from kubewitness.questions.targets import Ref

#: what is named in the audit trail by the thousand, and seldom asked for
_SELDOM = ("events", "leases", "tokenreviews", "subjectaccessreviews")


class Named(msgspec.Struct, frozen=True):
    """`last`: when it was last heard of, microseconds UTC; `count`: of how many records."""

    ref: Ref
    last: int
    count: int

    @property
    def words(self) -> str:
        """As it is typed: `pod/web-7 -n shop`, `widgets.example.com/w -n shop`."""
        resource = find_resource(self.ref.resource)
        kind = self.ref.kind_name.lower()
        if resource.group != self.ref.group or not self.ref.kind_name:
            kind = f"{self.ref.resource}.{self.ref.group}" if self.ref.group else self.ref.resource
        return f"{kind}/{self.ref.name}" + (f" -n {self.ref.namespace}" if self.ref.namespace else "")


def objects(
    session: Session,
    name: str,
    *,
    exact: bool = False,
    kind: str = "",
    namespace: str = "",
    cluster: str = "",
    limit: int = 20,
) -> list[Named]:
    """Objects whose name is, or begins with, `name`; of one kind (any word kubectl takes), namespace, cluster."""
    conditions, params = [], []
    if exact:
        conditions.append("name = ?")
        params.append(name)
    elif name:
        conditions.append("starts_with(name, ?)")
        params.append(name)
    if kind:
        conditions.append("resource = ?")
        params.append(find_resource(kind).resource)
    else:
        conditions.append(f"resource NOT IN ({', '.join(repr(r) for r in _SELDOM)})")
    if namespace:
        conditions.append("namespace = ?")
        params.append(namespace)
    if cluster:
        conditions.append("cluster = ?")
        params.append(cluster)
    where = " AND ".join(conditions)
    each = [
        "SELECT cluster, api_group, resource, '' AS kind, namespace, name, ts FROM audit "  # noqa: S608
        f"WHERE {where} AND name <> ''",
        "SELECT cluster, api_group, resource, kind, namespace, object_name AS name, ts FROM events "  # noqa: S608
        f"WHERE {where.replace('name = ?', 'object_name = ?').replace('(name,', '(object_name,')} AND resource <> ''",
        "SELECT cluster, api_group, resource, kind, namespace, name, ts FROM objects "  # noqa: S608
        f"WHERE {where} AND name <> ''",
    ]
    sql = (
        "SELECT cluster, coalesce(api_group, ''), resource, any_value(nullif(kind, '')), "  # noqa: S608
        "CASE WHEN resource = 'namespaces' THEN '' ELSE coalesce(namespace, '') END AS space, name, "
        f"epoch_us(max(ts)), count(*) FROM ({' UNION ALL '.join(each)}) "
        f"GROUP BY cluster, 2, resource, space, name ORDER BY 7 DESC, name LIMIT {int(limit)}"
    )
    found = []
    for place, group, resource, said, space, full, last, count in session.query(sql, params * len(each)):
        ref = Ref(place, group, resource, space, full, said or kind_of_resource(resource, group))
        found.append(Named(ref, int(last), int(count)))
    return found
