"""The box that questions are typed into: what may come next, and what a line means, on the demo's recording."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.test_board import got


async def texts(api: Client, text: str) -> list[str]:
    return [item["text"] for item in (await got(api, "complete", text=text))["items"]]


async def test_verbs_come_after_who(api: Client) -> None:
    assert "evicted " in await texts(api, "who ")
    assert (await texts(api, "who ev"))[0] == "evicted "


async def test_names_are_completed_from_what_was_recorded_with_their_namespace(api: Client) -> None:
    found = await texts(api, "who evicted we")
    assert found
    assert all(text.startswith("pod/web-") and " -n " in text for text in found)
    assert all(" -n " not in text for text in await texts(api, "timeline -n shop deploy/w"))


async def test_an_answer_says_from_where_on_it_replaces(api: Client) -> None:
    answer = await got(api, "complete", text="search user=al")
    assert answer["from"] == len("search ")
    assert [item["text"] for item in answer["items"]] == ["user=alice"]
    assert await texts(api, "pod/web -n sh") == ["shop"]


async def test_values_of_a_field_come_the_most_frequent_first(api: Client) -> None:
    counts = [item["count"] for item in (await got(api, "complete", field="verb"))["items"]]
    assert counts == sorted(counts, reverse=True)


EVICTED = "api-65ccb747db-8xqgx"


@pytest.mark.parametrize(
    ("line", "path", "params"),
    [
        (f"who evicted {EVICTED}", "who", {"object": f"pod/{EVICTED}", "namespace": "shop", "verb": "evicted"}),
        (
            f"who deleted the pod {EVICTED}?",
            "who",
            {"object": f"pod/{EVICTED}", "namespace": "shop", "verb": "deleted"},
        ),
        (f"pod/{EVICTED} -n shop", "timeline", {"object": f"pod/{EVICTED}", "namespace": "shop"}),
        ("who drained worker-1", "who", {"object": "node/worker-1", "verb": "drained"}),
        ("alice", "search", {"q": ["user=alice"]}),
        ("shop", "search", {"q": ["namespace=shop"]}),
        ("code>=400 ns=shop --since 2h", "search", {"q": ["code>=400", "ns=shop"], "since": "2h"}),
        (
            "who granted bob delete pods -n shop",
            "granted",
            {"user": "bob", "verb": "delete", "resource": "pods", "namespace": "shop"},
        ),
        (
            "kubewitness who scaled deploy/api -n shop",
            "who",
            {"object": "deployment/api", "namespace": "shop", "verb": "scaled"},
        ),
        ("who deleted widget/x", "who", {"object": "widget/x", "verb": "deleted"}),
    ],
)
async def test_a_line_becomes_the_question_that_its_writer_meant(
    api: Client, line: str, path: str, params: dict[str, Any]
) -> None:
    answer = await got(api, "line", text=line)
    assert answer["understood"]
    assert (answer["path"], answer["params"]) == (f"/api/v1/{path}", params)


async def test_an_audit_id_is_traced_and_what_nothing_fits_is_searched(api: Client) -> None:
    [row] = await got(api, "search", q="subresource=eviction", limit=1)
    ident = row["id"].split("/")[1]
    assert (await got(api, "line", text=ident))["path"] == "/api/v1/trace"
    nothing = await got(api, "line", text="out of memory")
    assert (nothing["understood"], nothing["path"]) == (False, "/api/v1/search")


async def test_every_example_can_be_asked_and_is_understood_as_itself(api: Client) -> None:
    examples = await got(api, "examples")
    assert len(examples) == 6
    for example in examples:
        assert (await api.get(example["path"], params=example["params"])).status == 200
        line = await got(api, "line", text=example["question"])
        assert (line["path"], line["params"]) == (example["path"], example["params"])
        assert example["at"]
        assert example["at"][:10] not in example["why"]
