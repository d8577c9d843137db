"""The page's own files: kept for good where their name says their content, and nothing else is served."""

from __future__ import annotations

import re
from typing import Any

from aiohttp.test_utils import TestClient

from tests.web.test_guard import client

__all__ = ["client"]


async def test_the_page_names_files_that_browsers_keep_for_good(client: TestClient[Any, Any]) -> None:
    page = await client.get("/")
    assert (page.status, page.content_type, page.headers["Cache-Control"]) == (200, "text/html", "no-cache")
    names = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', await page.text())
    assert {name.rpartition(".")[2] for name in names} == {"js", "css"}
    for name in names:
        answer = await client.get(f"/{name}")
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] in ("gzip", "zstd")


async def test_nothing_but_the_built_files_is_served(client: TestClient[Any, Any]) -> None:
    for path in ("/assets/none.js", "/assets/..%2findex.html", "/assets/%2e%2e/index.html", "/.sources", "/index.html"):
        assert (await client.get(path)).status == 404
