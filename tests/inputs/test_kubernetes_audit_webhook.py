"""The audit webhook, answered as the API server's retries require."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs.kubernetes_audit import KubernetesAudit
from tests.faults import Fault
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept


def event(n: int, **fields: Any) -> dict[str, Any]:
    """An item as a webhook sends it: without kind and apiVersion."""
    return {
        "level": "Metadata",
        "auditID": f"id-{n}",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/web-1",
        "verb": "delete",
        "user": {"username": "alice", "groups": ["ops"]},
        "sourceIPs": ["10.0.0.7"],
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-22T10:00:00.000001Z",
        "stageTimestamp": "2026-11-22T10:00:00.000002Z",
        **fields,
    }


def event_list(*events: dict[str, Any]) -> bytes:
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(events)}
    return json.dumps(body).encode()


@contextlib.asynccontextmanager
async def listening(sink: Kept, **keys: str) -> AsyncIterator[tuple[KubernetesAudit, str]]:
    source = KubernetesAudit({"port": "0", **keys})
    async with running(source, sink) as (_, task):
        await until(lambda: task.done() or (source.webhook and source.webhook.port), 10)
        if task.done():
            task.result()
        assert source.webhook is not None
        yield source, f"{keys.get('listen', '127.0.0.1')}:{source.webhook.port}"


def ids(sink: Kept) -> list[str]:
    """auditID of each record kept."""
    return [json.loads(raw)["auditID"] for raw, _ in sink.records("audit")]


async def post(address: str, body: bytes, path: str = "/audit", **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(f"http://{address}{path}", data=body, headers=named) as response,
    ):
        return response.status, response.headers


@pytest.mark.parametrize(
    "body",
    [
        event_list(event(1), event(2)),
        json.dumps([event(1), event(2)]).encode(),
        json.dumps(event(1)).encode() + b"\n" + json.dumps(event(2)).encode(),
    ],
    ids=["EventList", "array", "one after another"],
)
async def test_every_form_of_body_gives_its_items(body: bytes, fault: Fault) -> None:
    sink = Kept()
    async with listening(sink) as (_, address):
        assert (await post(address, body))[0] == 200
    assert [json.loads(raw)["auditID"] for raw, _ in sink.records("audit")] == ["id-1", "id-2"]
    fault("EventList, array, one after another", said=["id-1", "id-2"], kept=ids(sink), on="listener")


async def test_a_single_event_and_a_gzip_body_are_taken(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink) as (_, address):
        assert (await post(address, json.dumps(event(1)).encode()))[0] == 200
        assert (await post(address, gzip.compress(event_list(event(2))), Content_Encoding="gzip"))[0] == 200
        assert (await post(address, zlib.compress(event_list(event(3))), Content_Encoding="deflate"))[0] == 200
    assert len(sink.records("audit")) == 3
    fault("single event, gzip, deflate", said=["id-1", "id-2", "id-3"], kept=ids(sink), on="listener")


async def test_the_items_bytes_are_kept_as_sent() -> None:
    sink = Kept()
    item = json.dumps(event(1), indent=1).encode().replace(b"\n ", b"  ").replace(b"\n", b"")
    async with listening(sink) as (_, address):
        await post(address, b'{"kind":"EventList","items":[' + item + b"]}")
    assert sink.records("audit")[0][0] == item


async def test_the_path_names_the_cluster() -> None:
    sink = Kept()
    async with listening(sink, cluster="home") as (_, address):
        assert (await post(address, event_list(event(1)), "/audit/prod-eu"))[0] == 200
        assert (await post(address, event_list(event(1))))[0] == 200
        assert (await post(address, event_list(event(1)), "/audit/..%2Fx"))[0] == 404
    assert [chunk.cluster for chunk in sink.chunks] == ["prod-eu", "home"]


async def test_it_listens_where_the_keys_say_and_nowhere_else() -> None:
    sink = Kept()
    async with listening(sink, listen="127.0.0.2") as (_, address):
        assert (await post(address, event_list(event(1))))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(address.replace("127.0.0.2", "127.0.0.1"), event_list(event(2)))
    assert ids(sink) == ["id-1"]


async def test_200_is_said_only_once_the_records_are_durable() -> None:
    sink = Kept()
    sink.gate.clear()
    async with listening(sink) as (_, address):
        answer = asyncio.create_task(post(address, event_list(event(1))))
        await asyncio.sleep(0.2)
        assert sink.puts == 1
        assert not answer.done()
        sink.gate.set()
        assert (await answer)[0] == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"this is no JSON", {}),
        (b"\xff\xfe\x00", {}),
        (b'{"kind":"Pod","metadata":{}', {}),
        (b"not gzip at all", {"Content_Encoding": "gzip"}),
        (gzip.compress(event_list(event(1)))[:-9], {"Content_Encoding": "gzip"}),
        (b"whatever", {"Content_Encoding": "br"}),
    ],
)
async def test_a_body_that_can_never_be_read_is_kept_and_answered_200(body: bytes, headers: dict[str, str]) -> None:
    sink = Kept()
    async with listening(sink) as (source, address):
        assert (await post(address, body, **headers))[0] == 200
        assert source.webhook is not None
        assert source.webhook.health()["rejected"] == 1
    assert len(sink.records("rejects")) == 1
    assert sink.records("rejects")[0][1].reason


async def test_one_bad_item_costs_only_itself(fault: Fault) -> None:
    sink = Kept()
    body = event_list(event(1), {"auditID": 7}, event(2), {"auditID": ""}, event(3))
    async with listening(sink) as (_, address):
        assert (await post(address, body))[0] == 200
    assert [json.loads(raw)["auditID"] for raw, _ in sink.records("audit")] == ["id-1", "id-2", "id-3"]
    assert len(sink.records("rejects")) == 2
    fault("bad items in a body", said=["id-1", "id-2", "id-3"], kept=ids(sink), on="listener")


async def test_many_bad_bodies_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with listening(Kept()) as (_, address):
            for n in range(20):
                assert (await post(address, b"bad %d" % n))[0] == 200
    assert len([r for r in caplog.records if "no audit events" in r.message]) == 1


async def test_a_full_journal_is_503_with_retry_after_and_the_retry_is_stored_once(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink) as (_, address):
        sink.full = True
        code, headers = await post(address, event_list(event(1)))
        assert code == 503
        assert int(headers["Retry-After"]) > 0
        sink.full = False
        assert (await post(address, event_list(event(1))))[0] == 200
        assert (await post(address, event_list(event(1))))[0] == 200
    assert len(sink.records("audit")) == 1
    assert sink.duplicates == 1
    fault("503 while the journal is full, and the retry", said=["id-1"], kept=ids(sink), on="listener")


async def test_a_body_over_the_limit_is_413_also_when_only_its_content_is(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink, buffer_max_size="10k") as (_, address):
        assert (await post(address, event_list(event(1, pad="x" * 20_000))))[0] == 413
        assert (await post(address, gzip.compress(b"x" * 100_000), Content_Encoding="gzip"))[0] == 413
        assert (await post(address, event_list(event(2))))[0] == 200
    assert len(sink.records("audit")) == 1
    fault("413 above the limit", said=["id-2"], kept=ids(sink), on="listener")


async def test_a_bearer_token_is_asked_for_and_read_again(tmp_path: Path, fault: Fault) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    sink = Kept()
    async with listening(sink, token_file=str(token)) as (_, address):
        assert (await post(address, event_list(event(1))))[0] == 401
        assert (await post(address, event_list(event(1)), Authorization="Bearer two"))[0] == 401
        assert (await post(address, event_list(event(1)), Authorization="Bearer one"))[0] == 200
        token.write_text("two\n")
        assert (await post(address, event_list(event(2)), Authorization="Bearer two"))[0] == 200
    assert len(sink.records("audit")) == 2
    fault("bearer token replaced", said=["id-1", "id-2"], kept=ids(sink), on="listener")


async def test_tls_serves_the_certificate_and_asks_for_the_clients(tmp_path: Path, fault: Fault) -> None:
    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=tmp_path, check=True, capture_output=True)

    for name in ("server", "client"):
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", *subject
        )
    files = {f"tls.{k}_file": str(tmp_path / f"server.{k}") for k in ("crt", "key")}
    sink = Kept()
    async with listening(sink, **files, **{"tls.ca_file": str(tmp_path / "client.crt")}) as (_, address):
        context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                async with session.post(f"https://{address}/audit", data=event_list(event(1)), ssl=context):
                    pass
            shown = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
            shown.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
            async with session.post(f"https://{address}/audit", data=event_list(event(1)), ssl=shown) as answer:
                assert answer.status == 200
    assert len(sink.records("audit")) == 1
    fault("TLS with client certificates", said=["id-1"], kept=ids(sink), on="listener")


async def test_webhook_and_file_of_the_same_server_give_each_record_once(tmp_path: Path, fault: Fault) -> None:
    sink = Kept()
    log = tmp_path / "audit.log"
    async with listening(sink, audit_file=str(log)) as (source, address):
        await post(address, event_list(*(event(n) for n in range(5))))
        for n in range(8):
            with log.open("a") as f:
                f.write(json.dumps({"kind": "Event", "apiVersion": "audit.k8s.io/v1", **event(n)}) + "\n")
        async with asyncio.timeout(10):
            while len(sink.records("audit")) < 8:
                await asyncio.sleep(0.02)
        await post(address, event_list(*(event(n) for n in range(8))))
        health = source.health()
    assert len(sink.records("audit")) == 8
    assert sink.duplicates == 13
    assert health["file"] != {}
    fault("the same records by webhook and file", said=[f"id-{n}" for n in range(8)], kept=ids(sink), on="listener")


async def test_a_port_that_is_taken_is_a_clear_error() -> None:
    async with listening(Kept()) as (_, address):
        with pytest.raises(UsageError, match="cannot listen on"):
            await KubernetesAudit({"port": address.rpartition(":")[2]}).run(Kept())


def test_a_section_that_names_no_source_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to record from"):
        KubernetesAudit({})
    with pytest.raises(UsageError, match="did you mean 'audit_file'"):
        KubernetesAudit({"audit_fiel": "x"})


async def test_odd_but_real_events_are_kept_as_records(fault: Fault) -> None:
    odd: list[dict[str, Any]] = [
        {"stage": "Panic", "responseStatus": {"code": 500, "message": "panic"}},
        {"objectRef": None},
        {"user": {}},
        {"requestURI": "/metrics", "objectRef": None, "verb": "get"},
        {"requestURI": "/api/v1/namespaces/shop/pods?dryRun=All", "verb": "create"},
        {"annotations": {"audit.k8s.io/truncated": "true"}},
        {"responseStatus": None, "sourceIPs": None, "stage": "RequestReceived"},
    ]
    sink = Kept()
    async with listening(sink) as (_, address):
        body = event_list(*(event(n, **fields) for n, fields in enumerate(odd)))
        assert (await post(address, body))[0] == 200
    assert sink.records("rejects") == []
    said = [f"id-{n}" for n in range(len(odd))]
    fault(
        "Panic stage, no objectRef, empty user, non-resource URL, dry run, truncated",
        said=said,
        kept=ids(sink),
        on="listener",
    )


async def test_the_values_of_a_secret_are_redacted_and_the_record_is_kept(fault: Fault) -> None:
    ref = {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"}
    secret = {"kind": "Secret", "apiVersion": "v1", "data": {"password": "aHVudGVyMg=="}}
    sink = Kept()
    async with listening(sink) as (_, address):
        await post(address, event_list(event(1, objectRef=ref, requestObject=secret), event(2)))
    assert all(b"aHVudGVyMg" not in chunk.data for chunk in sink.chunks)
    fault("body of a Secret, redacted", said=["id-1", "id-2"], kept=ids(sink), on="listener")
