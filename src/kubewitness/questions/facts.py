"""Facts: the few columns of recorded rows that questions reason over, fetched by narrow queries.

Every query here is narrowed by object key, audit id or time, so that its cost does not grow with the store.
Original bytes are fetched for single records only, when a body has to tell something that no column tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import envelopes
from kubewitness.formats.depth import manageable
from kubewitness.questions.factrows import (
    ADMISSION,
    EVENT_COLUMNS,
    OPERATIONS,
    REQUEST_COLUMNS,
    SWITCHING_PROTOCOLS,
    VERSION_COLUMNS,
    WRITES,
    Bodies,
    EventFact,
    RawPointer,
    Request,
    Session,
    VersionFact,
    Window,
    event_of,
    pointer_of,
    request_of,
    version_of,
)
from kubewitness.questions.targets import Ref

__all__ = [
    "ADMISSION",
    "SWITCHING_PROTOCOLS",
    "WRITES",
    "Bodies",
    "EventFact",
    "Facts",
    "RawPointer",
    "Request",
    "Session",
    "VersionFact",
    "Window",
]

#: rows of the first page of `newest_first`, and how many rows a request can have
_FIRST_PAGE = 32
_STAGES = 2
#: rows of one fetch, and objects of one fetch of many
_MOST = 20_000
_AT_ONCE = 100

#: what is written all the time, and sets nothing off
_CHATTER = ("leases", "endpoints", "endpointslices", "events")

_STAGE_RANK = {"RequestReceived": 0, "ResponseStarted": 1, "Panic": 2, "ResponseComplete": 3}


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
            if not found and ref.name and verbs == WRITES:
                found = [r for r in self._reviewed(ref) if status or r.subresource != "status"]
            self._by_object[key] = found
        return found

    def _reviewed(self, ref: Ref) -> list[Request]:
        """An object's writes as an admission webhook saw them, for clusters whose audit trail is not recorded.

        The code is 200 by assumption: a later webhook, or the storage, may have refused it.
        """
        where, params = _about(ref)
        self.window.conditions(where, params)
        sql = (
            'SELECT epoch_us(ts), cluster, review_uid, operation, "user", user_kind, groups, api_group, resource, '  # noqa: S608
            "subresource, namespace, name, uid, owner_kind, owner_name, owner_uid, dry_run, raw_seg, raw_frame, "
            f"raw_off, raw_len FROM admission WHERE {' AND '.join(where)} ORDER BY ts LIMIT 20000"
        )
        found = []
        for row in self.session.query(sql, params):
            v: list[Any] = ["" if value is None else value for value in row]
            verb = OPERATIONS.get(v[3])
            if verb is not None:
                head = [v[0], v[0], v[1], v[2], "ResponseComplete", ADMISSION, verb, v[4], v[5], list(row[6] or ())]
                values: list[Any] = [*head, "", "", [], "", *v[7:16], "", "", bool(row[16]), 200, "", "", "", "", ""]
                found.append(Request(*[*values, pointer_of(row[17:21])]))
        return [r for r in found if _same(r.ref, ref)]

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

    def written_after(self, window: Window, namespace: str | None, limit: int) -> list[Request]:
        """Writes of a namespace, or the removals of the whole cluster (None), oldest first: the first `limit` of them.
        Without what controllers and kubelets write all the time: status, leases, endpoints, Events."""
        where, params = ["cluster = ?", f"resource NOT IN ({_marks(_CHATTER)})"], [self.cluster, *_CHATTER]
        if namespace is None:
            where.append("(verb IN ('delete', 'deletecollection') OR subresource = 'eviction')")
            where.append("NOT starts_with(\"user\", 'system:node:')")
        else:
            where.append("namespace = ? AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')")
            params.append(namespace)
        where.append("coalesce(subresource, '') IN ('', 'scale', 'binding', 'eviction')")
        return self._query(where, params, self.window.clip(window.since, window.until), limit, newest=False)

    def _query(
        self, where: list[str], params: list[Any], window: Window, limit: int = _MOST, *, newest: bool = True
    ) -> list[Request]:
        where = [*where, "stage <> 'RequestReceived'"]
        params = list(params)
        window.conditions(where, params)
        order = f"ORDER BY ts {'DESC' if newest else ''} LIMIT {int(limit)}"
        rows = self.session.query(f"SELECT {REQUEST_COLUMNS} FROM audit WHERE {' AND '.join(where)} {order}", params)  # noqa: S608
        return _last_stages(request_of(row) for row in (reversed(rows) if newest else rows))

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
        sql = f"SELECT {EVENT_COLUMNS} FROM events WHERE {' AND '.join(where)} ORDER BY ts DESC LIMIT {int(limit)}"  # noqa: S608
        return [event_of(row) for row in reversed(self.session.query(sql, params))]

    def versions(self, ref: Ref) -> list[VersionFact]:
        """Versions of one object that a watch saw, oldest first."""
        ref = _plain(ref)
        found = self._versions.get(ref)
        if found is None:
            where, params = _about(ref)
            found = self._versions[ref] = [v for v in self._version_query(where, params) if v.name == ref.name]
        return found

    def _version_query(self, where: list[str], params: list[Any]) -> list[VersionFact]:
        where, params = [*where], list(params)
        self.window.conditions(where, params)
        sql = f"SELECT {VERSION_COLUMNS} FROM objects WHERE {' AND '.join(where)} ORDER BY ts LIMIT {_MOST}"  # noqa: S608
        return [version_of(row) for row in self.session.query(sql, params)]

    def fetch(self, refs: Iterable[Ref]) -> None:
        """The writes, Events and versions of many named objects at once, for questions that go on to ask of each."""
        asked = {r for r in map(_plain, refs) if r.name and r.resource != "namespaces"}
        wanted = [r for r in asked if (r, WRITES, False) not in self._by_object]
        for start in range(0, len(wanted), _AT_ONCE):
            self._fetch(wanted[start : start + _AT_ONCE])

    def _fetch(self, refs: list[Ref]) -> None:
        where, params = [f"object_key IN ({_marks(refs)})"], [r.key for r in refs]
        verbs = [*where, f"verb IN ({_marks(WRITES)})", "coalesce(subresource, '') <> 'status'"]
        requests = self._query(verbs, [*params, *WRITES], self.window)
        events = self._event_query(where, params, self.window, _MOST)
        versions = self._version_query(where, params)
        if max(len(requests) * _STAGES, len(events), len(versions)) >= _MOST:
            return  # too much for one fetch: each is asked for by itself
        for ref in refs:
            mine = [r for r in requests if _same(r.ref, ref)]
            if mine:  # else an admission review may tell
                self._by_object[(ref, WRITES, False)] = mine
            self._events[ref] = [e for e in events if _same(e.ref, ref)]
            self._versions[ref] = [v for v in versions if _same(v.ref, ref)]

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
        return msgspec.json.decode(manageable(self.session.raw([version.pointer])[0]))


def _decode_bodies(form: str, raw: bytes) -> Bodies:
    """Bodies that cannot be read are as good as absent here: the record itself is kept, and shown by `search`."""
    try:
        asked, answered = envelopes.bodies(form, manageable(raw))
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
