"""owner-deleted: the garbage collector removes what belonged to a deleted owner; terminated and orphaned pods.

The link is the ownerReference's uid: the object's body names its owner, and the owner's delete answers with that uid.
Background, foreground and (for what is left) orphan deletion all begin with the delete of the owner.
"""

from __future__ import annotations

from kubewitness.questions.targets import Ref
from kubewitness.questions.who import removal
from kubewitness.questions.who.case import Case, Deed, Step, weaker


def explain(case: Case, deed: Deed) -> Step | None:
    """The owner's removal, for what the garbage collector deleted."""
    if deed.role != "remove" or deed.controller != "generic-garbage-collector":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None:
        case.need(f"the owner of {deed.ref.said()}: level RequestResponse for its create or delete would name it")
        return Step("owner-deleted")
    owner_ref, owner, certainty = owned
    owner_life = case.life(owner_ref, owner.uid, deed.when)
    found = removal.find(case, owner_life)
    if found.deed is None:
        return Step("owner-deleted")
    cause = found.deed
    known_uid = bool(owner.uid) and owner_life.uid == owner.uid
    cause.certainty = weaker(cause.certainty, certainty if known_uid else "inferred")
    return Step("owner-deleted", cause, found.context)


def explain_namespace(case: Case, deed: Deed) -> Step | None:
    """namespace-deleted: the namespace controller empties a namespace whose deletion somebody asked for."""
    if deed.role != "remove" or deed.controller != "namespace-controller":
        return None
    namespace = deed.ref.namespace
    ref = Ref(deed.ref.cluster, "", "namespaces", "", namespace, "Namespace")
    found = removal.find(case, case.life(ref, when=deed.when))
    if found.deed is None or found.deed.when > deed.when:
        return Step("namespace-deleted")
    # Only the deletion of the namespace itself makes this controller delete anything: its name is identity enough.
    return Step("namespace-deleted", found.deed)


def explain_pod_collector(case: Case, deed: Deed) -> Step | None:
    """node-deleted, terminated-gc: the pod garbage collector removes pods of nodes that are gone, and finished ones."""
    if deed.role != "remove" or deed.controller != "pod-garbage-collector":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    place = case.node_of(deed.ref, life)
    if place is None:
        case.need(f"the node of {deed.ref.said()}: level Request for create of pods/binding, or Events, would tell")
        return Step(None)
    ref = Ref(deed.ref.cluster, "", "nodes", "", place[0], "Node")
    found = removal.find(case, case.life(ref, when=deed.when))
    if found.deed is None or found.deed.when > deed.when:
        return Step("terminated-gc", final=True)
    found.deed.certainty = weaker(found.deed.certainty, place[1])
    return Step("node-deleted", found.deed)
