"""Who asked what, and when: one JSON line for each request of the API, in a file that its owner alone reads.

Tokens and cookies are never in it. Files of 10 MB, of which the last are kept (`access.jsonl`, `access.jsonl.1`, ...).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from kubewitness.errors import UsageError
from kubewitness.formats.times import format_us
from kubewitness.web.guard import IDENTITY, Handler

#: what a POST asked in its body
ASKED = web.RequestKey("asked", str)
_BYTES, _FILES = 10_000_000, 10
_LONGEST = 4000
_log = logging.getLogger(__name__)


class _File(RotatingFileHandler):
    def _open(self):  # type: ignore[no-untyped-def]
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")


class AccessLog:
    """Raises `UsageError` when the file cannot be written."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        try:
            self._file = _File(path, maxBytes=_BYTES, backupCount=_FILES, delay=False)
        except OSError as e:
            raise UsageError(f"access log {path}: {e.strerror}") from e

    def middleware(self) -> Middleware:
        @web.middleware
        async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith("/api/"):
                return await handler(request)
            began, status = self._clock(), 499  # the client went away
            try:
                response = await handler(request)
                status = response.status
                return response
            finally:
                self._write(request, began, status)

        return logged

    def _write(self, request: web.Request, began: int, status: int) -> None:
        identity = request.get(IDENTITY)
        asked = {name: request.query.getall(name) for name in request.query}
        if ASKED in request:
            asked["query"] = [request[ASKED]]
        line = {
            "when": format_us(began // 1000),
            "user": identity.user if identity is not None else None,
            "restricted": identity.restricted if identity is not None else None,
            "peer": request.remote,
            "method": request.method,
            "path": request.path[:_LONGEST],
            "asked": {k[:_LONGEST]: [v[:_LONGEST] for v in values] for k, values in asked.items()},
            "status": status,
            "ms": (self._clock() - began) // 1_000_000,
        }
        text = msgspec.json.encode(line).decode()
        try:
            self._file.emit(logging.LogRecord("access", logging.INFO, "", 0, text, None, None))
        except OSError as e:  # a full disk must not end the answers; it is told in the process's own log
            _log.error("the access log cannot be written: %s", e.strerror)

    def close(self) -> None:
        self._file.close()
