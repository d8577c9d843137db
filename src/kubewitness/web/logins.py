"""Logging in from a browser: a token for a cookie; and who is logged in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from kubewitness import __version__
from kubewitness.web.browsers import COOKIE, Browsers, set_cookie
from kubewitness.web.guard import Guard, NotLoggedIn, TooOften
from kubewitness.web.identity import Identity, Login
from kubewitness.web.sending import body_of, error, json


class Token(msgspec.Struct, forbid_unknown_fields=True):
    """The content of the token file, or a token of the cluster."""

    token: str


class Standing(msgspec.Struct):
    """`login`: none, token or cluster. `user` null: nobody is logged in. `namespaces` null: all that were recorded.
    `hidden`: what is not shown, in words."""

    login: str
    user: str | None
    version: str
    restricted: bool = False
    hidden: str | None = None
    namespaces: list[str] | None = None
    clusters: list[str] = msgspec.field(default_factory=list)


class Logins:
    """`clusters`: those that were recorded, as far as somebody may see."""

    def __init__(
        self,
        login: Login,
        guard: Guard,
        browsers: Browsers,
        clusters: Callable[[Identity], Awaitable[list[str]]],
    ) -> None:
        self._login = login
        self._guard = guard
        self._browsers = browsers
        self._clusters = clusters

    async def session(self, request: web.Request) -> web.StreamResponse:
        """Always answers, so that the page knows whether to ask for a token."""
        try:
            asker = await self._guard.identify(request)
        except (NotLoggedIn, TooOften):
            return json(Standing(self._login.name, None, __version__))
        standing = Standing(self._login.name, asker.user, __version__, clusters=await self._clusters(asker))
        if asker.restricted and asker.scope is not None:
            standing.restricted, standing.hidden = True, asker.scope.sentence
            standing.namespaces = None if asker.scope.anywhere and not asker.scope.within else asker.scope.namespaces
        return json(standing)

    async def login(self, request: web.Request) -> web.StreamResponse:
        given = await body_of(request, Token)
        try:
            await self._guard.identify(request, given.token.strip() or "-")
        except NotLoggedIn as e:
            return error(str(e), 401)
        except TooOften as e:
            return error(str(e), 429)
        response = web.Response(status=204)
        if self._login.name != "none":
            self._browsers.end(request)
            set_cookie(request, response, self._browsers.begin(given.token.strip()))
        return response

    async def logout(self, request: web.Request) -> web.StreamResponse:
        self._browsers.end(request)
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/")
        response.headers["Clear-Site-Data"] = '"cache"'  # answers that the browser kept
        return response
