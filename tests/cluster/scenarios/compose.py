"""A run: all scenarios, composed by a seed (cast, names, order, gaps), side by side, with other people's noise."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from tests.cluster.harness import ControlPlane
from tests.cluster.harness.kubectl import KubectlError
from tests.cluster.scenarios import manifests, nodes, owners, pods, workloads
from tests.cluster.scenarios.manifests import GENERAL
from tests.cluster.scenarios.scene import PEOPLE, Book, Scene, name_of
from tests.cluster.scenarios.truth import PodWatch

Play = Callable[[Scene], None]

#: how many scenarios run side by side, besides those of nodes and those that wait for whole minutes
_SIDE_BY_SIDE = 7
_GENERAL: tuple[Play, ...] = (*pods.SCENARIOS, *workloads.SCENARIOS, *owners.SCENARIOS)
_PLACES = ("shop", "stock", "payments", "returns", "loyalty", "search", "mail", "maps", "prices", "reports")
COUNT = len(_GENERAL) + len(owners.SLOW) + sum(len(scenarios) for _, scenarios in nodes.LANES)


class Run:
    """Plays everything on one cluster; what it did and knows is in `book`."""

    def __init__(self, seed: int, cluster: ControlPlane, watch: PodWatch, only: Sequence[str] = ()) -> None:
        self.seed, self.cluster, self.watch, self.only = seed, cluster, watch, only
        self.book = Book()
        self._rng = random.Random(seed)
        self._numbers = iter(self._rng.sample(range(10, 1000), 300))
        self._over = threading.Event()

    def play(self) -> None:
        self._set_up()
        general = list(_GENERAL)
        self._rng.shuffle(general)
        lanes: list[tuple[tuple[str, ...], list[Play]]] = []
        for own, scenarios in nodes.LANES:
            ordered: list[Play] = list(scenarios)
            self._rng.shuffle(ordered)
            lanes.append((own, ordered))
        lanes += [((), [play]) for play in owners.SLOW]
        lanes += [((), general[i::_SIDE_BY_SIDE]) for i in range(_SIDE_BY_SIDE)]
        # Every scene gets its seed before any thread runs, so that a seed always gives the same composition.
        threads = [
            threading.Thread(target=self._lane, args=([self._scene(p, own) for p in lane if self._wanted(p)],))
            for own, lane in lanes
        ]
        noise = threading.Thread(target=self._noise, args=(self._scene(_make_noise, ()),), daemon=True)
        for thread in (noise, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        self._over.set()
        noise.join(60)

    def _wanted(self, play: Play) -> bool:
        return not self.only or play.__name__ in self.only

    def _set_up(self) -> None:
        admin = self.cluster.api("admin")
        self.cluster.apply(*manifests.everybody_may_everything())
        for node, pool in nodes.labels().items():
            body = {"metadata": {"labels": {"pool": pool}}}
            merge = {"Content-Type": "application/merge-patch+json"}
            reply = admin.request("PATCH", f"/api/v1/nodes/{node}", body, merge)
            if reply.status != 200:
                raise OSError(f"labels of node {node}: {reply.status}")
        # Roles and classes reach the authorizer and the scheduler's caches a moment later.
        time.sleep(1)

    def _scene(self, play: Play, own: tuple[str, ...]) -> tuple[Play, Scene]:
        rng = random.Random(self._rng.random())
        namespace = f"{rng.choice(_PLACES)}-{next(self._numbers)}"
        scene = Scene(play.__name__, namespace, rng, self.cluster, self.watch, self.book)
        scene.node = own[0] if own else ""
        return play, scene

    def _lane(self, scenes: list[tuple[Play, Scene]]) -> None:
        for play, scene in scenes:
            try:
                scene.open()
                play(scene)
                scene.close()
            except (KubectlError, OSError, RuntimeError, ValueError, LookupError) as e:
                self.book.failed.append(f"{scene.name} in {scene.namespace}: {type(e).__name__}: {e}")
                traceback.print_exc()
                if scene.node:
                    self._mend(scene.node)

    def _mend(self, node: str) -> None:
        """A failed scenario leaves its node to the next one."""
        for args in (("uncordon", node), ("taint", "node", node, "example.com/maintenance-")):
            self.cluster.kubectl_of("admin").run(*args)

    def _noise(self, made: tuple[Play, Scene]) -> None:
        scene = made[1]
        scene.open()
        _make_noise(scene)
        while not self._over.wait(scene.rng.uniform(1.5, 5)):
            try:
                scene.rng.choice(_NOISES)(scene)
            except (KubectlError, OSError) as e:
                print(f"noise: {e}")


def _make_noise(s: Scene) -> None:
    """A workload that everybody tinkers with all the time."""
    s.deployment(3)


def _delete_some(s: Scene) -> None:
    listed = s.admin.get(f"/api/v1/namespaces/{s.namespace}/pods")["items"]
    s.request(s.rng.choice(PEOPLE), "DELETE", s.path("Pod", name_of(s.rng.choice(listed))))


def _scale_it(s: Scene) -> None:
    s.merge(s.rng.choice(PEOPLE), s.path("Deployment") + "/scale", {"spec": {"replicas": s.rng.randint(1, 4)}})


def _restart_it(s: Scene) -> None:
    body = {"spec": {"template": {"metadata": {"annotations": {"example.com/at": str(s.rng.random())}}}}}
    s.merge(s.rng.choice(PEOPLE), s.path("Deployment"), body)


def _mark_a_node(s: Scene) -> None:
    node = s.rng.choice([n for n in nodes.NODES if n != "old-1"])
    body = {"metadata": {"annotations": {"example.com/checked": str(s.rng.randint(1, 99))}}}
    s.merge(s.rng.choice(PEOPLE), f"/api/v1/nodes/{node}", body)


def _look_around(s: Scene) -> None:
    node = s.rng.choice(nodes.NODES)
    s.request(s.rng.choice(PEOPLE), "GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")


def _run_one(s: Scene) -> None:
    name = f"{s.app}-once-{s.rng.randint(0, 1 << 24)}"
    s.make(s.rng.choice(PEOPLE), manifests.pod(s.namespace, name, GENERAL, "shop/once:exit0-1s", restartPolicy="Never"))


_NOISES = (_delete_some, _scale_it, _restart_it, _mark_a_node, _look_around, _run_one)
