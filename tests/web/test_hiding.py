"""Somebody who may see one namespace: no path of the API tells of anything else, whatever is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from kubewitness.formats.scope import POD_LOGS, Scope
from kubewitness.questions.recorded import places
from kubewitness.store import Store
from kubewitness.web.endpoints import ENDPOINTS
from kubewitness.web.identity import Identity
from kubewitness.web.others import OTHERS
from tests.web.conftest import Client, serving


class OneNamespace:
    """Everybody may read all of namespace shop but its Secrets."""

    name = "cluster"

    def __init__(self, store: Store) -> None:
        with store.session() as session:
            recorded = places(session, "default")
        within = {(s, g, r) for s, g, r in recorded if s == "shop" and r != "secrets"}
        self._scope = Scope("default", within=frozenset({*within, ("shop", "", POD_LOGS)}))

    async def identify(self, token: str) -> Identity:
        return Identity("bob", self._scope, operator=False)

    async def close(self) -> None:
        return None


@pytest.fixture
async def bob(demo_store: Store) -> AsyncIterator[Client]:
    server = serving(demo_store, host="0.0.0.0", login=OneNamespace(demo_store))
    headers = {"Authorization": "Bearer x"}
    async with TestClient(TestServer(server.application()), headers=headers) as client:
        yield client


class Hidden:
    """What a hidden record alone tells: its auditID or uid, and names that are nowhere in what may be seen."""

    def __init__(self, store: Store) -> None:
        with store.session(scope=OneNamespace(store)._scope) as session:
            seen = {r[0] for r in session.query("SELECT audit_id FROM audit UNION SELECT uid FROM events")}
            pointers = [
                p
                for table in ("audit", "events")
                for p in session.query(f"SELECT raw_seg, raw_frame, raw_off, raw_len FROM {table}")
            ]
            visible = b"\n".join(session.raw(pointers)).decode()
        with store.session() as session:
            ids = {r[0] for r in session.query("SELECT audit_id FROM audit UNION SELECT uid FROM events")} - seen
            names = session.query("SELECT DISTINCT namespace, resource, name FROM audit WHERE length(name) > 4")
            self.pod = next(n for ns, r, n in names if ns == "payments" and r == "pods")
            self.ids = sorted(ids)
        words = {n for _, _, n in names} | {ns for ns, _, _ in names if ns not in ("", "shop")}
        self.words = {w for w in words if w not in visible and len(w) > 5}
        self.telling = self.words | set(self.ids)

    def told(self, text: str, question: str) -> list[str]:
        said = set(re.findall(r"[\w.-]+", text)) | set(re.findall(r"[\w-]+", text))
        return [w for w in said & self.telling if w not in question]


@pytest.fixture(scope="module")
def hidden(demo_store: Store) -> Hidden:
    found = Hidden(demo_store)
    assert len(found.ids) > 300
    assert {"payments", "db-credentials"} <= found.words
    return found


def questions(hidden: Hidden, *, every: bool) -> list[tuple[str, dict[str, Any]]]:
    """Every endpoint, aimed at what is hidden; with `every` aim of every parameter."""
    pod, ident = hidden.pod, hidden.ids[0]
    aims: dict[str, list[str]] = {
        "object": [f"pod/{pod}", "secret/db-credentials", "node/worker-1", "ns/payments", "deploy/web"],
        "namespace": ["payments", "shop"],
        "id": [ident, f"audit:default/{ident}/ResponseComplete"],
        "q": ["ns=payments", "ns!=shop", pod, "kind=secret", "source=audit", "resource=nodes"],
        "text": [f"who evicted {pod}", "pay", "", ident, "who read secret/", "alice"],
        "field": ["namespace", "name", "user", "resource"],
        "key": [f"default/Pod/payments/{pod}", "default/Node//worker-1"],
        "user": ["bob"],
        "verb": ["delete"],
        "resource": ["secrets"],
        "fields": ["namespace,name,resource"],
        "group": [],
    }
    found: list[tuple[str, dict[str, Any]]] = []
    for endpoint in ENDPOINTS:
        names = {p.name for p in endpoint.parameters}
        base = {p.name: aims[p.name][0] for p in endpoint.parameters if p.required}
        if not every:
            more = {name: aims[name][0] for name in names & {"namespace", "q", "key"}}
            wide = {"limit": "1000"} if "limit" in names and "object" not in base else {}
            found += [(endpoint.name, {**base, **more}), (endpoint.name, {**base, **wide})]
            continue
        found.append((endpoint.name, base))
        for name in names & set(aims):
            for value in aims[name]:
                spaces = aims["namespace"] if name == "object" else [""]
                extra = [{"namespace": s} if s else {} for s in spaces]
                found += [(endpoint.name, {**base, **e, name: value}) for e in extra]
        if "limit" in names:
            found.append((endpoint.name, {**base, "limit": "1000"}))
        for flag in [p.name for p in endpoint.parameters if p.flag]:
            found.append((endpoint.name, {**base, flag: "true"}))
    return found


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)])
async def test_no_endpoint_tells_of_what_may_not_be_seen(bob: Client, hidden: Hidden, every: bool) -> None:
    asked = questions(hidden, every=every)
    answered = set()
    for name, params in asked:
        response = await bob.get(f"/api/v1/{name}", params=params)
        text = await response.text()
        assert response.status in (200, 400, 404), (name, params, text)
        question = json.dumps(params)
        assert hidden.told(text, question) == [], (name, params, text[:2000])
        if response.status == 200:
            answered.add(name)
            assert response.headers["X-Kubewitness-Restricted"] == "true", name
    assert answered >= {e.name for e in ENDPOINTS} - {"record"}


async def test_what_is_beside_the_questions_tells_nothing_either(bob: Client, hidden: Hidden) -> None:
    known = {f"/api/v1/{e.name}" for e in ENDPOINTS}
    others = [p for p in OTHERS[0] if p.startswith("/api/") and p not in known]
    assert "/api/v1/status" in others
    for path in others:
        if path == "/api/v1/tail":
            continue
        response = await bob.get(path, params={"query": "SELECT name, uri FROM audit"} if path.endswith("sql") else {})
        assert hidden.told(await response.text(), "") == [], path
    assert (await bob.get("/metrics")).status == 403
    assert (await (await bob.get("/api/v1/status")).json()).keys() == {"recorder"}
    posted = await bob.post("/api/v1/sql", json={"query": "SELECT raw FROM audit ORDER BY ts LIMIT 300"})
    assert posted.status == 200
    assert hidden.told(await posted.text(), "") == []
    async with bob.get("/api/v1/tail?since=1h") as stream:
        read = (await stream.content.readuntil(b"\n\n")) + await stream.content.readany()
        assert b"event: row" in read
        assert hidden.told(read.decode(), "") == []


async def test_an_answer_says_that_something_may_be_hidden(bob: Client) -> None:
    standing = await (await bob.get("/api/v1/session")).json()
    assert standing["restricted"]
    assert standing["namespaces"] == ["shop"]
    assert "namespace shop" in standing["hidden"]
    params = {"object": "pod/api-65ccb747db-8xqgx", "namespace": "shop", "verb": "evicted"}
    answer = await (await bob.get("/api/v1/who", params=params)).json()
    assert answer["found"]
    assert any("only records of namespace shop" in text for text in answer["missing"])


async def test_what_may_be_seen_is_answered_as_to_everybody(bob: Client, api: Client) -> None:
    params = {"q": "ns=shop", "limit": "5000"}
    mine = await (await bob.get("/api/v1/search", params=params)).json()
    all_ = await (await api.get("/api/v1/search", params=params)).json()
    secrets = [row for row in all_ if row["object"].startswith("Secret/")]
    assert secrets
    assert {r["id"] for r in mine} == {r["id"] for r in all_} - {r["id"] for r in secrets}
