"""A server or a proxy that repeats our own credentials in its answer: they show in no log line, no health, no reject.

Real ones do: gateways that print the request they could not route, error pages with all headers, debug modes.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.inputs import kubernetes_events_watch
from kubewitness.inputs.kubernetes_events import KubernetesEvents
from tests.fake_apiserver import FakeApiServer
from tests.inputs.echoes import ECHOES, echoing, headers_of
from tests.inputs.events_recording import recording, until, versions, watching
from tests.inputs.sinks import Kept

_TOKEN = "eyJhbGciOiJSUzI1NiJ9.c3lzdGVt-OnNlcnZpY2U.c2lnbmF0_dXJl"
_PASSWORD = "correct & <horse> bättery/" + "staple" * 50


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("kubewitness.kube.backoff.random.uniform", lambda a, b: 0.02)
    monkeypatch.setattr(kubernetes_events_watch, "_SHORT_WATCH", 0.0)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as fake:
        yield fake


def said(source: KubernetesEvents, sink: Kept, caplog: pytest.LogCaptureFixture) -> str:
    """All that anybody could read of it."""
    rejects = [f"{raw.decode('utf-8', 'replace')} {note.reason}" for raw, note in sink.records("rejects")]
    return "\n".join([caplog.text, json.dumps(source.health(), ensure_ascii=False), *rejects])


def _failing(source: KubernetesEvents) -> bool:
    return bool(source.health()["last_error"])


def kubeconfig(folder: Path, cluster: dict[str, str], user: dict[str, str]) -> str:
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize("form", ECHOES)
async def test_a_token_that_is_repeated_in_an_answer_shows_nowhere(
    server: FakeApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    token = tmp_path / "token"
    token.write_text(_TOKEN)
    server.token = _TOKEN
    sink = Kept()
    fault, done = echoing(form, lambda request: request.headers["Authorization"])
    server.faults.append(fault)
    async with recording(server, sink, kube_token_file=str(token)) as source:
        await until(done)
        expected = server.put("e")
        await until(lambda: expected in versions(sink))
        text = said(source, sink, caplog)
    assert source.health()["errors"] or sink.records("rejects"), "the answer was not even noticed"
    for part in (_TOKEN, *_TOKEN.split(".")[1:]):
        assert part not in text


@pytest.mark.parametrize("form", ["403 Status", "502 page", "302", "ERROR 500", "unknown type", "no HTTP"])
async def test_a_password_that_is_repeated_in_an_answer_shows_nowhere(
    server: FakeApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    config = kubeconfig(tmp_path, {"server": server.url}, {"username": "alice", "password": _PASSWORD})
    sink = Kept()
    both = base64.b64encode(f"alice:{_PASSWORD}".encode()).decode()

    def shown(request: web.Request) -> str:
        assert request.headers["Authorization"] == f"Basic {both}"
        return f"{request.headers['Authorization']} alice {_PASSWORD}"

    fault, done = echoing(form, shown)
    server.faults.append(fault)
    async with recording(server, sink, kube_url="", kubeconfig=config) as source:
        await until(done)
        expected = server.put("e")
        await until(lambda: expected in versions(sink))
        text = said(source, sink, caplog)
    for part in (both[:24], "correct & <horse>", "correct \\u0026", "staplestaple"):
        assert part not in text


async def test_what_an_answer_says_beside_the_credentials_is_told(
    server: FakeApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text(_TOKEN)
    fault, done = echoing("403 Status", lambda request: f"who is {request.headers['Authorization']}, quota is over")
    server.faults.append(fault)
    async with recording(server, Kept(), kube_token_file=str(token)) as source:
        await until(done)
        await watching(source)
    assert "who is Bearer ***, quota is over" in caplog.text


async def test_the_password_of_a_proxy_that_refuses_us_shows_nowhere(
    server: FakeApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Kept()
    refuses, _ = echoing("407", headers_of)
    async with FakeApiServer() as proxy:
        proxy.faults.append(refuses)
        address = proxy.url.replace("http://", "http://alice:pr0xy-s3cr3t@")
        for scheme in ("http", "https"):
            cluster = {"server": f"{scheme}://api.example:6443", "proxy-url": address}
            config = kubeconfig(tmp_path, cluster, {})
            async with recording(server, sink, kube_url="", kubeconfig=config) as source:
                await until(partial(_failing, source))
                text = said(source, sink, caplog)
    assert "407" in text or "404" in text
    assert "pr0xy-s3cr3t" not in text
    assert base64.b64encode(b"alice:pr0xy-s3cr3t").decode() not in text


def test_a_password_in_the_address_is_not_in_the_line_that_tells_where_it_records() -> None:
    source = KubernetesEvents({"kube_url": "https://alice:addr-s3cr3t@api.example:6443"})
    assert source.access.describe() == "https://***@api.example:6443, from https://***@api.example:6443"
