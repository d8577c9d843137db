"""Who may ask over HTTP: the Host header, other sites' pages, the login; and the headers that every answer carries."""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.web.browsers import Browsers
from kubewitness.web.identity import Identity, Login, Refused, digest_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IDENTITY = web.RequestKey("identity", Identity)

#: Probes must work without a token, and under any name; they tell nothing about the cluster.
_PROBES = frozenset({"/healthz", "/readyz"})
#: what a page needs to log in with; the page itself holds no data
_LOGGING_IN = frozenset({"/api/v1/session", "/api/v1/login", "/api/v1/logout"})

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: a year, for browsers that came by TLS once (RFC 6797)
_ONLY_TLS = "max-age=31536000"
#: refused tokens of one address within so many seconds, until it has to wait
_MOST_REFUSED, _WITHIN = 20, 60.0
_MOST_ADDRESSES = 10_000


def parse_listen(text: str, default_port: int) -> tuple[str, int]:
    """(host, port) of `127.0.0.1:8420`, `[::1]:8420`, `:8420`, `8420` or a bare host. Raises `UsageError`."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = (text, str(default_port)) if not text.isdigit() else ("", text)
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise UsageError(f"address {text!r}: {port!r} is not a port; write HOST:PORT, for instance 127.0.0.1:8420")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class NotLoggedIn(KubewitnessError):
    """A login is needed."""


class TooOften(KubewitnessError):
    """Too many tokens of this address were refused."""


class Guard:
    """The middleware. With a login, everything but probes, the page's files and the login itself needs a token:
    `Authorization: Bearer`, or the cookie of a browser that showed one. Without, only loopback is served, and only
    under a loopback name, so that no web page can reach it by DNS rebinding."""

    def __init__(
        self, host: str, login: Login, browsers: Browsers, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if login.name == "none" and not is_loopback(host):
            raise UsageError(
                f"listening on {host} would let anyone on the network read what was recorded; "
                "give --token-file FILE or --auth cluster, or listen on 127.0.0.1"
            )
        self._login = login
        self._browsers = browsers
        self._clock = clock
        self._refused: dict[str, deque[float]] = {}
        #: tokens that were good: they are not made to wait for those that guess
        self._good: dict[bytes, None] = {}

    def middleware(self) -> Middleware:
        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await self._answer(request, handler)
            if not response.prepared:
                await self.add_headers(request, response)
            return response

        return guarded

    @staticmethod
    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        """On every answer; on streams, which are sent before the middleware sees them, too."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.secure and not is_loopback(_name_of(request)):  # other servers of this machine may speak plain HTTP
            response.headers.setdefault("Strict-Transport-Security", _ONLY_TLS)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _PROBES:
            return await handler(request)
        if self._login.name == "none" and not is_loopback(_name_of(request)):
            return _refusal(f"this server does not answer as {request.host}", 421)
        if request.path.startswith("/api/") and _foreign(request):
            return _refusal("pages of other sites may not ask here", 403)
        if request.path in _LOGGING_IN or not (request.path.startswith("/api/") or request.path == "/metrics"):
            return await handler(request)
        try:
            request[IDENTITY] = await self.identify(request)
        except NotLoggedIn as e:
            return _refusal(str(e), 401)
        except TooOften as e:
            return _refusal(str(e), 429)
        except KubewitnessError as e:
            return _refusal(str(e), 503)
        return await handler(request)

    async def identify(self, request: web.Request, token: str | None = None) -> Identity:
        """Who asks: by `token`, else by what the request shows. Raises `NotLoggedIn`, `TooOften`, and
        `KubewitnessError` when that cannot be told now."""
        if self._login.name == "none":
            return await self._login.identify("")
        shown = token or _bearer(request) or self._browsers.token(request)
        if not shown:
            raise NotLoggedIn("a login is needed: Authorization: Bearer TOKEN, or POST /api/v1/login")
        peer, key = request.remote or "", digest_of(shown)
        if key not in self._good and self._waits(peer):
            raise TooOften("too many refused tokens from this address; try again in a minute")
        try:
            identity = await self._login.identify(shown)
        except Refused as e:
            self._good.pop(key, None)
            self._browsers.end(request)
            self._count(peer)
            raise NotLoggedIn(str(e)) from None
        if len(self._good) >= _MOST_ADDRESSES:
            self._good.clear()
        self._good[key] = None
        return identity

    def _waits(self, peer: str) -> bool:
        times = self._refused.get(peer)
        while times and self._clock() - times[0] > _WITHIN:
            times.popleft()
        return bool(times) and len(times or ()) >= _MOST_REFUSED

    def _count(self, peer: str) -> None:
        if len(self._refused) >= _MOST_ADDRESSES:
            self._refused.clear()
        self._refused.setdefault(peer, deque(maxlen=_MOST_REFUSED)).append(self._clock())


def identity_of(request: web.Request) -> Identity:
    """Who asks, of a request that was let through."""
    return request[IDENTITY]


def _name_of(request: web.Request) -> str:
    name = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
    return (name or request.host).strip("[]")


def _bearer(request: web.Request) -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _foreign(request: web.Request) -> bool:
    """Whether another site's page sent this (Fetch Metadata; Origin where a browser has none). Following a link is
    no such thing, nor is any program that is no browser."""
    site = request.headers.get("Sec-Fetch-Site", "")
    reads = request.method in ("GET", "HEAD")
    if site in ("cross-site", "same-site"):
        return not (reads and request.headers.get("Sec-Fetch-Mode") == "navigate")
    origin = request.headers.get("Origin", "")
    return not site and bool(origin) and not reads and urlsplit(origin).netloc != request.host


def _refusal(text: str, status: int) -> web.Response:
    response = web.json_response({"error": text}, status=status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 429:
        response.headers["Retry-After"] = str(int(_WITHIN))
    return response
