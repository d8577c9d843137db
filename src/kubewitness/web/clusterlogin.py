"""Log in with a token of the cluster, and see what it lets that user read (docs/decisions/0014-access.md).

The API server is asked whose token it is (TokenReview) and what that user may do (SubjectAccessReview), again when the
answers are so many seconds old: a revoked token or right stops working then. Whatever cannot be told is not shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from kubewitness.formats.scope import POD_LOGS, Scope
from kubewitness.kube.client import KubeClient
from kubewitness.kube.reviews import Ask, Subject, allowed, who_shows
from kubewitness.questions.recorded import Place, places
from kubewitness.web.identity import Identity, Refused, digest_of
from kubewitness.web.running import Sessions

#: the places of which anything was recorded
Recorded = Callable[[str], Awaitable[frozenset[Place]]]

#: seconds that an answer of the API server counts
TOKEN_SECONDS, RIGHTS_SECONDS = 5.0, 60.0
#: users whose answers are kept, and rights that are asked about for one of them
_MOST_USERS = 1000
MOST_ASKS = 5000
_VERBS = ("get", "list")
_LONGEST_TOKEN = 16 * 1024
T = TypeVar("T")


class Places:
    """What was recorded of a cluster; looked up in the store again when that is so many seconds old."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: dict[str, tuple[float, frozenset[Place]]] = {}
        self._lock = asyncio.Lock()

    async def __call__(self, cluster: str) -> frozenset[Place]:
        async with self._lock:
            asked, found = self._known.get(cluster, (0.0, frozenset()))
            if cluster not in self._known or time.monotonic() - asked >= RIGHTS_SECONDS:
                found = await asyncio.to_thread(self._look, cluster)
                self._known = {cluster: (time.monotonic(), found)}
            return found

    def _look(self, cluster: str) -> frozenset[Place]:
        with self._sessions() as session:
            return places(session, cluster)


class ClusterLogin:
    """`cluster`: what the store calls the cluster that is asked."""

    name = "cluster"

    def __init__(
        self, client: KubeClient, cluster: str, recorded: Recorded, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._recorded = recorded
        self._clock = clock
        self._subjects: dict[bytes, tuple[float, Subject]] = {}
        self._identities: dict[bytes, tuple[float, Identity]] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def identify(self, token: str) -> Identity:
        """Raises `Refused`; `KubewitnessError` when the cluster cannot be asked."""
        if not token or len(token) > _LONGEST_TOKEN:
            raise Refused("log in with a token of the cluster")
        key = digest_of(token)
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # of many requests at once one asks
                subject = await self._subject(key, token)
                return await self._identity(subject)
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    async def _subject(self, key: bytes, token: str) -> Subject:
        asked, subject = self._subjects.get(key, (0.0, None))
        if subject is not None and self._clock() - asked < TOKEN_SECONDS:
            return subject
        self._subjects.pop(key, None)
        subject = await who_shows(self._client, token)
        if subject is None:
            raise Refused("the cluster does not accept this token")
        _keep(self._subjects, key, (self._clock(), subject))
        return subject

    async def _identity(self, subject: Subject) -> Identity:
        key = msgspec.json.encode(subject)
        asked, identity = self._identities.get(key, (0.0, None))
        if identity is not None and self._clock() - asked < RIGHTS_SECONDS:
            return identity
        self._identities.pop(key, None)
        now = self._clock()
        scope = await self._scope(subject)
        operator = scope.everything or (await allowed(self._client, subject, [Ask("get", path="/metrics")]))[0]
        identity = Identity(subject.username, scope, operator)
        _keep(self._identities, key, (now, identity))
        return identity

    async def _scope(self, subject: Subject) -> Scope:
        """What may be got and listed: everything; resources everywhere; resources in one namespace after the other."""
        if await self._all(subject, [("", "*", "*")]):
            return Scope(self._cluster, everything=True)
        recorded = await self._recorded(self._cluster)
        kinds = sorted({(group, resource) for _, group, resource in recorded} | {("", "pods"), ("", POD_LOGS)})
        everywhere = await self._which(subject, [("", group, resource) for group, resource in kinds[:MOST_ASKS]])
        anywhere = frozenset((group, resource) for _, group, resource in everywhere)
        # A namespace of which not even the pods may be read is not looked at any further.
        spaces = sorted({namespace for namespace, _, _ in recorded if namespace})[:MOST_ASKS]
        if ("", "pods") not in anywhere:
            spaces = [space for space, _, _ in await self._which(subject, [(s, "", "pods") for s in spaces])]
        of_space = {(s, g, r) for s, g, r in recorded if s} | {(s, *k) for s in spaces for k in _PODS}
        rest = [(s, g, r) for s, g, r in sorted(of_space) if s in set(spaces) and (g, r) not in anywhere]
        within = await self._which(subject, rest[:MOST_ASKS])
        return Scope(self._cluster, anywhere=anywhere, within=frozenset(within))

    async def _which(self, subject: Subject, resources: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        """Those (namespace, group, plural) of which the user has every verb that counts."""
        some = list(resources)
        asks = [ask for resource in some for ask in _asks(*resource)]
        answers = await allowed(self._client, subject, asks)
        granted = {ask for ask, yes in zip(asks, answers, strict=True) if yes}
        return [r for r in some if granted.issuperset(_asks(*r))]

    async def _all(self, subject: Subject, resources: list[tuple[str, str, str]]) -> bool:
        return len(await self._which(subject, resources)) == len(resources)

    async def close(self) -> None:
        await self._client.close()


_PODS = (("", "pods"), ("", POD_LOGS), ("", "events"))


def _asks(namespace: str, group: str, resource: str) -> list[Ask]:
    """The rights that reading what was recorded of a resource needs. A log is got, not listed."""
    plural, _, sub = resource.partition("/")
    verbs = _VERBS[:1] if sub else _VERBS
    return [Ask(verb, group, plural, sub, namespace) for verb in verbs]


def _keep(known: dict[bytes, tuple[float, T]], key: bytes, value: tuple[float, T]) -> None:
    """The newest so many are kept."""
    while len(known) >= _MOST_USERS:
        known.pop(next(iter(known)))
    known[key] = value
