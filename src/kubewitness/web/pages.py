"""The page that a browser asks from: the files that hatch_build.py makes of ui/.

They hold nothing that was recorded. Names under /assets/ carry a digest of their content, so browsers keep them for
good; everything else is asked for again each time. `sending` compresses them.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


def add_routes(app: web.Application) -> None:
    """GET /, /favicon.svg and /assets/..."""
    app.router.add_get("/", _index)
    app.router.add_get("/favicon.svg", _icon)
    app.router.add_get("/assets/{name}", _asset)


async def _index(_request: web.Request) -> web.Response:
    return _answer("index.html", "no-cache")


async def _icon(_request: web.Request) -> web.Response:
    return _answer("favicon.svg", "no-cache")


async def _asset(request: web.Request) -> web.Response:
    return _answer(f"assets/{request.match_info['name']}", _FOR_GOOD)


def _answer(name: str, caching: str) -> web.Response:
    found = _all().get(name)
    kind = _TYPES.get(name[name.rfind(".") :])
    if found is None or kind is None:
        raise web.HTTPNotFound(reason="no such file" if _all() else "the page is not built; `make page` builds it")
    return web.Response(body=found.read_bytes(), content_type=kind, charset="utf-8", headers={"Cache-Control": caching})


@functools.cache
def _all() -> dict[str, Traversable]:
    """What there is by its path, so that no path of a request ever touches the file system."""
    page = files("kubewitness.web") / "page"
    if not page.is_dir():  # sources that were never built
        return {}
    assets = page / "assets"
    return {f.name: f for f in page.iterdir() if f.is_file()} | {f"assets/{f.name}": f for f in assets.iterdir()}
