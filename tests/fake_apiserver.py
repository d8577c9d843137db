"""An API server for faults: lists and watches Events as a real one does, and misbehaves on request.

Shapes follow captures of a real server: list items without kind and apiVersion, watch lines with both, an in-stream
ERROR Status of code 410 for an old version, silence for a future one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.fake_leases import FakeLeases

#: plural -> apiVersion, kind, short names
KINDS = {
    "pods": ("v1", "Pod", ["po"]),
    "namespaces": ("v1", "Namespace", ["ns"]),
    "secrets": ("v1", "Secret", []),
    "deployments": ("apps/v1", "Deployment", ["deploy"]),
    "widgets": ("example.com/v1beta1", "Widget", []),
}

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class FakeApiServer:
    """`put` and `expire` change what there is; `faults` are tried on each request before it is served."""

    def __init__(self, host: str = "127.0.0.1", *, base: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        #: path before /api, as of a proxy that serves several clusters
        self._base = base
        self._tls = tls
        #: resources beside Events: "pods" -> name -> object; of `KINDS`
        self.things: dict[str, dict[str, dict[str, Any]]] = {}
        self.thing_history: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
        self.leases = FakeLeases(self)
        self.uid = "cluster-1"
        self.version = 100
        #: versions below are compacted away
        self.compacted = 0
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        #: (uid, resourceVersion) of every Event's every version, whatever became of it
        self.said: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.token: str | None = None
        #: (path, query) of each request
        self.requests: list[tuple[str, dict[str, str]]] = []
        #: bytes a watch writes at once; 0: a line at a time
        self.cut = 0
        #: silently gone: watches stay open and say nothing
        self.frozen = False
        #: lists end with `continue: ""` instead of none
        self.empty_continue = False
        #: put into the next watch that has something to say, before it
        self.extra_lines = b""
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._streams: set[web.StreamResponse] = set()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}{self._base}"

    @property
    def port(self) -> int:
        return self._port

    async def start(self) -> None:
        app = web.Application()
        add = app.router.add_get
        base = self._base
        add(f"{base}/api/v1/namespaces/kube-system", self._namespace)
        for path in ("/api/v1/events", "/api/v1/namespaces/{namespace}/events", "/apis/events.k8s.io/v1/events"):
            add(base + path, self._events)
        add(f"{base}/api/v1", self._discovery)
        add(f"{base}/apis", self._groups)
        add(base + "/apis/{group}/{version}", self._discovery)
        add(base + "/api/v1/{plural}", self._things)
        add(base + "/api/v1/namespaces/{namespace}/{plural}/{name}", self._thing)
        add(base + "/api/v1/namespaces/{name}", self._thing)
        add(base + "/apis/{group}/{version}/{plural}", self._things)
        self.leases.add_routes(app, base)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> FakeApiServer:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    # --- contents ----------------------------------------------------------------------------------------------------

    def put(self, name: str, **fields: Any) -> tuple[str, str]:
        """Creates or updates one Event; gives its (uid, resourceVersion)."""
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        count = self.objects.get(name, {}).get("count", 0) + 1
        event: dict[str, Any] = {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid-{name}",
                "resourceVersion": str(self.version),
                "creationTimestamp": "2026-11-22T10:00:00Z",
            },
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "pod-1"},
            "reason": "Killing",
            "message": "Stopping container web",
            "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2026-11-22T10:00:00Z",
            "lastTimestamp": "2026-11-22T10:00:00Z",
            "count": count,
            "type": "Normal",
            **fields,
        }
        self.objects[name] = event
        self._record(kind, event)
        return event["metadata"]["uid"], str(self.version)

    def expire(self, name: str) -> tuple[str, str]:
        """The Event's time to live has passed."""
        self.version += 1
        event = self.objects.pop(name)
        event = {**event, "metadata": {**event["metadata"], "resourceVersion": str(self.version)}}
        self._record("DELETED", event)
        return event["metadata"]["uid"], str(self.version)

    def put_thing(self, plural: str, name: str, **fields: Any) -> tuple[str, str]:
        """Creates or updates an object of one of `KINDS`; gives its (uid, resourceVersion)."""
        self.version += 1
        there = self.things.setdefault(plural, {})
        change = "MODIFIED" if name in there else "ADDED"
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(self.version)}
        metadata["creationTimestamp"] = "2026-11-22T10:00:00Z"
        there[name] = {**fields, "metadata": {**metadata, **fields.get("metadata", {})}}
        self._told(self.thing_history.setdefault(plural, []), change, there[name])
        return f"uid-{name}", str(self.version)

    def delete_thing(self, plural: str, name: str) -> tuple[str, str]:
        """Removes an object; gives its (uid, resourceVersion at the end)."""
        self.version += 1
        gone = self.things[plural].pop(name)
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
        self._told(self.thing_history[plural], "DELETED", gone)
        return f"uid-{name}", str(self.version)

    def _record(self, kind: str, event: dict[str, Any]) -> None:
        self.said.append((event["metadata"]["uid"], event["metadata"]["resourceVersion"]))
        self._told(self.history, kind, event)

    def _told(self, history: list[tuple[int, str, dict[str, Any]]], kind: str, thing: dict[str, Any]) -> None:
        history.append((self.version, kind, thing))
        self._changed.set()
        self._changed = asyncio.Event()

    # --- requests ----------------------------------------------------------------------------------------------------

    async def before(self, request: web.Request) -> web.StreamResponse | None:
        self.requests.append((request.path, dict(request.query)))
        for fault in list(self.faults):
            answer = await fault(request)
            if answer is not None:
                return answer
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        return None

    async def _namespace(self, request: web.Request) -> web.StreamResponse:
        return await self.before(request) or web.json_response({"metadata": {"uid": self.uid}})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        refused = await self.before(request)
        if refused is not None:
            return refused
        if request.query.get("watch"):
            api = "events.k8s.io/v1" if "events.k8s.io" in request.path else "v1"
            return await self._watch(request, lambda: self.history, {"kind": "Event", "apiVersion": api})
        return await self._list(request, self.objects)

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        refused = await self.before(request)
        version = "/".join(v for v in (request.match_info.get("group"), request.match_info.get("version", "v1")) if v)
        resources = [
            {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["list", "watch"]}
            for plural, (api, kind, _) in KINDS.items()
            if api == version
        ]
        short = {plural: names for plural, (_, _, names) in KINDS.items()}
        for resource in resources:
            resource["shortNames"] = short[str(resource["name"])]
        return refused or web.json_response({"kind": "APIResourceList", "resources": resources})

    async def _groups(self, request: web.Request) -> web.StreamResponse:
        groups = [
            {"name": api.partition("/")[0], "preferredVersion": {"groupVersion": api, "version": api.partition("/")[2]}}
            for api in dict.fromkeys(api for api, _, _ in KINDS.values() if "/" in api)
        ]
        return await self.before(request) or web.json_response({"kind": "APIGroupList", "groups": groups})

    async def _things(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        refused = await self.before(request)
        if refused is not None:
            return refused
        if plural not in KINDS:
            return status(404, "NotFound")
        api, kind, _ = KINDS[plural]
        if request.query.get("watch"):
            history = self.thing_history.setdefault(plural, [])
            seen = self._selected(request)
            chosen = lambda: [told for told in history if seen(told[2])]  # noqa: E731
            return await self._watch(request, chosen, {"kind": kind, "apiVersion": api})
        seen = self._selected(request)
        return await self._list(request, {n: thing for n, thing in self.things.get(plural, {}).items() if seen(thing)})

    def _selected(self, request: web.Request) -> Callable[[dict[str, Any]], bool]:
        """What a field selector leaves: `spec.nodeName=NODE` is the only one there is."""
        _, _, node = request.query.get("fieldSelector", "").partition("spec.nodeName=")
        return lambda thing: not node or thing.get("spec", {}).get("nodeName") == node

    async def _thing(self, request: web.Request) -> web.StreamResponse:
        refused = await self.before(request)
        if refused is not None:
            return refused
        plural = request.match_info.get("plural", "namespaces")
        found = self.things.get(plural, {}).get(request.match_info["name"])
        namespace = request.match_info.get("namespace")
        if found is None or (namespace is not None and found["metadata"]["namespace"] != namespace):
            return status(404, "NotFound")
        return web.json_response({"kind": KINDS[plural][1], "apiVersion": "v1", **found})

    async def _list(self, request: web.Request, objects: dict[str, dict[str, Any]]) -> web.StreamResponse:
        limit = int(request.query.get("limit", "0")) or len(objects) + 1
        start, version = 0, self.version
        if token := request.query.get("continue"):
            start, version = map(int, token.split("@"))
            if version < self.compacted:
                return status(410, "Expired")
        names = sorted(objects)
        page = [objects[name] for name in names[start : start + limit]]
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(names):
            metadata["continue"] = f"{start + limit}@{version}"
        elif self.empty_continue:
            metadata["continue"] = ""
        return web.json_response({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page})

    async def _watch(
        self, request: web.Request, history: Callable[[], list[tuple[int, str, dict[str, Any]]]], head: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._streams.add(response)
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", "60"))):
                await self._stream(response, int(request.query["resourceVersion"]), history, head)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._streams.discard(response)
        return response

    async def _stream(
        self,
        response: web.StreamResponse,
        after: int,
        history: Callable[[], list[tuple[int, str, dict[str, Any]]]],
        head: dict[str, str],
    ) -> None:
        if after < self.compacted:
            body = {"kind": "Status", "status": "Failure", "message": "too old", "reason": "Expired", "code": 410}
            await response.write(json.dumps({"type": "ERROR", "object": body}).encode() + b"\n")
            return
        while True:
            changed = self._changed
            parts, self.extra_lines = [self.extra_lines], b""
            for version, kind, thing in history():
                if version > after and not self.frozen:
                    after = version
                    parts.append(json.dumps({"type": kind, "object": {**head, **thing}}).encode() + b"\n")
            lines = b"".join(parts)
            for start in range(0, len(lines), self.cut or max(1, len(lines))):
                await response.write(lines[start : start + (self.cut or len(lines))])
                if self.cut:
                    await asyncio.sleep(0)
            await changed.wait()

    def break_connections(self) -> None:
        """Cuts all watches in the middle, as a load balancer or a crash does."""
        for response in list(self._streams):
            transport = getattr(response._req, "transport", None)
            if transport is not None:
                transport.abort()


def status(code: int, reason: str, **headers: str) -> web.Response:
    """A metav1.Status as answer."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": reason,
        "code": code,
    }
    return web.json_response(body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})
