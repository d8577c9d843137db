"""Mechanisms: how one deed sets off another. One file per family; this table is all that the engine knows of them.

A mechanism is a function of a case and a deed. It returns None when the deed is not of its kind; else a `Step` with
the deed that set it off (None when the records do not tell: then it has said what is missing).
"""

from __future__ import annotations

from collections.abc import Callable

from kubewitness.questions.who.case import Case, Deed, Step
from kubewitness.questions.who.mechanisms import (
    autoscale,
    created,
    daemonset,
    eviction,
    finalizers,
    garbage,
    kubelet,
    nodes,
    owners,
    replicas,
)

Explain = Callable[[Case, Deed], Step | None]

#: tried in this order; the first that returns a step explains the deed
MECHANISMS: tuple[tuple[str, Explain], ...] = (
    ("finalizer-removed", finalizers.explain),
    ("drain, eviction-api", eviction.explain),
    ("rollout, scale-down (pod)", replicas.explain_pod),
    ("rollout, scale-down (ReplicaSet)", replicas.explain_replicaset),
    ("scale-down (ReplicaSet by hand)", replicas.explain_direct_scale),
    ("autoscale", autoscale.explain),
    ("owner-deleted", garbage.explain),
    ("namespace-deleted", garbage.explain_namespace),
    ("node-deleted, terminated-gc", garbage.explain_pod_collector),
    ("taint, node-lost", nodes.explain),
    ("preemption", nodes.explain_preemption),
    ("node-pressure", kubelet.explain_pressure),
    ("direct (static pod)", kubelet.explain_static),
    ("daemonset", daemonset.explain),
    ("statefulset, job-*, history-limit", owners.explain),
    ("controller (pod of a ReplicaSet)", created.explain_pod),
    ("controller", owners.explain_created),
)
