"""Random patches of all kinds, as people and controllers send them, for a Deployment, a Service and a custom object.

`python -m tests.cluster.patch_play SEED FILE` plays one seed on a real API server and records what it answered.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import zstandard

from tests.cluster.demo_manifests import deployment, namespace
from tests.cluster.harness import ControlPlane, Options, locate

NAMESPACE = "patches"
TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_IMAGES = ("shop/web:1.0", "shop/web:1.1", "shop/proxy:2")


def subjects() -> dict[str, dict[str, Any]]:
    """Path below /apis -> the object that is patched there. No pod runs: nothing but the patches moves it."""
    web = deployment(NAMESPACE, "web", 0)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]},
    }
    return {
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web": web,
        f"/api/v1/namespaces/{NAMESPACE}/services/web": service,
    }


def patch_for(rng: random.Random, kind: str, how: str, current: dict[str, Any]) -> Any:
    """A patch that the API server may accept."""
    if how == "json":
        return _json(rng, kind, current)
    if how == "apply":
        labels = {f"l{rng.randrange(3)}": str(rng.randrange(9))}
        meta = {"name": "web", "namespace": NAMESPACE, "labels": labels}
        version = current["apiVersion"]
        return {"apiVersion": version, "kind": kind, "metadata": meta, **_apply_spec(rng, kind)}
    patch: dict[str, Any] = {"metadata": {"labels": {f"l{rng.randrange(3)}": rng.choice([None, "a", "b"])}}}
    if rng.random() < 0.3:
        patch["metadata"]["annotations"] = {"note": rng.choice([None, "x", "y"])}
    if how == "strategic":
        patch["spec"] = _strategic_service(rng) if kind == "Service" else _strategic_workload(rng, current)
    elif kind == "Deployment" and rng.random() < 0.6:
        patch["spec"] = {"minReadySeconds": rng.randrange(5), "paused": rng.choice([None, True])}
    elif kind == "Service":
        patch["spec"] = {"ports": [{"name": "http", "port": 80 + rng.randrange(4)}]}
    return patch


def _apply_spec(rng: random.Random, kind: str) -> dict[str, Any]:
    if kind == "Service":
        return {"spec": {"ports": [{"name": "extra", "port": 90, "protocol": "TCP"}]}} if rng.random() < 0.5 else {}
    container = {"name": "web", "env": [{"name": f"A{rng.randrange(3)}", "value": str(rng.randrange(9))}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}} if rng.random() < 0.7 else {}


def _strategic_service(rng: random.Random) -> dict[str, Any]:
    port = rng.choice([80, 81, 82])
    item: dict[str, Any] = (
        {"port": port, "$patch": "delete"} if rng.random() < 0.3 else {"port": port, "name": f"p{port}"}
    )
    return {"ports": [item]} if port != 80 else {"selector": {"tier": rng.choice([None, "front"])}}


def _strategic_workload(rng: random.Random, current: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = {}
    choice = rng.randrange(7)
    if choice == 0:
        pod["containers"] = [{"name": "web", "image": rng.choice(_IMAGES)}]
    elif choice == 1:
        pod["containers"] = [{"name": f"side{rng.randrange(2)}", "image": rng.choice(_IMAGES)}]
        pod["$setElementOrder/containers"] = [{"name": pod["containers"][0]["name"]}, {"name": "web"}]
    elif choice == 2:
        pod["containers"] = [{"name": f"side{rng.randrange(2)}", "$patch": "delete"}]
    elif choice == 3:
        names = [f"E{n}" for n in range(rng.randrange(1, 4))]
        pod["containers"] = [{"name": "web", "env": [{"name": n, "value": str(rng.randrange(9))} for n in names]}]
    elif choice == 4:
        pod["tolerations"] = [{"key": f"k{rng.randrange(3)}", "operator": "Exists"}]
    elif choice == 5:
        pod["volumes"] = [{"name": f"v{rng.randrange(2)}", "emptyDir": {}}]
    else:
        pod["nodeSelector"] = (
            {"disk": rng.choice([None, "ssd"]), "$patch": "replace"} if rng.random() < 0.2 else {"a": "b"}
        )
    spec: dict[str, Any] = {"template": {"spec": pod}}
    if rng.random() < 0.2:
        spec["strategy"] = {"$retainKeys": ["type"], "type": "Recreate"}
    if rng.random() < 0.2:
        spec["replicas"] = 0
    return spec


def _json(rng: random.Random, kind: str, current: dict[str, Any]) -> list[dict[str, Any]]:
    ops: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/name", "value": "web"}]
    if "labels" not in current["metadata"]:
        ops.append({"op": "add", "path": "/metadata/labels", "value": {}})
    ops.append({"op": "add", "path": f"/metadata/labels/j{rng.randrange(2)}", "value": str(rng.randrange(9))})
    if kind == "Deployment":
        containers = "/spec/template/spec/containers"
        ops.append({"op": "replace", "path": f"{containers}/0/image", "value": rng.choice(_IMAGES)})
        if len(current["spec"]["template"]["spec"]["containers"]) > 1 and rng.random() < 0.5:
            ops.append({"op": "remove", "path": f"{containers}/1"})
        elif rng.random() < 0.3:
            ops.append({"op": "add", "path": f"{containers}/-", "value": {"name": "late", "image": _IMAGES[2]}})
    return ops


def play(cluster: ControlPlane, seed: int, count: int) -> list[dict[str, Any]]:
    """Sends `count` patches; returns those that were accepted: path, how, uri, the object before, patch, and after."""
    rng = random.Random(seed)
    api = cluster.api("admin")
    cluster.apply(namespace(NAMESPACE))
    cluster.wait_namespace(NAMESPACE)
    played = []
    made = subjects()
    for path, subject in made.items():
        reply = api.request("POST", path.rpartition("/")[0], subject)
        assert reply.status == 201, reply.body
    for _ in range(count):
        path, subject = rng.choice(list(made.items()))
        how = rng.choice(list(TYPES))
        before = api.get(path)
        patch = patch_for(rng, subject["kind"], how, before)
        manager = rng.choice(("ci", "hands"))
        uri = f"{path}?fieldManager={manager}" + ("&force=true" if how == "apply" else "")
        reply = api.request("PATCH", uri, patch, {"Content-Type": TYPES[how]})
        if reply.status == 200 and reply.json() != before:
            played.append({"how": how, "uri": uri, "before": before, "patch": patch, "after": reply.json()})
    return played


def main() -> None:
    seed, file = int(sys.argv[1]), Path(sys.argv[2])
    with ControlPlane(Options(nodes=()), locate()) as cluster:
        played = play(cluster, seed, 160)
    file.write_bytes(zstandard.compress(json.dumps({"seed": seed, "played": played}).encode(), 19))
    print(f"{len(played)} patches in {file}")


if __name__ == "__main__":
    main()
