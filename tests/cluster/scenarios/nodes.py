"""Scenarios of nodes. Each lane of them has nodes of its own, and runs its scenarios one after the other."""

from __future__ import annotations

import time
from typing import Any

from tests.cluster.scenarios import manifests
from tests.cluster.scenarios.manifests import GENERAL
from tests.cluster.scenarios.scene import Scene, name_of, named, on_node, with_image
from tests.cluster.scenarios.truth import Pod, Truth

_DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data")


def _here(s: Scene) -> dict[str, str]:
    return {"kubernetes.io/hostname": s.node}


def _lane(s: Scene) -> dict[str, str]:
    return {"pool": s.node.rsplit("-", 1)[0]}


def _drained(s: Scene, user: str) -> Truth:
    return Truth("drain", user, f"Node/{s.node}")


def _uncordon(s: Scene) -> None:
    s.kubectl(s.rng.choice((s.one, s.three)), "uncordon", s.node)


def drain(s: Scene) -> None:
    s.deployment(3, _here(s))
    s.kubectl(s.two, "label", "node", s.node, "example.com/rack=r7", "--overwrite")
    s.kubectl(s.one, "drain", s.node, *_DRAIN)
    s.vanished(_drained(s, s.one), at_least=3)
    s.know("drained", f"Node/{s.node}", Truth("drain", s.one, f"Node/{s.node}"), cluster_scoped=True, at=True)
    s.kubectl(s.two, "annotate", "node", s.node, f"example.com/seen={s.namespace}", "--overwrite")
    _uncordon(s)


def drain_by_old_kubectl(s: Scene) -> None:
    s.deployment(2, _here(s))
    s.kubectl(s.one, "drain", s.node, "--ignore-daemonsets", "--delete-local-data", old=True)
    s.vanished(_drained(s, s.one), at_least=2)
    _uncordon(s)


def drain_of_statefulset(s: Scene) -> None:
    """The evicted pods' names are used again once the node is given back."""
    spec: dict[str, Any] = {"podManagementPolicy": "Parallel", "pod": {"terminationGracePeriodSeconds": 5}}
    s.make(s.three, manifests.workload("StatefulSet", s.namespace, s.app, _here(s), 2, **spec))
    s.settled(2)
    s.pause(2.5, 3)  # so that a time tells the evicted pods from their replacements
    s.kubectl(s.one, "drain", s.node, *_DRAIN)
    s.vanished(_drained(s, s.one), at_least=2, at=True)
    _uncordon(s)
    s.settled(2)


def cordoned_and_deleted(s: Scene) -> None:
    """A cordon, and then deletes by name: no drain."""
    pods = s.deployment(2, _here(s))
    s.kubectl(s.one, "cordon", s.node)
    s.know("cordoned", f"Node/{s.node}", Truth("direct", s.one, f"Node/{s.node}"), cluster_scoped=True, at=True)
    for pod, user in zip(pods, (s.one, s.two), strict=True):
        name = name_of(pod)
        s.kubectl(user, "delete", "pod", name)
        s.vanished(named(name, Truth("direct", user, f"Pod/{s.namespace}/{name}")))
    _uncordon(s)


def evicted_by_another(s: Scene) -> None:
    """Somebody evicts a pod from a node that somebody else has cordoned."""
    name = name_of(s.deployment(2, _here(s))[0])
    s.kubectl(s.one, "cordon", s.node)
    s.request(s.two, "POST", s.path("Pod", name) + "/eviction", manifests.eviction(s.namespace, name))
    s.vanished(named(name, Truth("eviction-api", s.two, f"Pod/{s.namespace}/{name}")))
    _uncordon(s)


def uncordoned_then_evicted(s: Scene) -> None:
    """The evictor's cordon was taken back before."""
    name = name_of(s.deployment(2, _here(s))[0])
    s.kubectl(s.one, "cordon", s.node)
    s.pause()
    s.kubectl(s.two, "uncordon", s.node)
    s.request(s.one, "POST", s.path("Pod", name) + "/eviction", manifests.eviction(s.namespace, name))
    s.vanished(named(name, Truth("eviction-api", s.one, f"Pod/{s.namespace}/{name}")))


def deleted_during_drain(s: Scene) -> None:
    """One drains; a pod that ends slowly keeps it waiting, and another pod was deleted by somebody else before."""
    pods = s.deployment(3, _here(s), pod={"terminationGracePeriodSeconds": 6})
    name = name_of(pods[0])
    s.kubectl(s.two, "delete", "pod", name, "--wait=false")
    s.vanished(named(name, Truth("direct", s.two, f"Pod/{s.namespace}/{name}")))
    s.kubectl(s.one, "drain", s.node, *_DRAIN)
    s.vanished(_drained(s, s.one), at_least=2)
    _uncordon(s)


def refused_then_drained(s: Scene) -> None:
    """A budget refuses the evictions until somebody scales up; kubectl tries again every 5 s."""
    s.make(s.three, manifests.budget(s.namespace, s.app, 2))
    s.deployment(2, _lane(s))
    node = s.settled(2)[0]["spec"]["nodeName"]
    s.until("the budget's controller", lambda: _allows_none(s))
    running = s.cluster.kubectl_of(s.one).start("drain", node, *_DRAIN, "--timeout=120s")
    time.sleep(s.rng.uniform(6, 9))
    s.kubectl(s.two, "scale", f"deployment/{s.app}", "--replicas=3")
    out, err = running.communicate(timeout=150)
    if running.returncode or "Cannot evict pod" not in out + err:
        raise RuntimeError(f"the drain was not refused once and then done: {out}{err}")
    s.vanished(on_node(node, Truth("drain", s.one, f"Node/{node}")))
    s.kubectl(s.one, "uncordon", node)


def _allows_none(s: Scene) -> bool:
    status = s.admin.get(s.path("PodDisruptionBudget")).get("status", {})
    return bool(status.get("currentHealthy") == 2 and status.get("disruptionsAllowed") == 0)


def drain_during_rollout(s: Scene) -> None:
    """Old pods on the drained node went by either; only of the others is it known."""
    s.deployment(4, _lane(s), minReadySeconds=3)
    node = s.node
    new = f"shop/{s.app}:2.0"
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}={new}")
    s.until("the rollout's first pod", lambda: bool(s._pods.look(s.namespace)))
    s.kubectl(s.two, "drain", node, *_DRAIN)
    s.rolled_out()
    rolled, drained = Truth("rollout", s.one, s.deployed), Truth("drain", s.two, f"Node/{node}")
    either = Truth("rollout", s.one, s.deployed, candidates=(("rollout", s.one), ("drain", s.two)))

    def judge(pod: Pod) -> Truth:
        if pod["spec"].get("nodeName") != node:
            return rolled
        return drained if pod["spec"]["containers"][0]["image"] == new else either

    s.vanished(judge, at_least=4)
    s.kubectl(s.two, "uncordon", node)


def tainted(s: Scene) -> None:
    s.deployment(2, _here(s))
    s.kubectl(s.two, "taint", "node", s.node, "example.com/slow=true:PreferNoSchedule", "--overwrite")
    s.kubectl(s.one, "taint", "node", s.node, "example.com/maintenance=disk:NoExecute")
    s.vanished(Truth("taint", s.one, f"Node/{s.node}"), at_least=2)
    s.know("tainted", f"Node/{s.node}", Truth("direct", s.one, f"Node/{s.node}"), cluster_scoped=True, at=True)
    s.pause(1, 2)
    s.kubectl(s.two, "taint", "node", s.node, "example.com/maintenance-")


def _most_of(s: Scene) -> dict[str, Any]:
    """A request for more than half of the node's processors."""
    cpu = str(s.admin.get(f"/api/v1/nodes/{s.node}")["status"]["allocatable"]["cpu"])
    thousandths = int(cpu[:-1]) if cpu.endswith("m") else int(cpu) * 1000
    return {"container": {"resources": {"requests": {"cpu": f"{thousandths * 6 // 10}m"}}}}


def preempted(s: Scene) -> None:
    """A more important pod, made by somebody, needs the room."""
    s.deployment(1, _here(s), pod=_most_of(s))
    big = manifests.pod(s.namespace, "big", _here(s), **_most_of(s), priorityClassName="vital")
    s.make(s.one, big)
    truth = Truth("preemption", s.one, f"Pod/{s.namespace}/big")
    s.vanished(lambda pod: truth if pod["metadata"]["labels"]["app"] == s.app else None)
    s.settled(1, "big")
    s.request(s.two, "DELETE", s.path("Deployment") + "?propagationPolicy=Background")
    s.kubectl(s.one, "delete", "pod", "big")
    owner, direct = Truth("owner-deleted", s.two, s.deployed), Truth("direct", s.one, f"Pod/{s.namespace}/big")
    s.vanished(lambda pod: direct if name_of(pod) == "big" else owner, at_least=2)


def preempted_by_deployment(s: Scene) -> None:
    """The same, and the more important pod is a Deployment's."""
    s.deployment(1, _here(s), pod=_most_of(s))
    urgent = {**_most_of(s), "priorityClassName": "vital"}
    s.make(s.one, manifests.workload("Deployment", s.namespace, "urgent", _here(s), 1, pod=urgent))
    truth = Truth("preemption", s.one, f"Deployment/{s.namespace}/urgent")
    s.vanished(lambda pod: truth if pod["metadata"]["labels"]["app"] == s.app else None)
    s.settled(1, "urgent")
    for name in (s.app, "urgent"):
        s.kubectl(s.two, "delete", "deployment", name)

    def owner(pod: Pod) -> Truth:
        return Truth("owner-deleted", s.two, f"Deployment/{s.namespace}/{pod['metadata']['labels']['app']}")

    s.vanished(owner, at_least=2)


def daemonset_moved(s: Scene) -> None:
    """A node loses the label that a DaemonSet chooses its nodes by."""
    s.kubectl(s.two, "label", "node", s.node, f"example.com/{s.app}=yes", "--overwrite")
    where = {**_here(s), f"example.com/{s.app}": "yes"}
    s.make(s.three, manifests.workload("DaemonSet", s.namespace, s.app, where, None))
    s.settled(1)
    s.kubectl(s.one, "label", "node", s.node, f"example.com/{s.app}-")
    s.vanished(Truth("daemonset", s.one, f"Node/{s.node}"))


def lost(s: Scene) -> None:
    """The kubelet freezes; its pods go once their toleration has passed; it comes back and finishes them."""
    s.deployment(2, _here(s))
    s.cluster.nodes[s.node].pause()
    truth = Truth("node-lost", None, f"Node/{s.node}", kind="node")
    try:
        s.vanished(truth, at_least=2)
        s.know("stopped", f"Node/{s.node}", truth, cluster_scoped=True, at=True)
        s.pause(1, 3)
    finally:
        s.cluster.nodes[s.node].resume()
    s.cluster.wait_node(s.node, seconds=120)
    s.pause(1, 2)
    back = Truth("direct", None, f"Node/{s.node}", kind="node")
    s.know("started", f"Node/{s.node}", back, cluster_scoped=True, at=True)


def node_deleted(s: Scene) -> None:
    """The node's object is deleted; the pod garbage collector removes what it held."""
    s.deployment(2, _here(s))
    s.cluster.nodes[s.node].kill()
    s.kubectl(s.one, "delete", "node", s.node)
    s.vanished(Truth("node-deleted", s.one, f"Node/{s.node}"), at_least=2)
    s.know("deleted", f"Node/{s.node}", Truth("direct", s.one, f"Node/{s.node}"), cluster_scoped=True)


def rolled_on_cordoned(s: Scene) -> None:
    """A cordon by one, a rollout by another: the pods went by the rollout."""
    s.deployment(2, _lane(s))
    s.kubectl(s.one, "cordon", s.node)
    s.kubectl(s.two, "set", "image", f"deployment/{s.app}", f"{s.app}=shop/{s.app}:1.1")
    s.rolled_out()
    s.vanished(with_image(f"shop/{s.app}:1.0", Truth("rollout", s.two, s.deployed)), at_least=2)
    _uncordon(s)


#: (nodes, scenarios): in each lane one after the other, on its first node
LANES = (
    (("east-1",), (drain, cordoned_and_deleted, evicted_by_another, daemonset_moved)),
    (("north-1",), (drain_of_statefulset, drain_by_old_kubectl, uncordoned_then_evicted, deleted_during_drain)),
    (("west-1", "west-2"), (refused_then_drained, drain_during_rollout, rolled_on_cordoned)),
    (("south-1",), (tainted, preempted, preempted_by_deployment)),
    (("far-1",), (lost,)),
    (("old-1",), (node_deleted,)),
)
#: nodes of everything else
COMMON = ("worker-1", "worker-2")
NODES = (*COMMON, *(node for nodes, _ in LANES for node in nodes))


def labels() -> dict[str, str]:
    """node -> its pool."""
    pools = {node: node.rsplit("-", 1)[0] for nodes, _ in LANES for node in nodes}
    return pools | dict.fromkeys(COMMON, GENERAL["pool"])
