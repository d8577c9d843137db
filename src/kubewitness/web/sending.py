"""How answers are sent: as JSON, compressed when the client takes that, and only when they have changed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
from typing import Any, TypeVar

import msgspec
import zstandard
from aiohttp import web

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.web.guard import Handler
from kubewitness.web.params import NotRecorded
from kubewitness.web.running import TooBusy

_log = logging.getLogger(__name__)
T = TypeVar("T")

#: smaller answers are not worth it
_SMALL = 1024
_KINDS = ("application/json", "text/", "image/svg+xml")
_GZIP_LEVEL, _ZSTD_LEVEL = 5, 3
#: larger ones are compressed beside the event loop
_LARGE = 256 * 1024
#: seconds for the body of a request
_BODY_SECONDS = 10.0


def json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def error(message: str, status: int) -> web.Response:
    return json({"error": message}, status)


def with_more(response: web.Response, *, more: bool) -> web.Response:
    if more:
        response.headers["X-Kubewitness-More"] = "true"
    return response


async def body_of(request: web.Request, kind: type[T]) -> T:
    """The JSON body of a POST; as application/json, which no form of another site can send. Raises `UsageError`."""
    if request.content_type != "application/json":
        raise UsageError("send the body as JSON, with Content-Type: application/json")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not come in time") from None
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise UsageError(f"the body is not what is expected: {e}") from None


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors in words, and answers as `prepared` sends them."""
    response = await _told(request, handler)
    if not isinstance(response, web.Response):
        return response
    if isinstance(response.body, bytes) and len(response.body) > _LARGE:
        return await asyncio.to_thread(prepared, request, response)
    return prepared(request, response)


async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as e:
        if e.status < 400:
            raise
        response = error(e.reason, e.status)
        if "Allow" in e.headers:
            response.headers["Allow"] = e.headers["Allow"]
        return response
    except UsageError as e:
        return error(str(e), 400)
    except NotRecorded as e:
        return error(str(e), 404)
    except KubewitnessError as e:
        response = error(str(e), 503)
        if isinstance(e, TooBusy):
            response.headers["Retry-After"] = "2"
        return response
    except Exception:
        _log.exception("%s %s", request.method, request.rel_url.raw_path)  # as sent: a decoded one may hold line ends
        return error("something went wrong in the server; its log says what", 500)


def prepared(request: web.Request, response: web.Response) -> web.Response:
    """With an ETag where it may be kept by the client, 304 when the client has it, and compressed."""
    body = response.body
    if not isinstance(body, bytes) or response.status != 200 or request.method not in ("GET", "HEAD"):
        return response
    if "ETag" not in response.headers and request.path.startswith("/api/"):
        _tag(response, body)
    if _has(request, response.headers.get("ETag", "")):
        kept = {k: v for k, v in response.headers.items() if k.lower() not in ("content-type", "content-length")}
        return web.Response(status=304, headers=kept)
    return _compressed(request, response, body)


def _tag(response: web.Response, body: bytes) -> None:
    """The client may keep the answer, and must ask whether it still holds."""
    response.headers["ETag"] = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    response.headers["Cache-Control"] = "private, no-cache"


def _has(request: web.Request, etag: str) -> bool:
    """RFC 9110, section 13.1.2: weak comparison."""
    if not etag:
        return False
    bare = etag.removeprefix("W/")
    asked = request.headers.get("If-None-Match", "")
    return any(tag.strip().removeprefix("W/") in (bare, "*") for tag in asked.split(",") if tag.strip())


def _compressed(request: web.Request, response: web.Response, body: bytes) -> web.Response:
    kind = response.content_type
    if "Content-Encoding" in response.headers or not kind.startswith(_KINDS):
        return response
    response.headers["Vary"] = "Accept-Encoding"
    coding = coding_of(request.headers.get("Accept-Encoding", "")) if len(body) >= _SMALL else ""
    if coding == "zstd":
        response.body = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
    elif coding == "gzip":
        response.body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
    if coding:
        response.headers["Content-Encoding"] = coding
    return response


def coding_of(accepted: str) -> str:
    """`zstd`, `gzip` or "": the best that an Accept-Encoding allows (RFC 9110, section 12.5.3)."""
    weights = {}
    for part in accepted.lower().split(","):
        name, _, rest = part.strip().partition(";")
        weight = rest.strip().removeprefix("q=") if rest else "1"
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            weights[name.strip()] = 0.0
    allowed = [c for c in ("zstd", "gzip") if weights.get(c, weights.get("*", 0.0)) > 0]
    return max(allowed, key=lambda c: weights.get(c, weights.get("*", 0.0)), default="")
