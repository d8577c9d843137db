"""node-pressure and static pods: what a kubelet does of its own accord.

It ends pods when its node runs short of memory, disk or process ids, or shuts down: the pod stays, as failed, with the
reason in its status (and since Kubernetes 1.25 in its DisruptionTarget condition) and in an Event. And it makes and
deletes the mirror pods of the manifests in its own folder: whoever changed a file there asked no API server.
"""

from __future__ import annotations

from kubewitness.questions.who import signs
from kubewitness.questions.who.case import Case, Deed, Step
from kubewitness.questions.who.mechanisms.eviction import node_ref


def explain_pressure(case: Case, deed: Deed) -> Step | None:
    """node-pressure: the node ran short of something, or was shut down."""
    if deed.role != "remove" or deed.controller != "kubelet" or deed.request is not None:
        return None
    place = case.node_of(deed.ref, deed.life or case.life(deed.ref, when=deed.when))
    if place is None:
        return Step("node-pressure")
    shut = "shutdown" in deed.says or "shutting down" in deed.says
    says = f"node {place[0]} {'was shut down' if shut else 'ran short of a resource'}"
    cause = Deed(
        deed.when, node_ref(case, place[0]), "Evicted", says, "node-pressure", "inferred", deed.evidence, nobody=True
    )
    return Step("node-pressure", cause)


def explain_static(case: Case, deed: Deed) -> Step | None:
    """direct, of a mirror pod: its node's own manifest of it came, changed or went."""
    if deed.role not in ("remove", "create") or deed.controller != "kubelet" or deed.request is None:
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    if deed.ref.resource != "pods" or not signs.is_static(case, life):
        return None
    node = deed.request.user.removeprefix("system:node:")
    did = "was removed or changed" if deed.role == "remove" else "was there"
    says = f"the manifest of the static {deed.ref.said()} {did} on node {node}"
    sure = deed.certainty if life.owner is not None and life.owner.kind == "Node" else "inferred"
    case.need(f"who changed the manifest on node {node}: no API server is asked for that")
    cause = Deed(deed.when, node_ref(case, node), "manifest", says, "manifest", sure, deed.evidence[:], nobody=True)
    return Step("direct", cause, final=True)
