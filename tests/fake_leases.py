"""Leases of the fake API server: get, create, replace; a replace with an old resourceVersion is answered 409."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.fake_apiserver import FakeApiServer


class FakeLeases:
    """`objects`: (namespace, name) -> Lease; `writes` counts what was taken."""

    def __init__(self, server: FakeApiServer) -> None:
        self._server = server
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0

    def spec(self, name: str = "kubewitness", namespace: str = "default") -> dict[str, Any]:
        spec: dict[str, Any] = self.objects[namespace, name]["spec"]
        return spec

    def put(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Stores it under a new version, as a write of anybody."""
        self._server.version += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self._server.version)}
        self.objects[metadata["namespace"], metadata["name"]] = taken = {**lease, "metadata": metadata}
        self.writes += 1
        return taken

    def add_routes(self, app: web.Application, base: str) -> None:
        path = base + "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        app.router.add_post(path, self._create)
        app.router.add_get(path + "/{name}", self._get)
        app.router.add_put(path + "/{name}", self._replace)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        refused = await self._server.before(request)
        found = self.objects.get((request.match_info["namespace"], request.match_info["name"]))
        return refused or (_status(404, "NotFound") if found is None else web.json_response(found))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        refused = await self._server.before(request)
        lease = await request.json()
        if refused is not None:
            return refused
        if (lease["metadata"]["namespace"], lease["metadata"]["name"]) in self.objects:
            return _status(409, "AlreadyExists")
        return web.json_response(self.put(lease), status=201)

    async def _replace(self, request: web.Request) -> web.StreamResponse:
        refused = await self._server.before(request)
        lease = await request.json()
        if refused is not None:
            return refused
        found = self.objects.get((request.match_info["namespace"], request.match_info["name"]))
        if found is None:
            return _status(404, "NotFound")
        if lease["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            return _status(409, "Conflict")
        return web.json_response(self.put(lease))


def _status(code: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": reason}, status=code)
