"""Wires a recorder's leader election: the Lease, what it says to the parts, and its end after theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from kubewitness.kube import KubeAccess, KubeClient
from kubewitness.kube.elector import Elector, Leadership
from kubewitness.kube.lease import Candidacy, Times, new_identity
from kubewitness.pipeline.terms import Terms


@dataclass(frozen=True, slots=True)
class ElectionOptions:
    """Which Lease, where, under which name. `namespace` "": that of the pod or of the kubeconfig's context."""

    access: KubeAccess
    name: str = "kubewitness"
    namespace: str = ""
    identity: str = ""
    times: Times = field(default_factory=Times)


class Election:
    """One process's part in an election. `group`: where records are kept, the same for all who may stand."""

    def __init__(self, options: ElectionOptions, group: str) -> None:
        self._client = KubeClient(options.access)
        leadership = Leadership()
        self.terms = Terms(leadership)
        namespace = options.namespace or options.access.find().config.namespace
        candidacy = Candidacy(new_identity(options.identity), namespace, options.name, options.times, group=group)
        self._elector = Elector(self._client, candidacy, leadership, self.terms.ended)

    def health(self) -> Mapping[str, object]:
        return self._elector.health()

    def not_ready(self) -> str:
        """Why requests should go to another replica; "" for the one that takes records."""
        if self.terms.open is not None:
            return ""
        health = self.health()
        if health["leading"]:
            return "leading, and opening the store"
        return f"standby; the leader is {health['holder'] or 'not elected yet'}"

    @contextlib.asynccontextmanager
    async def standing(self, on_end: Callable[[], None]) -> AsyncIterator[None]:
        """Stands for the Lease inside; gives it back behind everything that worked in a term.

        `on_end` is called when it cannot go on; its error is raised at the end of the context.
        """
        task = asyncio.create_task(self._elector.run(), name="leader election")
        task.add_done_callback(lambda _: on_end())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._elector.release()
            await self._client.close()
            if not task.cancelled():
                task.result()
