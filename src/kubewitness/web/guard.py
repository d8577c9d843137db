"""Who may ask over HTTP: the Host header, the bearer token, and the headers that every answer carries."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from kubewitness.errors import UsageError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Probes must work without a token; they tell nothing about the cluster.
_OPEN = frozenset({"/healthz", "/readyz"})

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


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


class Guard:
    """The middleware. With a token file every request but the probes needs `Authorization: Bearer`; without one,
    only loopback is served, and only under a loopback name, so that no web page can reach it by DNS rebinding."""

    def __init__(self, host: str, token_file: Path | None) -> None:
        if token_file is None and not is_loopback(host):
            raise UsageError(
                f"listening on {host} would let anyone on the network read what was recorded; "
                "give --token-file FILE, or listen on 127.0.0.1"
            )
        self._token_file = token_file
        self._token()

    def _token(self) -> bytes | None:
        """Read at every request, so that a rotated token works at once."""
        if self._token_file is None:
            return None
        try:
            token = self._token_file.read_bytes().strip()
        except OSError as e:
            raise UsageError(f"token file {self._token_file}: {e.strerror}") from e
        if not token:
            raise UsageError(f"token file {self._token_file} is empty; write a token into it")
        return token

    def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to a request that may not be served; None when it may."""
        if request.path in _OPEN:
            return None
        if self._token_file is None:
            name = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
            if not is_loopback((name or request.host).strip("[]")):
                return web.json_response({"error": f"this server does not answer as {request.host}"}, status=421)
            return None
        try:
            token = self._token()
        except UsageError as e:
            return web.json_response({"error": str(e)}, status=503)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token or b"\0"):
            answer = web.json_response({"error": "a bearer token is needed (Authorization: Bearer ...)"}, status=401)
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        return None

    def middleware(self) -> Middleware:
        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = self.refusal(request) or await handler(request)
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return guarded
