"""Scenarios in which somebody removes pods themselves, or in which a container ends by itself."""

from __future__ import annotations

import threading

from tests.cluster.scenarios import manifests
from tests.cluster.scenarios.manifests import GENERAL, PATHS
from tests.cluster.scenarios.scene import Scene, as_json, name_of, named
from tests.cluster.scenarios.truth import Truth


def _direct(s: Scene, name: str, user: str, acting_as: str | None = None) -> Truth:
    return Truth("direct", user, f"Pod/{s.namespace}/{name}", acting_as)


def direct(s: Scene) -> None:
    """One pod by name; its replacement was made by nobody in person, but because of that."""
    name = name_of(s.rng.choice(s.deployment(3)))
    s.kubectl(s.one, "delete", "pod", name)
    s.vanished(named(name, _direct(s, name, s.one)))
    s.know("created", f"Deployment/{s.app}", Truth("direct", s.three, s.deployed))


def forced(s: Scene) -> None:
    name = name_of(s.deployment(2)[0])
    s.kubectl(s.one, "delete", "pod", name, "--force", "--grace-period=0")
    s.vanished(named(name, _direct(s, name, s.one)))


def bare_pod(s: Scene) -> None:
    s.make(s.two, manifests.pod(s.namespace, s.app, GENERAL))
    s.settled(1)
    s.know("created", f"Pod/{s.app}", _direct(s, s.app, s.two))
    s.pause()
    s.kubectl(s.one, "delete", "pod", s.app, old=True)
    s.vanished(_direct(s, s.app, s.one))


def collection(s: Scene) -> None:
    """kubectl deletes one by one; deletecollection is for those who speak to the API."""
    s.deployment(3)
    s.kubectl(s.one, "delete", "--raw", f"{PATHS['Pod'].format(s.namespace)}?labelSelector=app%3D{s.app}")
    s.vanished(Truth("collection", s.one, f"Pod/{s.namespace}"), at_least=3)


def by_label(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "delete", "pods", "-l", f"app={s.app}")
    s.vanished(lambda pod: _direct(s, name_of(pod), s.one), at_least=3)


def deleted_twice(s: Scene) -> None:
    """The second to delete a pod that is already terminating did not do it."""
    name = name_of(s.deployment(2, pod={"terminationGracePeriodSeconds": 20})[0])
    s.kubectl(s.one, "delete", "pod", name, "--wait=false")
    s.pause()
    s.request(s.two, "DELETE", s.path("Pod", name))
    s.vanished(named(name, _direct(s, name, s.one)))


def deleted_at_once(s: Scene) -> None:
    """Two delete a pod at the same moment: who stands by cannot tell whose request was the first."""
    name = name_of(s.deployment(2, pod={"terminationGracePeriodSeconds": 20})[0])
    other = threading.Thread(target=s.request, args=(s.two, "DELETE", s.path("Pod", name)))
    other.start()
    s.request(s.one, "DELETE", s.path("Pod", name))
    other.join()
    either = (("direct", s.one), ("direct", s.two))
    truth = Truth("direct", s.one, f"Pod/{s.namespace}/{name}", candidates=either)
    s.vanished(named(name, truth))


def dry_run_first(s: Scene) -> None:
    name = name_of(s.deployment(2)[0])
    s.kubectl(s.two, "delete", "pod", name, "--dry-run=server")
    s.pause()
    s.kubectl(s.one, "delete", "pod", name)
    s.vanished(named(name, _direct(s, name, s.one)))


def by_service_account(s: Scene) -> None:
    """A workload's own identity deletes a pod."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "janitor", "namespace": s.namespace}}
    s.make(s.two, account)
    token = s.kubectl("admin", "create", "token", "janitor").strip()
    name = name_of(s.deployment(2)[0])
    s.kubectl("ci-bot", f"--token={token}", "delete", "pod", name)
    s.vanished(named(name, _direct(s, name, f"system:serviceaccount:{s.namespace}:janitor")))


def impersonated(s: Scene) -> None:
    name = name_of(s.deployment(2)[0])
    s.kubectl("alice", "--as=carol", "--as-group=auditors", "delete", "pod", name)
    s.vanished(named(name, _direct(s, name, "alice", "carol")))


def scaled_as_somebody(s: Scene) -> None:
    """Impersonation further up the chain."""
    s.deployment(3)
    robot = f"system:serviceaccount:{s.namespace}:default"
    s.kubectl("alice", f"--as={robot}", "scale", f"deployment/{s.app}", "--replicas=1")
    s.vanished(Truth("scale-down", "alice", s.deployed, robot), at_least=2)


def finalizer_held(s: Scene) -> None:
    """One asks for the deletion, a finalizer holds the pod, another takes the finalizer away."""
    s.make(s.three, manifests.pod(s.namespace, s.app, GENERAL, metadata={"finalizers": ["example.com/hold"]}))
    s.settled(1)
    s.kubectl(s.one, "delete", "pod", s.app, "--wait=false")
    s.until("the pod's containers end", lambda: _ended(s))
    s.kubectl(s.two, "patch", "pod", s.app, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    s.vanished(Truth("finalizer-removed", s.one, f"Pod/{s.namespace}/{s.app}"))


def _ended(s: Scene) -> bool:
    """Terminating, and the kubelet has sent its own final delete: no grace is left."""
    pod = s.admin.get(s.path("Pod"))
    return bool(pod["metadata"].get("deletionGracePeriodSeconds") == 0)


def service_finalizer(s: Scene) -> None:
    """The same for an object that no kubelet ends."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": s.app, "namespace": s.namespace, "finalizers": ["example.com/load-balancer"]},
        "spec": {"ports": [{"port": 80}], "selector": {"app": s.app}},
    }
    s.kubectl(s.three, "create", "-f", "-", stdin=as_json(service))
    s.kubectl(s.one, "delete", "service", s.app, "--wait=false")
    s.pause(1, 3)
    s.kubectl(s.two, "patch", "service", s.app, "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    s.know("deleted", f"Service/{s.app}", Truth("finalizer-removed", s.one, f"Service/{s.namespace}/{s.app}"))


def _fails(s: Scene, image: str, **spec: object) -> None:
    s.make(s.one, manifests.pod(s.namespace, s.app, GENERAL, image, **spec))

    def failed() -> bool:
        statuses = s.admin.get(s.path("Pod")).get("status", {}).get("containerStatuses", [])
        return any(c.get("restartCount") or "terminated" in c.get("state", {}) for c in statuses)

    s.until("the container ends", failed)
    s.know("killed", f"Pod/{s.app}", Truth("container-failed", None, f"Pod/{s.namespace}/{s.app}", kind="system"))


def out_of_memory(s: Scene) -> None:
    _fails(s, f"shop/{s.app}:exit137-2s", restartPolicy="Never")


def exits(s: Scene) -> None:
    _fails(s, f"shop/{s.app}:exit3-1s", restartPolicy="Always")


def liveness(s: Scene) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}
    _fails(s, "", container={"livenessProbe": probe})


def image_pull(s: Scene) -> None:
    """A container that never ran, because there is no such image."""
    s.make(s.one, manifests.pod(s.namespace, s.app, GENERAL, f"shop/{s.app}-nopull:1.0"))

    def waits() -> bool:
        statuses = s.admin.get(s.path("Pod")).get("status", {}).get("containerStatuses", [])
        return any("Pull" in c.get("state", {}).get("waiting", {}).get("reason", "") for c in statuses)

    s.until("the image cannot be pulled", waits)
    s.know("killed", f"Pod/{s.app}", Truth("container-failed", None, f"Pod/{s.namespace}/{s.app}", kind="system"))


def failed_then_deleted(s: Scene) -> None:
    """A container that failed is not why the pod is gone."""
    s.make(s.two, manifests.pod(s.namespace, s.app, GENERAL, f"shop/{s.app}:exit1-1s", restartPolicy="Never"))
    s.until("the pod fails", lambda: s.admin.get(s.path("Pod"))["status"].get("phase") == "Failed")
    s.kubectl(s.one, "delete", "pod", s.app)
    s.vanished(_direct(s, s.app, s.one))


def name_used_again(s: Scene) -> None:
    """Two pods of one name: two lives, two who ended them."""
    for user in (s.one, s.two):
        s.make(s.three, manifests.pod(s.namespace, s.app, GENERAL))
        s.settled(1)
        s.pause(2.5, 3.5)  # so that a time tells which of the two is meant
        s.kubectl(user, "delete", "pod", s.app)
        s.vanished(_direct(s, s.app, user), at=True)


def evicted_by_script(s: Scene) -> None:
    """The Eviction API without any cordon."""
    name = name_of(s.deployment(3)[0])
    s.request(s.one, "POST", s.path("Pod", name) + "/eviction", manifests.eviction(s.namespace, name))
    s.vanished(named(name, Truth("eviction-api", s.one, f"Pod/{s.namespace}/{name}")))


def looked_into(s: Scene) -> None:
    """Nothing vanishes: exec, and a secret that is read."""
    name = name_of(s.deployment(1)[0])
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"k": "v"}}
    s.make(s.three, secret)
    s.kubectl(s.one, "exec", name, "--", "cat", "/etc/hostname")
    s.kubectl(s.two, "get", "secret", "keys", "-o", "yaml")
    s.know("exec", f"Pod/{name}", Truth("direct", s.one, f"Pod/{s.namespace}/{name}"))
    s.know("read", "Secret/keys", Truth("direct", s.two, f"Secret/{s.namespace}/keys"))


SCENARIOS = (
    direct,
    forced,
    bare_pod,
    collection,
    by_label,
    deleted_twice,
    deleted_at_once,
    dry_run_first,
    by_service_account,
    impersonated,
    scaled_as_somebody,
    finalizer_held,
    service_finalizer,
    out_of_memory,
    exits,
    liveness,
    image_pull,
    failed_then_deleted,
    name_used_again,
    evicted_by_script,
    looked_into,
)
