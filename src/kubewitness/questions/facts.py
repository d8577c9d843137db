"""Facts: the few columns of recorded rows that questions reason over, fetched by narrow queries.

Every query here is narrowed by object key, audit id or time, so that its cost does not grow with the store.
Original bytes are fetched for single records only, when a body has to tell something that no column tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from kubewitness.formats.depth import manageable
from kubewitness.questions import reviewrows
from kubewitness.questions.bodies import Bodies, decoded
from kubewitness.questions.factrows import (
    ADMISSION,
    EVENT_COLUMNS,
    REQUEST_COLUMNS,
    SWITCHING_PROTOCOLS,
    VERSION_COLUMNS,
    WRITES,
    EventFact,
    RawPointer,
    Request,
    Session,
    VersionFact,
    event_of,
    request_of,
    version_of,
)
from kubewitness.questions.operations import LONGEST_US, SESSIONS, course_of, ends_of, merged, operation_of
from kubewitness.questions.targets import Ref, plain, same_name
from kubewitness.questions.times import Window

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


class Facts:
    """The fact base of one question: queries of one session, remembered for as long as the question lasts."""

    def __init__(self, session: Session, cluster: str, window: Window | None = None) -> None:
        self.session = session
        self.cluster = cluster
        self.window = window or Window()
        #: every request that was fetched, by its id; the first where an auditID was used again
        self.known: dict[str, Request] = {}
        self._by_object: dict[tuple[Ref, tuple[str, ...], bool], list[Request]] = {}
        self._sessions: dict[Ref, list[Request]] = {}
        self._events: dict[Ref, list[EventFact]] = {}
        self._versions: dict[Ref, list[VersionFact]] = {}
        self._bodies: dict[str, Bodies] = {}

    # requests

    def requests(self, ref: Ref, verbs: Sequence[str] = WRITES, *, status: bool = False) -> list[Request]:
        """Requests about one object (or, without a name, one collection), oldest first; all writes by default.

        Without `status`, writes of the status subresource are left out: nodes and pods have thousands. All writes of
        an object are fetched at once, because a question asks for several kinds of them.
        """
        ref = plain(ref)
        if ref.name and set(verbs) <= set(WRITES):
            found = self._object_requests(ref, WRITES, status)
            return found if verbs is WRITES else [r for r in found if r.verb in verbs]
        return self._object_requests(ref, tuple(sorted(verbs)), status)

    def _object_requests(self, ref: Ref, verbs: tuple[str, ...], status: bool) -> list[Request]:
        key = (ref, verbs, status)
        found = self._by_object.get(key)
        if found is None:
            where, params = self._object_where(ref, verbs, status)
            found = [r for r in self._query(where, params, self.window) if same_name(r.ref, ref)]
            if not found and ref.name and verbs == WRITES:
                seen = reviewrows.writes(self.session, *_about(ref), self.window)
                found = [r for r in seen if same_name(r.ref, ref) and (status or r.subresource != "status")]
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
            where, params = self._object_where(plain(ref), verbs, status)
            if user:
                where.append('"user" = ?')
                params.append(user)
            if without:
                where.append('NOT starts_with("user", ?)')
                params.append(without)
            rows = self._query(where, params, self.window.clip(None, until), limit)
            page = [r for r in reversed(rows) if r.done and r.id not in seen and same_name(r.ref, ref)]
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

    def sessions(self, ref: Ref) -> list[Request]:
        """Exec, attach and port-forward on one object, oldest first: those that were open in the window too, although
        they began before it."""
        found = self._sessions.get(ref)
        if found is None:
            where, params = self._object_where(plain(ref), ("create", "get"), status=False)
            where.append(f"subresource IN ({_marks(SESSIONS)})")
            since = self.window.since
            window = Window(None if since is None else since - LONGEST_US, self.window.until)
            found = [r for r in self._query(where, [*params, *SESSIONS], window) if same_name(r.ref, ref)]
            found = [r for r in found if since is None or r.ts >= since or (r.course is not None and r.course.open)]
            self._sessions[ref] = found
        return found

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
        rows = self._rows(where, params, order)
        found = _operations(rows)
        if window.until is not None and (cut := [r for r in found if r.course is not None and r.course.open]):
            known = {operation_of(r) for r in cut}
            found = _operations([*rows, *(r for r in self._rows(*ends_of(cut)) if operation_of(r) in known)])
        for r in found:
            self.known.setdefault(r.id, r)
        return found

    def _rows(self, where: list[str], params: list[Any], order: str = "") -> list[Request]:
        sql = f"SELECT {REQUEST_COLUMNS} FROM audit WHERE {' AND '.join(where)} {order}"  # noqa: S608
        return [request_of(row) for row in self.session.query(sql, params)]

    # Events and object versions

    def events(self, ref: Ref) -> list[EventFact]:
        """Events about one object, oldest first."""
        ref = plain(ref)
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
        ref = plain(ref)
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

    def fetch(self, refs: Iterable[Ref], *, status: bool = False) -> None:
        """The writes, Events and versions of many named objects at once, for questions that go on to ask of each. With
        `status` the writes of their status too, but for nodes: those have thousands."""
        asked = {r for r in map(plain, refs) if r.name and r.resource != "namespaces"}
        wanted = [r for r in asked if (r, WRITES, status) not in self._by_object]
        for some in ([r for r in wanted if r.resource != "nodes"], [r for r in wanted if r.resource == "nodes"]):
            for start in range(0, len(some), _AT_ONCE):
                self._fetch(some[start : start + _AT_ONCE], status=status and some[0].resource != "nodes")

    def _fetch(self, refs: list[Ref], *, status: bool) -> None:
        where, params = [f"object_key IN ({_marks(refs)})"], [r.key for r in refs]
        verbs = [*where, f"verb IN ({_marks(WRITES)})"]
        if not status:
            verbs.append("coalesce(subresource, '') <> 'status'")
        requests = self._query(verbs, [*params, *WRITES], self.window)
        events = self._event_query(where, params, self.window, _MOST)
        versions = self._version_query(where, params)
        if max(len(requests) * _STAGES, len(events), len(versions)) >= _MOST:
            return  # too much for one fetch: each is asked for by itself
        for ref in refs:
            mine = [r for r in requests if same_name(r.ref, ref)]
            if status and mine:  # else an admission review may tell
                self._by_object[(ref, WRITES, True)] = mine
                mine = [r for r in mine if r.subresource != "status"]
            if mine:
                self._by_object[(ref, WRITES, False)] = mine
            self._events[ref] = [e for e in events if same_name(e.ref, ref)]
            self._versions[ref] = [v for v in versions if same_name(v.ref, ref)]

    # bodies

    def bodies(self, request: Request) -> Bodies:
        """The request's decoded bodies; both None below level Request, or when they were truncated."""
        return self.all_bodies([request])[0]

    def all_bodies(self, requests: Sequence[Request]) -> list[Bodies]:
        """Bodies of several requests in one fetch."""
        wanted = [r for r in requests if r.level in ("Request", "RequestResponse", "") and r.id not in self._bodies]
        if wanted:
            for request, raw in zip(wanted, self.session.raw([r.pointer for r in wanted]), strict=True):
                self._bodies[request.id] = decoded(request.form, raw)
        return [self._bodies.get(r.id, Bodies()) for r in requests]

    def version_body(self, version: VersionFact) -> Any:
        """The object as the watch saw it."""
        return msgspec.json.decode(manageable(self.session.raw([version.pointer])[0]))


def _about(ref: Ref) -> tuple[list[str], list[Any]]:
    """The rows about a name. A request about a namespace says that it is in that namespace, but not its create."""
    if ref.resource == "namespaces" and ref.name:
        inner = Ref(ref.cluster, ref.group, ref.resource, ref.name, ref.name)
        return ["object_key IN (?, ?)"], [ref.key, inner.key]
    return ["object_key = ?"], [ref.key]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _operations(stages: Iterable[Request]) -> list[Request]:
    """One request each: its last stage, and its course."""
    return [msgspec.structs.replace(s[-1], course=course_of(s)) for s in merged(stages)]
