"""The timeline of many objects: rows, marks or bins, states, and counts over time, on the demo's recording."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Client


async def got(api: Client, path: str, **params: Any) -> Any:
    response = await api.get(f"/api/v1/{path}", params=params)
    answer = await response.json()
    assert response.status == 200, answer
    return answer


async def test_a_board_has_a_mark_for_every_record_of_its_rows(api: Client) -> None:
    answer = await got(api, "board")
    assert answer["level"] == "marks"
    assert answer["next"] is None
    marks = answer["marks"]
    assert len({len(column) for column in marks.values()}) == 1
    assert sum(marks["n"]) == answer["total"] == answer["shown"] == sum(row["count"] for row in answer["rows"])
    assert marks["t"] == sorted(marks["t"])
    found = await api.get("/api/v1/record", params={"id": marks["id"][0]})
    assert found.status == 200


async def test_too_many_marks_become_bins_that_count_the_same(api: Client) -> None:
    single = await got(api, "board", q="kind=pod")
    binned = await got(api, "board", q="kind=pod", marks=200)
    assert binned["level"] == "bins"
    assert len(binned["marks"]["t"]) <= 200
    assert sum(binned["marks"]["n"]) == sum(single["marks"]["n"]) == binned["total"]
    assert {t % binned["bin_ms"] for t in binned["marks"]["t"]} == {0}


async def test_pages_of_a_board_show_each_row_once(api: Client) -> None:
    whole = [row["key"] for row in (await got(api, "board"))["rows"]]
    paged: list[str] = []
    cursor = "0"
    while cursor:
        page = await got(api, "board", rows=40, cursor=cursor)
        paged += [row["key"] for row in page["rows"]]
        cursor = page["next"] or ""
    assert paged == whole
    assert len(set(paged)) == len(paged)


async def test_rows_name_the_owner_and_the_node_that_records_tell(api: Client) -> None:
    rows = {row["object"]: row for row in (await got(api, "board"))["rows"]}
    owned = [row for row in rows.values() if row["kind"] == "Pod" and row["owner"]]
    assert owned
    assert all(row["owner"] in rows for row in owned)
    assert {row["node"] for row in owned if row["node"]} == {"worker-1", "worker-2", "worker-3"}


async def test_rows_of_users_are_all_who_did_something(api: Client) -> None:
    names = {row["name"] for row in (await got(api, "board", group="user"))["rows"]}
    assert {"alice", "bob", "ci-bot"} <= names


async def test_a_histogram_without_times_tells_the_extent_and_counts_everything_once(api: Client) -> None:
    answer = await got(api, "histogram", bins=50)
    bins = {len(series["counts"]) for series in answer["series"]}
    assert len(bins) == 1
    assert bins.pop() <= 51
    assert answer["total"] == sum(series["total"] for series in answer["series"])
    assert answer["total"] == (await got(api, "board", rows=5000))["total"]
    by_source = await got(api, "histogram", by="source")
    assert {series["name"] for series in by_source["series"]} == {"request", "event"}
    inside = await got(api, "histogram", since=answer["since"], until=answer["until"])
    assert inside["total"] == answer["total"]


async def test_states_asked_for_at_once_are_those_of_each_alone(api: Client) -> None:
    rows = (await got(api, "board", q="namespace=shop"))["rows"]
    keys = [row["key"] for row in rows if row["name"] and row["kind"] in ("Pod", "Deployment", "ReplicaSet")][:8]
    together = await api.get("/api/v1/states", params=[("key", key) for key in keys])
    assert await together.json() == [(await got(api, "states", key=key))[0] for key in keys]


async def test_the_states_of_an_evicted_pod_run_from_pending_to_gone(api: Client) -> None:
    evicted = (await got(api, "examples"))[0]
    assert evicted["question"].startswith("who evicted pod/")
    [states] = await got(api, "states", **{k: v for k, v in evicted["params"].items() if k != "verb"})
    assert [s["state"] for s in states["segments"]] == ["pending", "ready", "terminating", "gone"]
    assert states["segments"][-1]["until"] is None
    key = "/".join(("default", *states["object"].split("/")))
    assert await got(api, "states", key=key) == [states]


@pytest.mark.parametrize(
    ("path", "params", "says"),
    [
        ("states", {"key": "default/Pod/shop"}, "cluster/Kind/namespace/name"),
        ("states", {}, "'object' is missing"),
        ("board", {"group": "shape"}, "none of owner, node, user"),
        ("board", {"marks": "0"}, "from 1 to 100000"),
        ("histogram", {"bins": "1e3"}, "not a number"),
        ("search", {"cursor": "abc"}, "cursor: not one"),
        ("facets", {"fields": "colour"}, "unknown field 'colour'"),
        ("record", {"id": "nonsense"}, "an id is written like"),
        ("search", {"q": "x\0y"}, "not text"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(
    api: Client, path: str, params: dict[str, str], says: str
) -> None:
    response = await api.get(f"/api/v1/{path}", params=params)
    assert response.status == 400
    assert says in (await response.json())["error"]


async def test_a_record_that_is_not_kept_is_a_404(api: Client) -> None:
    response = await api.get("/api/v1/record", params={"id": "audit:default/none/ResponseComplete"})
    assert response.status == 404


async def test_revisions_name_who_made_each_version(api: Client) -> None:
    answer = await got(api, "revisions", object="deploy/web", namespace="shop")
    assert next(r["how"] for r in answer["revisions"]) == "created"
    assert {r["user"] for r in answer["revisions"]} >= {"ci-bot", "bob"}


async def test_facets_count_what_top_counts(api: Client) -> None:
    answer = await got(api, "facets", fields="verb,group", q="ns=shop")
    facets = {f["field"]: f for f in answer["facets"]}
    top = await got(api, "top", field="verb", q="ns=shop")
    assert facets["verb"]["values"][0] == {k: top["rows"][0][k] for k in ("value", "count")}
    assert "system:authenticated" in {v["value"] for v in facets["group"]["values"]}
