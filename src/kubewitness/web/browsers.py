"""Browsers that logged in: a random id in a cookie stands for the token, which stays here, in memory only."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable

from aiohttp import web

COOKIE = "kubewitness_session"
#: seconds after which a login ends, whatever is done, and when nothing is
LONGEST, IDLE = 12 * 3600.0, 2 * 3600.0
_MOST = 1000


class Browsers:
    """The logins of one server; they end with it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: by id: (token, logged in at, used last)
        self._open: dict[str, tuple[str, float, float]] = {}

    def begin(self, token: str) -> str:
        """The new login's id."""
        while len(self._open) >= _MOST:  # the oldest of who has most, so that nobody can log others out
            most = Counter(held for held, _, _ in self._open.values()).most_common(1)[0][0]
            self._open.pop(next(i for i, (held, _, _) in self._open.items() if held == most))
        ident = secrets.token_urlsafe(32)
        self._open[ident] = (token, self._clock(), self._clock())
        return ident

    def token(self, request: web.Request) -> str | None:
        """The token of the request's cookie; None without one, or when its login has ended."""
        ident = request.cookies.get(COOKIE, "")
        found = self._open.get(ident)
        if found is None:
            return None
        token, begun, used = found
        now = self._clock()
        if now - begun > LONGEST or now - used > IDLE:
            self._open.pop(ident, None)
            return None
        self._open[ident] = (token, begun, now)
        return token

    def end(self, request: web.Request) -> None:
        self._open.pop(request.cookies.get(COOKIE, ""), None)


def set_cookie(request: web.Request, response: web.Response, ident: str) -> None:
    """No script reads it, no other site's page sends it, and over TLS it never travels without."""
    response.set_cookie(
        COOKIE, ident, max_age=int(LONGEST), path="/", httponly=True, samesite="Strict", secure=is_secure(request)
    )


def is_secure(request: web.Request) -> bool:
    """Whether the browser came by TLS, perhaps to a proxy before us. Who lies here harms only the own cookie."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
