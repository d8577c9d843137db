"""Which recorded writes can have followed from a deed: narrow enough to ask the engine about each of them.

Nothing is decided here. What is let through is only a candidate; what is not, would never be explained by the deed.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubewitness.questions.facts import EventFact, Facts, Request, Window
from kubewitness.questions.lives import SKEW_US
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import Deed, controller_of

#: rows of one namespace (or of the cluster's removals) that are looked at
MOST_ROWS = 5000
_REMOVES = ("delete", "deletecollection")
_COLLECTOR = "generic-garbage-collector"
#: who removes pods because of their node; `kube-controller-manager` where all controllers share one credential
_NODE_WATCHERS = (
    "node-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "pod-garbage-collector",
    "daemon-set-controller",
    "daemonset-controller",
    "kube-controller-manager",
)
#: "Created pod: web-1", "Created job tidy-27"
_CREATED = (("Created pod: ", "", "pods", "Pod"), ("Created job ", "batch", "jobs", "Job"))


class Around:
    """The writes after a moment, fetched once for each namespace."""

    def __init__(self, facts: Facts, window: Window) -> None:
        self._facts = facts
        self._window = window
        self._written: dict[str | None, list[Request]] = {}
        self._events: dict[str, list[EventFact]] = {}
        #: places of which not all rows were looked at
        self.cut: list[str] = []

    def candidates(self, deed: Deed) -> Iterator[Request]:
        """Accepted writes that the deed may have set off, oldest first."""
        since = deed.request.received - SKEW_US if deed.request is not None else deed.when - SKEW_US
        for namespace in _places(deed):
            for r in self._in(namespace):
                if r.ts >= since and r.done and r.id != deed.evidence[0] and _related(deed, r):
                    yield r

    def made(self, deed: Deed) -> Iterator[tuple[EventFact, Ref]]:
        """Objects that Events of controllers in the deed's namespace say were made."""
        namespace = deed.ref.namespace
        if not namespace:
            return
        if namespace not in self._events:
            found = self._facts.events_in(self._window, namespace=namespace, reasons=("SuccessfulCreate",))
            self._events[namespace] = found
        stem = deed.ref.name.rpartition("-")[0]
        for event in self._events[namespace]:
            replaces = deed.role == "remove" and deed.ref.resource == "pods" and event.object_name == stem
            if event.first >= deed.when - SKEW_US and (replaces or event.object_name == deed.ref.name):
                for text, group, resource, kind in _CREATED:
                    if event.message.startswith(text):
                        name = event.message.removeprefix(text)
                        yield event, Ref(event.cluster, group, resource, namespace, name, kind)

    def _in(self, namespace: str | None) -> list[Request]:
        if namespace not in self._written:
            rows = self._facts.written_after(self._window, namespace, MOST_ROWS)
            self._written[namespace] = rows
            if len(rows) >= MOST_ROWS // 2:
                self.cut.append(
                    f"only the first {len(rows)} writes of {namespace or 'the whole cluster'} were looked at"
                    f"{' (removals)' if namespace is None else ''}"
                )
        return self._written[namespace]


def _places(deed: Deed) -> list[str | None]:
    """Where to look: the namespace; the cluster for what has none; both for a pod that may preempt others."""
    if deed.ref.resource == "namespaces":
        return [deed.ref.name, None]
    if not deed.ref.namespace:
        return [None]
    return [deed.ref.namespace, None] if deed.role == "create" and deed.ref.resource == "pods" else [deed.ref.namespace]


def _leaves_node(deed: Deed, r: Request) -> bool:
    """A pod that left its node: evicted by whoever wrote the node, or removed by a component that watches nodes."""
    if r.subresource == "eviction":
        return deed.request is None or r.played == deed.request.played
    return r.verb == "delete" and controller_of(r) in _NODE_WATCHERS


def _related(deed: Deed, r: Request) -> bool:
    ref = deed.ref
    if not ref.name:  # a whole collection
        return r.verb == "delete" and (r.resource == ref.resource or controller_of(r) == _COLLECTOR)
    if (r.resource, r.name) == (ref.resource, ref.name) and ref.namespace in ("", r.namespace):
        return True
    if ref.resource == "namespaces":
        return r.verb in _REMOVES and bool(controller_of(r))
    if ref.resource == "nodes":
        return r.resource == "pods" and _leaves_node(deed, r)
    if ref.resource == "horizontalpodautoscalers":
        return controller_of(r) == "horizontal-pod-autoscaler"
    if r.namespace != ref.namespace and deed.ref.namespace:
        return r.verb == "delete" and controller_of(r) == "kube-scheduler"
    if deed.role == "remove" and r.verb in _REMOVES and controller_of(r) == _COLLECTOR:
        return True
    if r.owner_name == ref.name or r.name.startswith(ref.name + "-"):
        return True
    if ref.resource == "pods" and deed.role == "remove":  # another takes its place
        return r.verb == "create" and r.resource == "pods" and bool(controller_of(r))
    return deed.role == "create" and r.verb == "delete" and controller_of(r) == "kube-scheduler"
