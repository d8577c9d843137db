"""How answers travel: compressed, kept by the client, in pages, as a stream; and what ends them."""

from __future__ import annotations

import asyncio
import gzip
import json

import msgspec
import pytest
import zstandard
from aiohttp.test_utils import TestClient, TestServer

from kubewitness.store import Store
from kubewitness.web.sending import coding_of
from kubewitness.web.tailing import follower_of
from tests.web.conftest import Client, serving
from tests.web.test_board import got


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("zstd;q=0.1, gzip;q=0.9", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("identity", ""),
        ("gzip;q=nonsense", ""),
        ("", ""),
    ],
)
def test_the_best_coding_that_a_client_takes_is_chosen(accepted: str, coding: str) -> None:
    assert coding_of(accepted) == coding


async def test_an_answer_is_the_same_in_every_coding(api: Client) -> None:
    bodies = []
    for accepted in ("zstd", "gzip", "identity"):
        response = await api.get("/api/v1/search", headers={"Accept-Encoding": accepted})
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers.get("Content-Encoding", "identity") == accepted
        bodies.append(await response.read())
    packed, zipped, plain = bodies
    assert zstandard.ZstdDecompressor().decompress(packed) == gzip.decompress(zipped) == plain
    assert len(packed) < len(plain) / 3


async def test_an_answer_that_did_not_change_is_not_sent_again(api: Client) -> None:
    first = await api.get("/api/v1/top", params={"field": "user"})
    tag = first.headers["ETag"]
    again = await api.get("/api/v1/top", params={"field": "user"}, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    other = await api.get("/api/v1/top", params={"field": "verb"}, headers={"If-None-Match": tag})
    assert other.status == 200


@pytest.mark.parametrize("path", ["search?q=ns=shop", "timeline?object=deploy/web&namespace=shop&related=true"])
async def test_pages_together_are_the_whole_list(api: Client, path: str) -> None:
    whole = [row["id"] for row in await (await api.get(f"/api/v1/{path}&limit=5000")).json()]
    assert len(whole) > 150
    paged: list[list[str]] = []
    link = f"/api/v1/{path}&limit=97"
    while link:
        response = await api.get(link)
        paged.append([row["id"] for row in await response.json()])
        assert ("X-Kubewitness-More" in response.headers) == ("Link" in response.headers)
        link = response.headers.get("Link", "").partition(">")[0].removeprefix("<")
    if path.startswith("timeline"):  # each page is in order of time, the pages go back
        paged.reverse()
    flat = [ident for page in paged for ident in page]
    assert sorted(flat) == sorted(whole)


async def test_sql_with_types_says_what_there_is_more_of(api: Client) -> None:
    answer = await (
        await api.post("/api/v1/sql", json={"query": "SELECT 1 AS n, 'x' AS t, ts FROM audit LIMIT 1"})
    ).json()
    assert [c["name"] for c in answer["columns"]] == ["n", "t", "ts"]
    assert [c["type"] for c in answer["columns"]][:2] == ["INTEGER", "VARCHAR"]
    assert answer["rows"][0][:2] == [1, "x"]
    assert not answer["more"]
    many = await (await api.post("/api/v1/sql", json={"query": "SELECT * FROM range(20000)"})).json()
    assert (many["more"], len(many["rows"])) == (True, 10_000)
    huge = await api.post(
        "/api/v1/sql",
        json={
            "query": "SELECT 2::HUGEINT ** 100 AS n, 'nan'::DOUBLE AS d, 170141183460469231731687303715884105727 AS h"
        },
    )
    assert huge.status == 200


async def test_a_post_is_taken_as_json_only(api: Client) -> None:
    form = await api.post("/api/v1/sql", data={"query": "SELECT 1"})
    assert form.status == 400
    text = await api.post("/api/v1/sql", data=json.dumps({"query": "SELECT 1"}), headers={"Content-Type": "text/plain"})
    assert text.status == 400
    odd = await api.post("/api/v1/sql", json={"query": "SELECT 1", "limit": 3})
    assert odd.status == 400


async def test_a_stream_begins_where_it_is_asked_to_and_goes_on_where_it_ended(demo_store: Store) -> None:
    async with TestClient(TestServer(serving(demo_store).application())) as client:
        first, ids = await read_rows(client, 20, "since=1h&q=verb=delete")
        assert len(set(first)) == len(first)
        assert all(row.startswith("audit:") for row in first)
        again, _ = await read_rows(client, 20, "since=1h&q=verb=delete", {"Last-Event-ID": ids[-1]})
        assert again == first  # all arrived within the seconds that are told twice
        later = str(int(ids[-1]) + 60_000_000)
        assert await read_rows(client, 0, "q=verb=delete", {"Last-Event-ID": later}) == ([], [])


async def read_rows(
    client: Client, most: int, query: str, headers: dict[str, str] | None = None
) -> tuple[list[str], list[str]]:
    rows: list[str] = []
    ids: list[str] = []
    async with client.get(f"/api/v1/tail?{query}", headers=headers or {}) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        try:
            async with asyncio.timeout(0.8):
                async for line in response.content:
                    if line.startswith(b"id: "):
                        ids.append(line[4:].decode().strip())
                    elif line.startswith(b"data: "):
                        rows.append(msgspec.json.decode(line[6:])["id"])
                        if len(rows) == most:
                            break
        except TimeoutError:
            pass
    return rows, ids


def test_a_place_that_no_stream_gave_is_refused() -> None:
    with pytest.raises(Exception, match="not an id that this stream gave"):
        follower_of({}, "yesterday")


async def test_manifests_are_listed_and_shown(api: Client) -> None:
    parts = [part["name"] for part in await got(api, "deploy")]
    for part in parts:
        response = await api.get("/api/v1/deploy", params={"for": part})
        assert response.status == 200
        assert response.content_type == "text/plain"
    assert (await api.get("/api/v1/deploy", params={"for": "../policy"})).status == 400
