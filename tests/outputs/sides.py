"""The far side of each output, with its keys and what its protocol says (source of the schema in each docstring)."""

from __future__ import annotations

import json
from typing import ClassVar

from aiohttp import web

from tests.outputs.far_side import FarSide


class HttpSide(FarSide):
    """Any receiver: a JSON array of objects with a `date`."""

    plugin = "http"
    keys: ClassVar[dict[str, str]] = {}
    #: whether what comes twice is recognised there
    idempotent = False
    #: whether it says record by record what it took
    itemwise = False

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert request.method == "POST", request.method
        assert request.content_type == "application/json", request.content_type
        records = json.loads(body)
        numbers = [r["n"] for r in records]
        assert all(isinstance(r["date"], float) for r in records)
        if self.refuses(numbers):
            return web.Response(status=400, text="one of them is bad")
        self.took += numbers
        return web.Response(status=201)


SIDES: dict[str, type[HttpSide]] = {"http": HttpSide}
