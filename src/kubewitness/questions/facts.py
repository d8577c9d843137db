"""Facts: the few columns of recorded rows that questions reason over, fetched by narrow queries.

Every query here is narrowed by object key, audit id or time, so that its cost does not grow with the store.
Original bytes are fetched for single records only, when a body has to tell something that no column tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import envelopes
from kubewitness.formats.names import kind_of_resource
from kubewitness.questions.model import Actor
from kubewitness.questions.targets import Ref

#: (raw_seg, raw_frame, raw_off, raw_len) of a row
RawPointer = tuple[int, int, int, int]

#: verbs that change something
WRITES = ("create", "update", "patch", "delete")
#: rows of the first page of `newest_first`, and how many rows a request can have
_FIRST_PAGE = 32
_STAGES = 2

#: what the API server's `exec`, `attach` and `port-forward` answer when they worked
SWITCHING_PROTOCOLS = 101


class Session(Protocol):
    """The part of the store's session that questions use."""

    def query(self, sql: str, params: Any = (), /) -> list[tuple[Any, ...]]: ...

    def raw(self, pointers: Sequence[RawPointer], /) -> list[bytes]: ...


class Request(msgspec.Struct, frozen=True):
    """One request to the API server: the last recorded stage of it."""

    ts: int
    received: int
    cluster: str
    audit_id: str
    stage: str
    level: str
    verb: str
    user: str
    user_kind: str
    groups: list[str]
    acting_as: str
    peer_ip: str
    claimed_ips: list[str]
    user_agent: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    resource_version: str
    uri: str
    dry_run: bool
    code: int
    reason: str
    message: str
    annotations: str
    form: str
    flags: str
    pointer: RawPointer

    @property
    def id(self) -> str:
        return f"audit:{self.cluster}/{self.audit_id}/{self.stage}"

    @property
    def kind(self) -> str:
        return kind_of_resource(self.resource, self.group)

    @property
    def ref(self) -> Ref:
        namespace = "" if self.resource == "namespaces" else self.namespace
        return Ref(self.cluster, self.group, self.resource, namespace, self.name)

    @property
    def done(self) -> bool:
        """Whether the request had its effect: accepted, and not a dry run."""
        return (200 <= self.code < 300 or self.code == SWITCHING_PROTOCOLS) and not self.dry_run

    @property
    def action(self) -> str:
        """`create pods/eviction`, `patch`: the verb, with the resource where there is a subresource."""
        return f"{self.verb} {self.resource}/{self.subresource}" if self.subresource else self.verb

    @property
    def actor(self) -> Actor:
        return Actor(
            self.user or None,
            self.user_kind or "unknown",
            self.acting_as or None,
            self.groups,
            self.peer_ip or None,
            self.claimed_ips,
            self.user_agent or None,
        )

    @property
    def person(self) -> str:
        """Who it was, for sentences: the user, and whom they played."""
        name = self.user or "somebody whose name was not recorded"
        return f"{name} (acting as {self.acting_as})" if self.acting_as else name

    @property
    def played(self) -> str:
        """The user whose rights were used: the impersonated one, if any."""
        return self.acting_as or self.user


class EventFact(msgspec.Struct, frozen=True):
    """One version of a Kubernetes Event."""

    ts: int
    first: int
    cluster: str
    uid: str
    resource_version: str
    type: str
    reason: str
    message: str
    group: str
    resource: str
    kind: str
    namespace: str
    object_name: str
    object_uid: str
    related_kind: str
    related_namespace: str
    related_name: str
    component: str
    instance: str
    count: int
    field_path: str

    @property
    def id(self) -> str:
        return f"event:{self.cluster}/{self.uid}@{self.resource_version}"

    @property
    def ref(self) -> Ref:
        return Ref(self.cluster, self.group, self.resource, self.namespace, self.object_name, self.kind)


class VersionFact(msgspec.Struct, frozen=True):
    """One version of an object that a watch saw."""

    ts: int
    cluster: str
    change: str
    group: str
    resource: str
    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    resource_version: str
    generation: int
    deletion: int | None
    pointer: RawPointer

    @property
    def id(self) -> str:
        return f"object:{self.cluster}/{self.uid}@{self.resource_version}"


class Bodies(msgspec.Struct, frozen=True):
    """The decoded bodies of a request; None where the audit level, or truncation, left them out."""

    request: Any = None
    response: Any = None


_REQUEST_COLUMNS = (
    'epoch_us(ts), coalesce(epoch_us(received_ts), epoch_us(ts)), cluster, audit_id, stage, level, verb, "user", '
    "user_kind, groups, impersonated_user, peer_ip, claimed_ips, user_agent, api_group, resource, subresource, "
    "namespace, name, uid, owner_kind, owner_name, owner_uid, resource_version, uri, dry_run, code, reason, message, "
    "annotations, form, flags, raw_seg, raw_frame, raw_off, raw_len"
)
_EVENT_COLUMNS = (
    "epoch_us(ts), coalesce(epoch_us(first_ts), epoch_us(ts)), cluster, uid, resource_version, type, reason, message, "
    "api_group, resource, kind, namespace, object_name, object_uid, related_kind, related_namespace, related_name, "
    "component, instance, count, field_path"
)
_VERSION_COLUMNS = (
    "epoch_us(ts), cluster, change, api_group, resource, namespace, name, uid, owner_kind, owner_name, owner_uid, "
    "resource_version, generation, epoch_us(deletion_ts), raw_seg, raw_frame, raw_off, raw_len"
)
_STAGE_RANK = {"RequestReceived": 0, "ResponseStarted": 1, "Panic": 2, "ResponseComplete": 3}


def _request(row: Sequence[Any]) -> Request:
    values: list[Any] = ["" if value is None else value for value in row[:32]]
    for i in (9, 12):  # groups, claimed_ips
        values[i] = list(row[i] or ())
    values[25] = bool(row[25])
    values[26] = int(row[26] or 0)
    return Request(*[*values, _pointer(row[32:36])])


def _pointer(values: Sequence[Any]) -> RawPointer:
    seg, frame, offset, length = (int(x or 0) for x in values)
    return seg, frame, offset, length


def _event(row: Sequence[Any]) -> EventFact:
    values: list[Any] = ["" if value is None else value for value in row]
    values[19] = int(row[19] or 1)
    return EventFact(*values)


def _version(row: Sequence[Any]) -> VersionFact:
    values: list[Any] = ["" if value is None else value for value in row[:12]]
    return VersionFact(*[*values, int(row[12] or 0), row[13], _pointer(row[14:18])])


class Window(msgspec.Struct, frozen=True):
    """A span of time, microseconds UTC, both ends included; None is open."""

    since: int | None = None
    until: int | None = None

    def clip(self, since: int | None, until: int | None) -> Window:
        """The part of this window that lies within the other."""
        lows = [t for t in (self.since, since) if t is not None]
        highs = [t for t in (self.until, until) if t is not None]
        return Window(max(lows) if lows else None, min(highs) if highs else None)

    def conditions(self, where: list[str], params: list[Any], column: str = "ts") -> None:
        if self.since is not None:
            where.append(f"{column} >= make_timestamp(?)")
            params.append(self.since)
        if self.until is not None:
            where.append(f"{column} <= make_timestamp(?)")
            params.append(self.until)


class Facts:
    """The fact base of one question: queries of one session, remembered for as long as the question lasts."""

    def __init__(self, session: Session, cluster: str, window: Window | None = None) -> None:
        self.session = session
        self.cluster = cluster
        self.window = window or Window()
        self._by_object: dict[tuple[Ref, tuple[str, ...], bool], list[Request]] = {}
        self._events: dict[Ref, list[EventFact]] = {}
        self._versions: dict[Ref, list[VersionFact]] = {}
        self._bodies: dict[str, Bodies] = {}

    # requests

    def requests(self, ref: Ref, verbs: Sequence[str] = WRITES, *, status: bool = False) -> list[Request]:
        """Requests about one object (or, without a name, one collection), oldest first; all writes by default.

        Without `status`, writes of the status subresource are left out: nodes and pods have thousands. All writes of
        an object are fetched at once, because a question asks for several kinds of them.
        """
        ref = _plain(ref)
        if ref.name and set(verbs) <= set(WRITES):
            found = self._object_requests(ref, WRITES, status)
            return found if verbs is WRITES else [r for r in found if r.verb in verbs]
        return self._object_requests(ref, tuple(sorted(verbs)), status)

    def _object_requests(self, ref: Ref, verbs: tuple[str, ...], status: bool) -> list[Request]:
        key = (ref, verbs, status)
        found = self._by_object.get(key)
        if found is None:
            where, params = self._object_where(ref, verbs, status)
            found = [r for r in self._query(where, params, self.window) if _same(r.ref, ref)]
            self._by_object[key] = found
        return found

    def _object_where(self, ref: Ref, verbs: Sequence[str], status: bool) -> tuple[list[str], list[Any]]:
        where, params = _about(ref)
        where.append(f"verb IN ({_marks(verbs)})")
        params.extend(verbs)
        if not status:
            where.append("coalesce(subresource, '') <> 'status'")
        return where, params

    def newest_first(
        self, ref: Ref, verbs: Sequence[str], until: int, *, user: str = "", without: str = "", status: bool = False
    ) -> Iterator[list[Request]]:
        """Accepted requests about an object from `until` back, in pages that grow: who looks for the last of something
        does not pay for the whole past. `user`: only this user's; `without`: no users whose names begin so."""
        limit = _FIRST_PAGE
        seen: set[str] = set()
        while True:
            where, params = self._object_where(_plain(ref), verbs, status)
            if user:
                where.append('"user" = ?')
                params.append(user)
            if without:
                where.append('NOT starts_with("user", ?)')
                params.append(without)
            rows = self._query(where, params, self.window.clip(None, until), limit)
            page = [r for r in reversed(rows) if r.done and r.id not in seen and _same(r.ref, ref)]
            seen.update(r.id for r in page)
            yield page
            if len(rows) < limit // _STAGES:
                return
            until = rows[0].ts
            limit *= 4

    def requests_in(
        self,
        window: Window,
        *,
        resource: str,
        subresource: str = "",
        namespace: str | None = None,
        user: str | None = None,
        verbs: Sequence[str] = (),
        uri_has: str = "",
        limit: int = 2000,
    ) -> list[Request]:
        """Requests about any object of a resource in a bounded time, oldest first; the newest `limit` of them."""
        where, params = (
            ["cluster = ?", "resource = ?", "coalesce(subresource, '') = ?"],
            [
                self.cluster,
                resource,
                subresource,
            ],
        )
        if namespace is not None:
            where.append("namespace = ?")
            params.append(namespace)
        if user is not None:
            where.append('"user" = ?')
            params.append(user)
        if verbs:
            where.append(f"verb IN ({_marks(verbs)})")
            params.extend(verbs)
        if uri_has:
            where.append("contains(uri, ?)")
            params.append(uri_has)
        return self._query(where, params, self.window.clip(window.since, window.until), limit)

    def request(self, audit_id: str) -> list[Request]:
        """The requests of an auditID: more than one when a client reused it."""
        return self._query(["audit_id = ?"], [audit_id], Window())

    def _query(self, where: list[str], params: list[Any], window: Window, limit: int = 20_000) -> list[Request]:
        where = [*where, "stage <> 'RequestReceived'"]
        params = list(params)
        window.conditions(where, params)
        sql = f"SELECT {_REQUEST_COLUMNS} FROM audit WHERE {' AND '.join(where)} ORDER BY ts DESC LIMIT {int(limit)}"  # noqa: S608
        rows = self.session.query(sql, params)
        return _last_stages(_request(row) for row in reversed(rows))

    # Events and object versions

    def events(self, ref: Ref) -> list[EventFact]:
        """Events about one object, oldest first."""
        ref = _plain(ref)
        found = self._events.get(ref)
        if found is None:
            where, params = _about(ref)
            found = self._events[ref] = self._event_query(where, params, self.window)
            found[:] = [e for e in found if (e.namespace or "", e.object_name) == (ref.namespace, ref.name)]
        return found

    def events_in(
        self, window: Window, *, namespace: str, reasons: Sequence[str], message_has: str = "", limit: int = 500
    ) -> list[EventFact]:
        """Events of a namespace with one of the reasons, in a bounded time, oldest first."""
        where, params = (
            ["cluster = ?", "namespace = ?", f"reason IN ({_marks(reasons)})"],
            [
                self.cluster,
                namespace,
                *reasons,
            ],
        )
        if message_has:
            where.append("contains(message, ?)")
            params.append(message_has)
        return self._event_query(where, params, self.window.clip(window.since, window.until), limit)

    def _event_query(self, where: list[str], params: list[Any], window: Window, limit: int = 2000) -> list[EventFact]:
        # an Event's end (EXPIRED) is no news: it repeats what the Event said while it lived
        where, params = [*where, "change <> 'EXPIRED'"], list(params)
        window.conditions(where, params)
        sql = f"SELECT {_EVENT_COLUMNS} FROM events WHERE {' AND '.join(where)} ORDER BY ts DESC LIMIT {int(limit)}"  # noqa: S608
        return [_event(row) for row in reversed(self.session.query(sql, params))]

    def versions(self, ref: Ref) -> list[VersionFact]:
        """Versions of one object that a watch saw, oldest first."""
        ref = _plain(ref)
        found = self._versions.get(ref)
        if found is None:
            where, params = _about(ref)
            self.window.conditions(where, params)
            sql = f"SELECT {_VERSION_COLUMNS} FROM objects WHERE {' AND '.join(where)} ORDER BY ts LIMIT 20000"  # noqa: S608
            rows = self.session.query(sql, params)
            found = self._versions[ref] = [v for v in map(_version, rows) if v.name == ref.name]
        return found

    # bodies

    def bodies(self, request: Request) -> Bodies:
        """The request's decoded bodies; both None below level Request, or when they were truncated."""
        return self.all_bodies([request])[0]

    def all_bodies(self, requests: Sequence[Request]) -> list[Bodies]:
        """Bodies of several requests in one fetch."""
        wanted = [r for r in requests if r.level in ("Request", "RequestResponse", "") and r.id not in self._bodies]
        if wanted:
            for request, raw in zip(wanted, self.session.raw([r.pointer for r in wanted]), strict=True):
                self._bodies[request.id] = _decode_bodies(request.form, raw)
        return [self._bodies.get(r.id, Bodies()) for r in requests]

    def version_body(self, version: VersionFact) -> Any:
        """The object as the watch saw it."""
        return msgspec.json.decode(self.session.raw([version.pointer])[0])


def _decode_bodies(form: str, raw: bytes) -> Bodies:
    """Bodies that cannot be read are as good as absent here: the record itself is kept, and shown by `search`."""
    try:
        asked, answered = envelopes.bodies(form, raw)
        return Bodies(
            msgspec.json.decode(asked) if asked else None, msgspec.json.decode(answered) if answered else None
        )
    except (msgspec.MsgspecError, Malformed):
        return Bodies()


def _about(ref: Ref) -> tuple[list[str], list[Any]]:
    """The rows about a name. A request about a namespace says that it is in that namespace, but not its create."""
    if ref.resource == "namespaces" and ref.name:
        inner = Ref(ref.cluster, ref.group, ref.resource, ref.name, ref.name)
        return ["object_key IN (?, ?)"], [ref.key, inner.key]
    return ["object_key = ?"], [ref.key]


def _plain(ref: Ref) -> Ref:
    """Without the spelling of its kind, so that equal names are equal refs."""
    return Ref(ref.cluster, ref.group, ref.resource, ref.namespace, ref.name) if ref.kind else ref


def _same(a: Ref, b: Ref) -> bool:
    if a.resource == "namespaces":
        return (b.resource, b.name) == ("namespaces", a.name)
    return (a.resource, a.namespace, a.name) == (b.resource, b.namespace, b.name)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _last_stages(requests: Iterable[Request]) -> list[Request]:
    """One request each: its last stage. A reused auditID is another request."""
    best: dict[tuple[str, str, str, str], Request] = {}
    for r in requests:
        key = (r.audit_id, r.user, r.verb, r.uri)
        held = best.get(key)
        if held is None or (
            _STAGE_RANK.get(r.stage, 0) >= _STAGE_RANK.get(held.stage, 0) and r.received == held.received
        ):
            best[key] = r
        elif r.received != held.received:
            best[(*key[:3], f"{r.uri} {r.received}")] = r
    return sorted(best.values(), key=lambda r: (r.ts, r.received))
