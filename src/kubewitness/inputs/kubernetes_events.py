"""Input `kubernetes_events`: every version of every Event of a cluster, each once; and of further kinds, if asked.

An Event seen to be deleted is recorded as EXPIRED: its time to live has passed, or its namespace went; nothing new
happened to what it is about. Of other objects a deletion is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from kubewitness.config.keys import Options
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.kubernetes_events_keys import KEYS, access_of, network_of, period_of
from kubewitness.inputs.kubernetes_events_watch import ListWatch, Plan
from kubewitness.kube import KubeClient, Resource
from kubewitness.kube.watchhealth import together

__all__ = ["KEYS", "KubernetesEvents"]

_APIS = ("v1", "events.k8s.io/v1")


class KubernetesEvents:
    """One cluster's Events, and the versions of what `resources` names (of one namespace, if one is given)."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        self._options = opts = Options("kubernetes_events", options, KEYS)
        self.cluster = opts.text("cluster")
        namespace = opts.text("kube_namespace")
        self.name = opts.text("alias") or f"kubernetes_events/{self.cluster}" + (f"/{namespace}" if namespace else "")
        self.access = access_of(opts)
        self._network = network_of(opts)
        self.watches: dict[str, ListWatch] = {}
        for word, plan in self._plans(namespace).items():
            ingest = Ingest(self.cluster, "kubernetes_events", redact_key, keyed=keyed, tag=opts.text("tag"))
            self.watches[word] = ListWatch(plan, ingest)

    def _plans(self, namespace: str) -> dict[str, Plan]:
        opts = self._options
        api, watch = opts.text("api"), opts.text("watch").lower()
        if api not in _APIS:
            raise UsageError(f"kubernetes_events: 'api' is {api!r}; it takes {' or '.join(_APIS)}")
        if watch not in ("auto", "on", "off"):
            raise UsageError(f"kubernetes_events: 'watch' is {watch!r}; it takes auto or off")
        words = dict.fromkeys(w.strip().lower() for w in opts.text("resources").split(",") if w.strip())

        def plan(name: str, resource: Resource | None = None, word: str = "") -> Plan:
            return Plan(
                name,
                namespace,
                resource,
                word,
                page=opts.number("kube_request_limit"),
                lasting=opts.seconds("kube_watch_timeout"),
                idle=opts.seconds("watch_idle"),
                period=period_of(opts),
                may_watch=watch != "off",
            )

        plans = {}
        if opts.flag("events"):
            plans["events"] = plan(self.name, Resource(api, "events", "Event", True))
            words.pop("events", None)
        plans |= {word: plan(f"{self.name}/{word}", word=word) for word in words}
        if not plans:
            raise UsageError("kubernetes_events: 'events' is off and 'resources' names nothing: nothing is left to do")
        return plans

    @property
    def kinds(self) -> list[str]:
        """What is watched beside Events, as `resources` calls it."""
        return [word for word in self.watches if word != "events"]

    def health(self) -> Mapping[str, object]:
        """Of all watches together, and of each under `watch`."""
        each = {word: watch.health() for word, watch in self.watches.items()}
        return {**together(list(each.values())), "watch": each}

    async def run(self, sink: Sink) -> None:
        """Records until cancelled. Raises UsageError when the configuration names no cluster that could answer."""
        self.access.find()
        try:
            async with KubeClient(self.access, network=self._network) as client, asyncio.TaskGroup() as tasks:
                for watch in self.watches.values():
                    tasks.create_task(watch.run(client, sink), name=watch.name)
        except BaseExceptionGroup as group:
            # the engine tells errors apart by their kind; the first one ended the others
            raise group.exceptions[0] from None
