"""The page that a browser asks from: the files that hatch_build.py makes of ui/, with caching and compression.

Served without a login: they hold nothing that was recorded. Names under /assets/ carry a digest of their content, so
browsers keep them for good; everything else is asked for again each time.
"""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
#: below this a compressed body is no smaller on the wire
_LEAST = 1024


@dataclass(frozen=True, slots=True)
class PageFile:
    body: bytes
    packed: bytes | None
    kind: str


def add_routes(app: web.Application) -> None:
    """GET /, /favicon.svg and /assets/..."""
    app.router.add_get("/", _index)
    app.router.add_get("/favicon.svg", _icon)
    app.router.add_get("/assets/{name}", _asset)


def is_page(path: str) -> bool:
    """Whether a path is one of the page's own files, which hold nothing that was recorded."""
    return path in ("/", "/favicon.svg") or path.startswith("/assets/")


async def _index(request: web.Request) -> web.Response:
    return _answer(request, _found("index.html"), "no-cache")


async def _icon(request: web.Request) -> web.Response:
    return _answer(request, _found("favicon.svg"), "no-cache")


async def _asset(request: web.Request) -> web.Response:
    return _answer(request, _found("assets", request.match_info["name"]), _FOR_GOOD)


def _answer(request: web.Request, found: PageFile | None, caching: str) -> web.Response:
    if found is None:
        raise web.HTTPNotFound(reason="no such file")
    headers = {"Cache-Control": caching, "Vary": "Accept-Encoding"}
    body = found.body
    if found.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = found.packed
    return web.Response(body=body, content_type=found.kind, charset="utf-8", headers=headers)


@functools.cache
def _all() -> dict[tuple[str, ...], Traversable]:
    """What there is, so that no path of a request ever touches the file system."""
    page = files("kubewitness.web") / "page"
    assets = page / "assets"
    found = {(f.name,): f for f in page.iterdir() if f.is_file()} if page.is_dir() else {}
    if assets.is_dir():
        found |= {("assets", f.name): f for f in assets.iterdir()}
    return found


@functools.lru_cache(maxsize=64)
def _read(place: tuple[str, ...]) -> PageFile:
    path = _all()[place]
    body = path.read_bytes()
    packed = gzip.compress(body, 9, mtime=0) if len(body) >= _LEAST else None
    return PageFile(body, packed, _TYPES[path.name.rpartition(".")[2]])


def _found(*place: str) -> PageFile | None:
    known = _all().get(place)
    return _read(place) if known is not None and known.name.rpartition(".")[2] in _TYPES else None
