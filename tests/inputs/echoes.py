"""Answers that repeat what the request held, in each place that an answer has: faults for `FakeApiServer`."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import web

from tests.fake_apiserver import Fault

#: how often each is answered before the server behaves
_TIMES = 3

Shown = Callable[[web.Request], str]


def _status(code: int, message: str) -> dict[str, object]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


def _http_status(code: int) -> Callable[[str], web.Response]:
    """As Go writes it: `&`, `<` and `>` as \\u0026 and so on."""

    def answer(said: str) -> web.Response:
        text = json.dumps(_status(code, said))
        for sign in "&<>":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return web.Response(status=code, text=text, content_type="application/json")

    return answer


def _page(code: int) -> Callable[[str], web.Response]:
    return lambda said: web.Response(status=code, text=f"<html>{'x' * 200} cannot route: {said}</html>")


def _redirect(said: str) -> web.Response:
    where = "https://login.example/?" + quote(said)
    return web.Response(status=302, headers={"Location": where}, text=f"Found: {where} {said}")


#: whatever was asked for
_ANSWERS: dict[str, Callable[[str], web.Response]] = {
    **{f"{code} Status": _http_status(code) for code in (401, 403, 404, 409, 410, 429, 500)},
    **{f"{code} page": _page(code) for code in (400, 401, 403, 407, 500, 502)},
    "302": _redirect,
    "407": lambda said: web.Response(status=407, text=said),
    "no list": lambda said: web.Response(text=json.dumps(said)),
}
#: of a watch
_LINES: dict[str, Callable[[str], str]] = {
    "ERROR 500": lambda said: json.dumps({"type": "ERROR", "object": _status(500, said)}),
    "ERROR 410": lambda said: json.dumps({"type": "ERROR", "object": _status(410, said)}),
    "ERROR without a Status": lambda said: json.dumps({"type": "ERROR", "object": [said]}),
    "unknown type": lambda said: json.dumps({"type": said, "object": {"metadata": {}}}),
    "no watch line": lambda said: f"debug: {said}",
}
ECHOES = (*_ANSWERS, *_LINES, "no HTTP")


def headers_of(request: web.Request) -> str:
    """As a debug page has them."""
    return "; ".join(f"{name}: {value}" for name, value in request.headers.items())


async def echo(form: str, request: web.Request, shown: Shown = headers_of) -> web.StreamResponse:
    """One such answer."""
    said = shown(request)
    if form == "no HTTP":
        assert request.transport is not None
        request.transport.write(f"HTTP/1.1 {said}\r\n{said}: {said}\r\n\r\n".encode())
        request.transport.close()
        return web.Response()
    if form not in _LINES:
        return _ANSWERS[form](said)
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(f"{_LINES[form](said)}\n".encode())
    return response


def echoing(form: str, shown: Shown) -> tuple[Fault, Callable[[], bool]]:
    """The fault, and whether it has been answered often enough to be over."""
    answered = 0

    async def fault(request: web.Request) -> web.StreamResponse | None:
        nonlocal answered
        if answered == _TIMES or (form in _LINES and "watch" not in request.query):
            return None
        answered += 1
        return await echo(form, request, shown)

    return fault, lambda: answered == _TIMES
