"""What somebody may read of what was recorded, as rights on resources: pure data, made by `web`, obeyed by `store`."""

from __future__ import annotations

import msgspec

#: a container's log, as a resource of its own
POD_LOGS = "pods/log"


class Scope(msgspec.Struct, frozen=True):
    """Readable: of one cluster everything, or the records about some resources. A resource is (group, plural).

    `anywhere`: in every namespace, and those that are in none. `within`: (namespace, group, plural) in one namespace.
    """

    cluster: str
    everything: bool = False
    anywhere: frozenset[tuple[str, str]] = frozenset()
    within: frozenset[tuple[str, str, str]] = frozenset()

    def reads(self, group: str, resource: str) -> bool:
        """Whether records about a resource may be read anywhere."""
        if self.everything or (group, resource) in self.anywhere:
            return True
        return any((g, r) == (group, resource) for _, g, r in self.within)

    @property
    def namespaces(self) -> list[str]:
        """The namespaces of which something may be read."""
        return sorted({namespace for namespace, _, _ in self.within})

    @property
    def sentence(self) -> str:
        """What is hidden, for people; "" when nothing of the cluster is."""
        if self.everything:
            return ""
        places = f"of namespace {', '.join(self.namespaces)}" if self.within else "of no single namespace"
        kinds = f" and of {len(self.anywhere)} kinds everywhere" if self.anywhere else ""
        return f"only records {places}{kinds} are shown: what this user may get and list in cluster {self.cluster}"
