"""One scenario's place: a namespace of its own, its cast, its commands, and what it knows."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.demo_truth import stamp
from tests.cluster.harness import ControlPlane, until
from tests.cluster.harness.kubectl import KubectlError, Version
from tests.cluster.scenarios import manifests
from tests.cluster.scenarios.manifests import GENERAL, PATHS, Object
from tests.cluster.scenarios.truth import Judge, Known, Pod, PodWatch, Truth

PEOPLE = ("alice", "bob", "carol", "ci-bot")
_PATIENCE = 150.0


@dataclass
class Book:
    """What all scenarios of a run did and know. Lists only grow, and appending is safe between threads."""

    commands: list[dict[str, Any]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    #: pods that vanished during a scenario, and not by it
    unexplained: list[str] = field(default_factory=list)


class Scene:
    """`one`, `two`, `three` are this scenario's cast, chosen by the seed; `node` is its own node, if it has one."""

    def __init__(
        self, name: str, namespace: str, rng: random.Random, cluster: ControlPlane, pods: PodWatch, book: Book
    ) -> None:
        self.name, self.namespace, self.rng, self.cluster = name, namespace, rng, cluster
        self._pods, self._book = pods, book
        self.one, self.two, self.three = rng.sample(PEOPLE, 3)
        self.app = rng.choice(("web", "api", "cache", "ledger", "search", "mail", "cart"))
        self.admin = cluster.api("admin")
        self.node = ""

    # --- doing --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Makes the namespace, and waits until pods can be made in it."""
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        reply = self.admin.request("POST", "/api/v1/namespaces", made)
        if reply.status != 201:
            raise OSError(f"namespace {self.namespace}: {reply.status}")
        self.cluster.wait_namespace(self.namespace, _PATIENCE)

    def kubectl(
        self, user: str, *args: str, stdin: str = "", old: bool = False, fails: bool = False, editor: str = ""
    ) -> str:
        """One command in the scenario's namespace; gives what it printed, on both streams."""
        version: Version = "old" if old else "current"
        started = stamp(time.time())
        words = ("-n", self.namespace, *args)
        done = self.cluster.kubectl_of(user, version).run(*words, stdin=stdin, seconds=_PATIENCE, editor=editor)
        self._wrote(user, "kubectl " + " ".join(a for a in words if not a.startswith("--token")), started)
        if bool(done.returncode) != fails:
            raise KubectlError(f"kubectl {' '.join(args)} (as {user}): exit {done.returncode}: {done.stderr}")
        return done.stdout + done.stderr

    def make(self, user: str, obj: Object) -> None:
        """Creates an object as that user, without kubectl."""
        self.request(user, "POST", PATHS[obj["kind"]].format(self.namespace), obj)

    def request(self, user: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request by a program of that user's; OSError when it is refused."""
        started = stamp(time.time())
        reply = self.cluster.api(user, "deployer/1.4").request(
            method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}, _PATIENCE
        )
        self._wrote(user, f"{method} {path}", started)
        if reply.status >= 300:
            raise OSError(f"{method} {path} (as {user}): {reply.status} {reply.body[:300].decode(errors='replace')}")
        return reply.json()

    def merge(self, user: str, path: str, body: Any) -> Any:
        return self.request(user, "PATCH", path, body, Content_Type="application/merge-patch+json")

    def _wrote(self, user: str, command: str, started: str) -> None:
        row = {"scenario": self.name, "user": user, "command": command, "started": started}
        self._book.commands.append({**row, "ended": stamp(time.time())})

    def pause(self, low: float = 0.3, high: float = 1.5) -> None:
        """A gap of the seed's choice."""
        time.sleep(self.rng.uniform(low, high))

    # --- the usual beginnings -----------------------------------------------------------------------------

    def deployment(self, replicas: int, where: Mapping[str, str] = GENERAL, user: str = "", **spec: Any) -> list[Pod]:
        """The scenario's Deployment, running; by `three` unless said otherwise."""
        made = manifests.workload("Deployment", self.namespace, self.app, where, replicas, **spec)
        self.make(user or self.three, made)
        return self.settled(replicas)

    def settled(self, count: int, app: str = "") -> list[Pod]:
        return self.cluster.wait_pods(self.namespace, f"app={app or self.app}", count, _PATIENCE)

    def rolled_out(self, kind: str = "deployments") -> None:
        """Until the controller has done what the object says."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/{kind}/{self.app}"

        def done() -> bool:
            found = self.admin.get(path)
            spec, status, wanted = found["spec"], found["status"], found["spec"]["replicas"]
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "readyReplicas")]
            return seen and not spec.get("paused") and counts == [wanted] * 3

        until(f"rollout of {self.namespace}/{self.app}", done, _PATIENCE, every=0.3)

    def until(self, what: str, probe: Callable[[], Any]) -> Any:
        return until(f"{self.name}: {what}", probe, _PATIENCE, every=0.3)

    def path(self, kind: str, name: str = "") -> str:
        return f"{PATHS[kind].format(self.namespace)}/{name or self.app}"

    # --- knowing ------------------------------------------------------------------------------------------

    @property
    def deployed(self) -> str:
        return f"Deployment/{self.namespace}/{self.app}"

    def vanished(self, judge: Judge | Truth, at_least: int = 1, *, at: bool = False) -> list[Pod]:
        """Waits until so many pods have begun to vanish, and says why they did. Pods of which the judge says None
        stay for a later judgement."""
        found: dict[str, tuple[Pod, float, Truth]] = {}

        def enough() -> bool:
            for pod, arrived in self._pods.look(self.namespace):
                truth = judge if isinstance(judge, Truth) else judge(pod)
                if truth is not None:
                    found[pod["metadata"]["uid"]] = (pod, arrived, truth)
            return len(found) >= at_least

        self.until(f"{at_least} pods vanish (of {self.app} in {self.namespace})", enough)
        for uid, (pod, arrived, truth) in found.items():
            self._pods.take(self.namespace, uid)
            self.know("deleted", f"Pod/{pod['metadata']['name']}", truth, uid=uid, when=arrived, at=at)
        return [pod for pod, _, _ in found.values()]

    def close(self) -> None:
        """All that vanished so far ought to be explained; what comes later is somebody else's doing."""
        for pod, _ in self._pods.look(self.namespace):
            self._book.unexplained.append(f"{self.name}: {self.namespace}/{name_of(pod)}")

    def know(
        self,
        verb: str,
        target: str,
        truth: Truth,
        *,
        uid: str = "",
        when: float | None = None,
        at: bool = False,
        cluster_scoped: bool = False,
    ) -> None:
        """`who VERB KIND/NAME` has this answer."""
        kind, _, name = target.partition("/")
        moment = stamp(when if when is not None else time.time())
        space = "" if cluster_scoped else self.namespace
        self._book.known.append(Known(self.name, verb, kind, space, name, uid, moment, truth, at))


def name_of(pod: Pod) -> str:
    return str(pod["metadata"]["name"])


def named(name: str, truth: Truth) -> Judge:
    """Only for that pod."""
    return lambda pod: truth if name_of(pod) == name else None


def on_node(node: str, truth: Truth) -> Judge:
    """Only for pods on that node."""
    return lambda pod: truth if pod["spec"].get("nodeName") == node else None


def with_image(image: str, truth: Truth) -> Judge:
    """Only for pods whose container has that image."""
    return lambda pod: truth if pod["spec"]["containers"][0]["image"] == image else None


def as_json(obj: Object) -> str:
    return json.dumps(obj)
