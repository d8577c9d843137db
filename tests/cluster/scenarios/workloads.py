"""Scenarios in which somebody changes a workload, and its controllers remove pods for it."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.cluster.scenarios import manifests
from tests.cluster.scenarios.manifests import GENERAL
from tests.cluster.scenarios.scene import Scene, as_json, name_of, with_image
from tests.cluster.scenarios.truth import Truth


def _rolled(s: Scene, user: str, count: int) -> None:
    """A rollout has ended: all the old pods went because of that user."""
    s.rolled_out()
    s.vanished(Truth("rollout", user, s.deployed), at_least=count)


def _scaled(s: Scene, user: str) -> Truth:
    return Truth("scale-down", user, s.deployed)


def set_image(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}=shop/{s.app}:1.1")
    _rolled(s, s.one, 3)
    s.know("changed", f"Deployment/{s.app}", Truth("direct", s.one, s.deployed))


def set_env(s: Scene) -> None:
    s.deployment(2)
    s.kubectl(s.one, "set", "env", f"deployment/{s.app}", "MODE=fast")
    _rolled(s, s.one, 2)


def restart(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "rollout", "restart", f"deployment/{s.app}")
    _rolled(s, s.one, 3)


def undo(s: Scene) -> None:
    """One rolls out, another rolls back some time later: each took the pods of the other's version."""
    s.deployment(2)
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}=shop/{s.app}:2.0")
    _rolled(s, s.one, 2)
    s.pause(1, 4)
    s.kubectl(s.two, "rollout", "undo", f"deployment/{s.app}")
    _rolled(s, s.two, 2)


def bad_image_then_undo(s: Scene) -> None:
    """A rollback right after an image that cannot be pulled."""
    s.deployment(4)
    bad = f"shop/{s.app}-nopull:9.9"
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}={bad}")
    s.vanished(with_image(f"shop/{s.app}:1.0", Truth("rollout", s.one, s.deployed)))
    s.pause(0.5, 3)
    s.kubectl(s.two, "rollout", "undo", f"deployment/{s.app}")
    s.rolled_out()
    s.vanished(with_image(bad, Truth("rollout", s.two, s.deployed)), at_least=2)


def rolled_twice(s: Scene) -> None:
    """A second version by another, while the first rollout is still on: each version's pods went by the next one."""
    s.deployment(4, minReadySeconds=2)
    first, second = f"shop/{s.app}:2.0", f"shop/{s.app}:3.0"
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}={first}")
    s.vanished(with_image(f"shop/{s.app}:1.0", Truth("rollout", s.one, s.deployed)))
    s.kubectl(s.two, "set", "image", f"deployment/{s.app}", f"{s.app}={second}")
    s.rolled_out()
    s.vanished(with_image(first, Truth("rollout", s.two, s.deployed)))
    s.vanished(with_image(f"shop/{s.app}:1.0", Truth("rollout", s.one, s.deployed)))


def paused_and_resumed(s: Scene) -> None:
    """Whoever changed the template is why; whoever resumed only let it go on."""
    s.deployment(2)
    s.kubectl(s.two, "rollout", "pause", f"deployment/{s.app}")
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}=shop/{s.app}:1.2")
    s.pause(1, 3)
    s.kubectl(s.two, "rollout", "resume", f"deployment/{s.app}")
    _rolled(s, s.one, 2)


def _manifest(s: Scene, replicas: int, image: str = "") -> str:
    return as_json(manifests.workload("Deployment", s.namespace, s.app, GENERAL, replicas, image))


def apply_image(s: Scene) -> None:
    """The same file applied twice, by two people, with another image."""
    s.kubectl(s.three, "apply", "-f", "-", stdin=_manifest(s, 3))
    s.settled(3)
    s.kubectl(s.one, "apply", "-f", "-", stdin=_manifest(s, 3, f"shop/{s.app}:3.0"))
    _rolled(s, s.one, 3)


def apply_server_side(s: Scene) -> None:
    s.kubectl(s.three, "apply", "--server-side", "-f", "-", stdin=_manifest(s, 2))
    s.settled(2)
    changed = _manifest(s, 2, f"shop/{s.app}:3.1")
    s.kubectl(s.one, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=changed)
    _rolled(s, s.one, 2)


def patch_template(s: Scene) -> None:
    s.deployment(2)
    body = {"spec": {"template": {"metadata": {"annotations": {"example.com/config": "v2"}}}}}
    s.kubectl(s.one, "patch", "deployment", s.app, "-p", json.dumps(body))
    _rolled(s, s.one, 2)


def edit_template(s: Scene) -> None:
    """kubectl edit, with an editor that needs no hands."""
    s.deployment(2)
    s.kubectl(s.one, "edit", "deployment", s.app, editor=f"sed -i s,shop/{s.app}:1.0,shop/{s.app}:1.4,")
    _rolled(s, s.one, 2)


def replace_template(s: Scene) -> None:
    """A program that reads the object, changes it and puts it back."""
    s.deployment(2)

    def put() -> None:
        found = s.admin.get(s.path("Deployment"))
        found["spec"]["template"]["spec"]["containers"][0]["image"] = f"shop/{s.app}:1.9"
        s.request(s.one, "PUT", s.path("Deployment"), found)

    _again(put)
    _rolled(s, s.one, 2)


def _again(put: object) -> None:
    """Until no controller's write of the same moment is in the way."""
    for last in (False, False, True):
        try:
            put()  # type: ignore[operator]
            return
        except OSError as e:
            if last or "409" not in str(e):
                raise


def scale(s: Scene) -> None:
    s.deployment(4)
    s.kubectl(s.one, "scale", f"deployment/{s.app}", "--replicas=2")
    s.vanished(_scaled(s, s.one), at_least=2)
    s.know("scaled", f"Deployment/{s.app}", Truth("direct", s.one, s.deployed))


def scale_by_old_kubectl(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "scale", f"deployment/{s.app}", "--replicas=1", old=True)
    s.vanished(_scaled(s, s.one), at_least=2)


def scale_by_patch(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "patch", "deployment", s.app, "-p", '{"spec":{"replicas":1}}')
    s.vanished(_scaled(s, s.one), at_least=2)


def scale_by_edit(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "edit", "deployment", s.app, editor="sed -i 's,^  replicas: 3$,  replicas: 1,'")
    s.vanished(_scaled(s, s.one), at_least=2)


def scale_by_apply(s: Scene) -> None:
    s.kubectl(s.three, "apply", "-f", "-", stdin=_manifest(s, 3))
    s.settled(3)
    s.kubectl(s.one, "apply", "-f", "-", stdin=_manifest(s, 1))
    s.vanished(_scaled(s, s.one), at_least=2)


def scale_by_put(s: Scene) -> None:
    s.deployment(3)

    def put() -> None:
        found = s.admin.get(s.path("Deployment"))
        found["spec"]["replicas"] = 1
        s.request(s.one, "PUT", s.path("Deployment"), found)

    _again(put)
    s.vanished(_scaled(s, s.one), at_least=2)


def scaled_up_and_down(s: Scene) -> None:
    s.deployment(2)
    s.kubectl(s.two, "scale", f"deployment/{s.app}", "--replicas=4")
    s.settled(4)
    s.kubectl(s.one, "scale", f"deployment/{s.app}", "--replicas=2")
    s.vanished(_scaled(s, s.one), at_least=2)


def scaled_by_two(s: Scene) -> None:
    """Two people scale the same deployment down, seconds apart."""
    s.deployment(5)
    s.kubectl(s.one, "scale", f"deployment/{s.app}", "--replicas=3")
    s.vanished(_scaled(s, s.one), at_least=2)
    s.pause(0.1, 2)
    s.kubectl(s.two, "scale", f"deployment/{s.app}", "--replicas=1")
    s.vanished(_scaled(s, s.two), at_least=2)


def scaled_at_once(s: Scene) -> None:
    """Two scale at the same moment: even who stands by cannot tell whose pods went."""
    s.deployment(4)
    path, body = s.path("Deployment"), {"spec": {"replicas": 1}}
    other = threading.Thread(target=s.merge, args=(s.two, path, {"spec": {"replicas": 2}}))
    other.start()
    s.merge(s.one, path, body)
    other.join()
    either = (("scale-down", s.one), ("scale-down", s.two))
    s.vanished(Truth("scale-down", s.one, s.deployed, candidates=either), at_least=2)


def annotated_then_scaled(s: Scene) -> None:
    """A write of the same object, seconds after the cause, that changed nothing of it."""
    s.deployment(3)
    s.kubectl(s.two, "annotate", "deployment", s.app, "example.com/owner=shop")
    s.kubectl(s.one, "scale", f"deployment/{s.app}", "--replicas=1")
    s.kubectl(s.two, "label", "deployment", s.app, "tier=front")
    s.vanished(_scaled(s, s.one), at_least=2)


def rollout_then_scale(s: Scene) -> None:
    """A rollout by one, and at once afterwards a scaling by another."""
    s.deployment(3)
    s.kubectl(s.one, "set", "image", f"deployment/{s.app}", f"{s.app}=shop/{s.app}:1.1")
    s.rolled_out()
    s.vanished(Truth("rollout", s.one, s.deployed), at_least=3)
    s.kubectl(s.two, "scale", f"deployment/{s.app}", "--replicas=1")
    s.vanished(_scaled(s, s.two), at_least=2)


def autoscaled(s: Scene) -> None:
    """Somebody lowers the most that the autoscaler may give; it acts on that without any metrics."""
    s.deployment(4)
    s.make(s.two, manifests.autoscaler(s.namespace, s.app, 1, 6))
    s.pause(2, 4)
    body = '{"spec":{"maxReplicas":2}}'
    s.kubectl(s.one, "patch", "hpa", s.app, "-p", body)
    s.vanished(Truth("autoscale", s.one, f"HorizontalPodAutoscaler/{s.namespace}/{s.app}"), at_least=2)


def bare_replicaset(s: Scene) -> None:
    s.make(s.three, manifests.workload("ReplicaSet", s.namespace, s.app, GENERAL, 3))
    s.settled(3)
    s.kubectl(s.one, "scale", f"replicaset/{s.app}", "--replicas=1")
    s.vanished(Truth("scale-down", s.one, f"ReplicaSet/{s.namespace}/{s.app}"), at_least=2)


def revision_history(s: Scene) -> None:
    """The oldest ReplicaSet goes because somebody rolled out once more."""
    s.deployment(1, revisionHistoryLimit=1)
    first = s.admin.get(f"/apis/apps/v1/namespaces/{s.namespace}/replicasets")["items"][0]["metadata"]
    for user, version in ((s.two, "1.1"), (s.one, "1.2")):
        s.kubectl(user, "set", "image", f"deployment/{s.app}", f"{s.app}=shop/{s.app}:{version}")
        _rolled(s, user, 1)
    gone = s.path("ReplicaSet", first["name"])
    s.until("the oldest ReplicaSet goes", lambda: s.admin.request("GET", gone).status == 404)
    s.know("deleted", f"ReplicaSet/{first['name']}", Truth("history-limit", s.one, s.deployed), uid=first["uid"])


def statefulset_scaled(s: Scene) -> None:
    _stateful(s)
    s.kubectl(s.one, "scale", f"statefulset/{s.app}", "--replicas=1")
    s.vanished(Truth("statefulset", s.one, f"StatefulSet/{s.namespace}/{s.app}"), at_least=2)


def statefulset_updated(s: Scene) -> None:
    _stateful(s)
    s.kubectl(s.one, "set", "image", f"statefulset/{s.app}", f"{s.app}=shop/{s.app}:1.1")
    truth = Truth("statefulset", s.one, f"StatefulSet/{s.namespace}/{s.app}")
    s.vanished(with_image(f"shop/{s.app}:1.0", truth), at_least=3, at=True)


def _stateful(s: Scene) -> None:
    spec: dict[str, Any] = {"podManagementPolicy": "Parallel", "pod": {"terminationGracePeriodSeconds": 5}}
    s.make(s.three, manifests.workload("StatefulSet", s.namespace, s.app, GENERAL, 3, **spec))
    s.settled(3)
    s.pause(2.5, 3)  # so that a time tells the replaced pods from their replacements


def daemonset_updated(s: Scene) -> None:
    spec: dict[str, Any] = {"pod": {"terminationGracePeriodSeconds": 5}}
    s.make(s.three, manifests.workload("DaemonSet", s.namespace, s.app, GENERAL, None, **spec))
    s.settled(2)
    s.kubectl(s.one, "set", "image", f"daemonset/{s.app}", f"{s.app}=shop/{s.app}:1.1")
    truth = Truth("daemonset", s.one, f"DaemonSet/{s.namespace}/{s.app}")
    s.vanished(with_image(f"shop/{s.app}:1.0", truth), at_least=2)


def pod_replaced(s: Scene) -> None:
    """A pod that was made because another was deleted."""
    old = {name_of(p) for p in s.deployment(2)}
    gone = sorted(old)[0]
    s.pause(1, 3)
    s.kubectl(s.one, "delete", "pod", gone)
    new = next(p for p in s.settled(2) if name_of(p) not in old)
    s.vanished(Truth("direct", s.one, f"Pod/{s.namespace}/{gone}"))
    s.know("created", f"Pod/{name_of(new)}", Truth("controller", s.one, f"Pod/{s.namespace}/{gone}"))
    truth = Truth("controller", s.three, s.deployed)
    s.know("created", f"Pod/{sorted(old)[1]}", truth)


SCENARIOS = (
    set_image,
    set_env,
    restart,
    undo,
    rolled_twice,
    bad_image_then_undo,
    paused_and_resumed,
    apply_image,
    apply_server_side,
    patch_template,
    edit_template,
    replace_template,
    scale,
    scale_by_old_kubectl,
    scale_by_patch,
    scale_by_edit,
    scale_by_apply,
    scale_by_put,
    scaled_up_and_down,
    scaled_by_two,
    scaled_at_once,
    annotated_then_scaled,
    rollout_then_scale,
    autoscaled,
    bare_replicaset,
    revision_history,
    statefulset_scaled,
    statefulset_updated,
    daemonset_updated,
    pod_replaced,
)
