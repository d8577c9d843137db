"""The RBAC objects as they were at a time: bindings and roles, each with its versions, rebuilt from the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kubewitness.questions.facts import Facts
from kubewitness.questions.granted.rbac import GROUP
from kubewitness.questions.lives import choose, lives_of
from kubewitness.questions.rebuild import Version, versions_of
from kubewitness.questions.targets import Ref

_KINDS = {
    "clusterrolebindings": "ClusterRoleBinding",
    "rolebindings": "RoleBinding",
    "clusterroles": "ClusterRole",
    "roles": "Role",
}
_MOST = 5000


class Known(msgspec.Struct):
    """One object at the time asked for. `body` None: not recorded."""

    ref: Ref
    versions: list[Version]
    body: Any = None
    #: the delete, when it was gone by then
    ended: Version | None = None
    #: whether a later write without a body, or a doubt, makes the body unsure
    unsure: bool = False

    def began(self, holds: Callable[[Any], bool]) -> Version | None:
        """The write from which on the body held something without a break; None when it did so all along."""
        begin: Version | None = None
        for version in self.versions:
            if version.body is None:
                continue
            if not holds(version.body):
                begin = None
            elif begin is None:
                begin = version
        return begin


class Objects:
    """RBAC objects of one cluster up to a time."""

    def __init__(self, facts: Facts, until: int) -> None:
        self._facts, self._until = facts, until
        self._known: dict[Ref, Known] = {}

    def bindings(self, namespace: str) -> list[Known]:
        """All cluster role bindings, and the role bindings of a namespace ("" for none), gone ones too."""
        refs = self._names("clusterrolebindings", "")
        if namespace:
            refs += self._names("rolebindings", namespace)
        return self._all(refs)

    def cluster_roles(self) -> list[Known]:
        return self._all(self._names("clusterroles", ""))

    def named(self, kind: str, namespace: str, name: str) -> Known:
        """One object; with no versions when nothing was recorded of it."""
        resource = next(r for r, k in _KINDS.items() if k == kind)
        return self._at(self._ref(resource, "" if kind.startswith("Cluster") else namespace, name))

    def _ref(self, resource: str, namespace: str, name: str) -> Ref:
        return Ref(self._facts.cluster, GROUP, resource, namespace, name, _KINDS[resource])

    def _names(self, resource: str, namespace: str) -> list[Ref]:
        found: dict[str, None] = {}
        for table in ("audit", "objects"):
            sql = (
                f"SELECT DISTINCT name FROM {table} WHERE cluster = ? AND resource = ? AND api_group = ? "  # noqa: S608
                "AND coalesce(namespace, '') = ? AND name <> '' AND ts <= make_timestamp(?) "
                + ("AND verb IN ('create', 'update', 'patch', 'delete') " if table == "audit" else "")
                + f"LIMIT {_MOST}"
            )
            rows = self._facts.session.query(sql, [self._facts.cluster, resource, GROUP, namespace, self._until])
            found.update(dict.fromkeys(str(name) for (name,) in rows))
        return [self._ref(resource, namespace, name) for name in sorted(found)]

    def _all(self, refs: list[Ref]) -> list[Known]:
        self._facts.fetch(r for r in refs if r not in self._known)
        return [self._at(ref) for ref in refs]

    def _at(self, ref: Ref) -> Known:
        if ref not in self._known:
            self._known[ref] = self._find(ref)
        return self._known[ref]

    def _find(self, ref: Ref) -> Known:
        life = choose(lives_of(self._facts, ref), uid=None, at=self._until, gone=False)
        if life is None or life.first > self._until:
            return Known(ref, [])
        versions = versions_of(self._facts, life, self._until)
        known = [v for v in versions if v.body is not None]
        found = Known(ref, versions, known[-1].body if known else None)
        found.unsure = bool(known) and (versions[-1] is not known[-1] or bool(known[-1].doubt))
        for r in self._facts.requests(ref, ("delete",)):
            if r.done and r.ts <= self._until and life.covers(r.ts, r.uid):
                found.ended = Version(r.ts, r.id, "unknown", request=r)
                break
        gone = [v for v in self._facts.versions(ref) if v.change == "DELETED" and v.ts <= self._until]
        if found.ended is None and gone and life.covers(gone[-1].ts, gone[-1].uid):
            found.ended = Version(gone[-1].ts, gone[-1].id, "watch")
        return found
