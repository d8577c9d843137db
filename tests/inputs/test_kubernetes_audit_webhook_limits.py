"""The audit webhook among clients that are many, slow, hostile or new: none of them costs the others anything."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs.budget import Budget
from kubewitness.inputs.kubernetes_audit import KubernetesAudit
from kubewitness.journal import Journal
from kubewitness.pipeline.committer import Committer
from tests.faults import Fault
from tests.inputs.certificates import Authority
from tests.inputs.sinks import Kept
from tests.inputs.test_kubernetes_audit_webhook import event, event_list, ids, listening, post


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def counts(source: KubernetesAudit) -> dict[str, int]:
    assert source.webhook is not None
    return {k: v for k, v in source.webhook.health().items() if isinstance(v, int)}


async def test_bodies_in_flight_share_a_memory_limit_and_wait_for_their_turn(fault: Fault) -> None:
    sink = Kept()
    sink.gate.clear()
    body = event_list(*(event(n, pad="x" * 1000) for n in range(40)))  # some 60 KB
    async with listening(sink, buffer_total_size="150k", buffer_max_size="100k") as (source, address):
        posts = [asyncio.create_task(post(address, body)) for _ in range(8)]
        await asyncio.sleep(0.4)
        assert sink.puts == 2, "as many as the limit has room for"
        assert counts(source)["in_flight_bytes"] <= 150_000
        sink.gate.set()
        assert [code for code, _ in await asyncio.gather(*posts)] == [200] * 8
        assert counts(source)["in_flight_bytes"] == 0
    assert len(sink.records("audit")) == 40
    fault("many large bodies at once", said=[f"id-{n}" for n in range(40)], kept=ids(sink), on="listener")


async def test_without_room_in_memory_the_answer_is_503_and_later_200(
    monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    sink = Kept()
    sink.gate.clear()
    body = event_list(*(event(n, pad="x" * 1000) for n in range(40)))
    async with listening(sink, buffer_total_size="100k", buffer_max_size="100k") as (source, address):
        assert source.webhook is not None
        object.__setattr__(source.webhook._receiver.listener, "room_seconds", 0.2)
        first = asyncio.create_task(post(address, body))
        await asyncio.sleep(0.2)
        code, headers = await post(address, body)
        assert code == 503
        assert int(headers["Retry-After"]) > 0
        sink.gate.set()
        assert (await first)[0] == 200
        assert (await post(address, body))[0] == 200
        assert counts(source)["refused_memory"] == 1
    fault("503 without room in memory", said=[f"id-{n}" for n in range(40)], kept=ids(sink), on="listener")


async def test_a_compressed_body_counts_by_what_it_grows_to() -> None:
    sink = Kept()
    bomb = gzip.compress(event_list(event(1, pad="x" * 5_000_000)))
    async with listening(sink, buffer_total_size="2M", buffer_max_size="8M") as (source, address):
        assert (await post(address, bomb, Content_Encoding="gzip"))[0] == 200, "alone it has all of the larger limit"
        assert counts(source)["in_flight_bytes"] == 0
    async with listening(sink, buffer_total_size="4M", buffer_max_size="4M") as (source, address):
        assert (await post(address, bomb, Content_Encoding="gzip"))[0] == 413
        assert counts(source)["in_flight_bytes"] == 0


async def test_several_gzip_streams_in_one_body_are_all_read(fault: Fault) -> None:
    sink = Kept()
    body = gzip.compress(event_list(event(1))) + gzip.compress(event_list(event(2)))
    async with listening(sink) as (_, address):
        assert (await post(address, body, Content_Encoding="gzip"))[0] == 200
    assert len(sink.records("audit")) == 2
    fault("several gzip streams in one body", said=["id-1", "id-2"], kept=ids(sink), on="listener")


async def test_a_chunked_body_is_taken_and_limited(fault: Fault) -> None:
    sink = Kept()

    async def pieces(body: bytes) -> object:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with listening(sink, buffer_max_size="100k") as (source, address), aiohttp.ClientSession() as session:
        url = f"http://{address}/audit"
        async with session.post(url, data=pieces(event_list(event(1, pad="x" * 20_000)))) as answer:
            assert answer.status == 200
        async with session.post(url, data=pieces(event_list(event(2, pad="x" * 200_000)))) as answer:
            assert answer.status == 413
        assert counts(source)["in_flight_bytes"] == 0
    assert len(sink.records("audit")) == 1
    fault("chunked body", said=["id-1"], kept=ids(sink), on="listener")


async def test_a_client_that_never_sends_its_header_is_dropped_and_others_are_served(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink, header_timeout="1") as (source, address):
        silent = [await connect(address) for _ in range(5)]
        for _, writer in silent[:2]:
            writer.write(b"POST /audit HTTP/1.1\r\nHost: ")
        assert (await post(address, event_list(event(1))))[0] == 200
        for reader, writer in silent:
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
        assert counts(source)["refused_slow"] == 5
    fault("clients that hang before their header", said=["id-1"], kept=ids(sink), on="listener")


async def test_a_client_that_stops_in_its_body_gets_408_and_gives_its_memory_back(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink, idle_timeout="500ms") as (source, address):
        reader, writer = await connect(address)
        writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        async with asyncio.timeout(5):
            head = await reader.readline()
        writer.close()
        assert b"408" in head
        assert counts(source)["in_flight_bytes"] == 0
        assert counts(source)["refused_slow"] == 1
        assert (await post(address, event_list(event(1))))[0] == 200
    fault("client that hangs in its body: 408", said=["id-1"], kept=ids(sink), on="listener")


async def test_a_client_that_drips_its_body_ends_with_the_time_for_a_body(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink, body_timeout="1", idle_timeout="500ms") as (source, address):
        reader, writer = await connect(address)
        writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")

        async def drip() -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(5):
            head = await reader.readline()
        dripping.cancel()
        writer.close()
        assert b"408" in head
        assert counts(source)["in_flight_bytes"] == 0
        assert (await post(address, event_list(event(1))))[0] == 200
    fault("client that drips its body: 408", said=["id-1"], kept=ids(sink), on="listener")


async def test_a_client_that_goes_away_in_its_body_leaves_nothing_behind(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink) as (source, address):
        _, writer = await connect(address)
        writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + event_list(event(1))[:50])
        await writer.drain()
        await asyncio.sleep(0.2)
        assert counts(source)["in_flight_bytes"] > 0
        writer.close()
        async with asyncio.timeout(5):
            while counts(source)["in_flight_bytes"]:
                await asyncio.sleep(0.05)
        assert sink.chunks == []
        assert (await post(address, event_list(event(1))))[0] == 200
    fault("client that goes away in its body, and comes again", said=["id-1"], kept=ids(sink), on="listener")


async def test_connections_are_limited(fault: Fault) -> None:
    sink = Kept()
    async with listening(sink, max_connections="3") as (source, address):
        held = [await connect(address) for _ in range(3)]
        reader, writer = await connect(address)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert counts(source)["refused_connections"] == 1
        for _, other in held:
            other.close()
        await asyncio.sleep(0.2)
        assert (await post(address, event_list(event(1))))[0] == 200
    fault("more connections than allowed", said=["id-1"], kept=ids(sink), on="listener")


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "a%00b", "x" * 254, "-a", "a-", "a%20b", "a/b", "%C3%A4"])
async def test_a_path_that_names_no_possible_cluster_is_404(name: str) -> None:
    sink = Kept()
    async with listening(sink) as (_, address):
        assert (await post(address, event_list(event(1)), f"/audit/{name}"))[0] in (400, 404)
    assert sink.chunks == []


async def test_bad_items_are_rejected_one_by_one_wherever_they_stand() -> None:
    good = [json.dumps(event(n)).encode() for n in range(600)]
    bad = [b"7", b'"text"', b'{"auditID":', b"{}", b'{"kind":"Pod"}', b'{"auditID":"x","stage":7}']
    for where in (0, 255, 256, 599):
        for item in bad:
            sink = Kept()
            body = b'{"items":[' + b",".join([*good[:where], item, *good[where:]]) + b"]}"
            async with listening(sink) as (_, address):
                assert (await post(address, body))[0] == 200
            kept = {json.loads(raw)["auditID"] for raw, _ in sink.records("audit")}
            if item == b'{"auditID":':  # takes the bytes behind it along: nobody can tell where it ends
                assert len(kept) >= where
                assert sum(len(raw) for raw, _ in sink.records("rejects")) > 0
                continue
            assert {f"id-{n}" for n in range(600)} <= kept, item
            assert len(kept) - 600 + len(sink.records("rejects")) == 1, item


async def test_a_full_journal_refuses_and_takes_everything_once_there_is_room(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", size_limit=60_000) as journal:
        journal.register("out")
        committer = Committer(journal)
        source = KubernetesAudit({"port": "0"})
        task = asyncio.create_task(source.run(committer))
        async with asyncio.timeout(10):
            while source.webhook is None or not source.webhook.port:
                await asyncio.sleep(0.01)
        address = f"127.0.0.1:{source.webhook.port}"
        bodies = [event_list(*(event(100 * b + n) for n in range(100))) for b in range(40)]
        refused = 0
        for body in bodies:
            async with asyncio.timeout(20):
                while True:
                    code, headers = await post(address, body)
                    if code == 200:
                        break
                    assert code == 503
                    assert headers["Retry-After"]
                    refused += 1
                    journal.advance("out", journal.last_seq)
        assert refused > 0
        assert counts(source)["refused_full"] == refused
        assert counts(source)["records"] == 4000
        assert counts(source)["duplicates"] == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await committer.close()


# --- TLS -------------------------------------------------------------------------------------------------------------


async def status_of(address: str, context: ssl.SSLContext) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"https://{address}/audit", data=event_list(event(1)), ssl=context) as answer,
    ):
        return answer.status


def served_certificate(address: str, context: ssl.SSLContext) -> bytes:
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), ca_certs=None).encode()


async def test_a_replaced_server_certificate_is_served_without_a_break(tmp_path: Path, fault: Fault) -> None:
    ca = Authority(tmp_path)
    (crt, key), (new_crt, new_key) = ca.issue("server"), ca.issue("server", file="new")
    sink = Kept()
    keys = {"tls.crt_file": str(crt), "tls.key_file": str(key)}
    async with listening(sink, **keys) as (_, address):
        context = ca.client_context()
        assert await status_of(address, context) == 200
        old = await asyncio.to_thread(served_certificate, address, context)
        shutil.copy(new_crt, crt)  # for a moment the pair does not fit
        await asyncio.sleep(0.7)
        assert await asyncio.to_thread(served_certificate, address, context) == old
        shutil.copy(new_key, key)
        async with asyncio.timeout(10):
            while await asyncio.to_thread(served_certificate, address, context) == old:
                assert await status_of(address, context) == 200
                await asyncio.sleep(0.1)
        assert await status_of(address, context) == 200
    fault("server certificate replaced", said=["id-1"], kept=ids(sink), on="listener")


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
async def test_tls_below_1_2_is_refused(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("server")
    async with listening(Kept(), **{"tls.crt_file": str(crt), "tls.key_file": str(key)}) as (_, address):
        old = ca.client_context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(aiohttp.ClientError):
            await status_of(address, old)
        assert await status_of(address, ca.client_context()) == 200


async def test_only_clients_of_the_ca_with_an_allowed_name_may_send(tmp_path: Path, fault: Fault) -> None:
    ca = Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger")
    crt, key = ca.issue("server")
    keys = {"tls.crt_file": str(crt), "tls.key_file": str(key), "tls.ca_file": str(ca.certificate)}
    sink = Kept()
    async with listening(sink, **keys, **{"tls.client_names": "kube-apiserver, other"}) as (source, address):
        assert await status_of(address, ca.client_context(ca.issue("kube-apiserver"))) == 200
        assert await status_of(address, ca.client_context(ca.issue("mallory"))) == 401
        with pytest.raises(aiohttp.ClientError):
            await status_of(address, ca.client_context(stranger.issue("kube-apiserver", file="forged")))
        with pytest.raises(aiohttp.ClientError):
            await status_of(address, ca.client_context())
        assert counts(source)["refused_unauthorized"] == 1
    assert len(sink.records("audit")) == 1
    fault("client CA and allowed names", said=["id-1"], kept=ids(sink), on="listener")


async def test_a_replaced_client_ca_is_believed_and_the_old_one_no_longer(tmp_path: Path) -> None:
    ca, new = Authority(tmp_path), Authority(tmp_path, "new-ca")
    crt, key = ca.issue("server")
    trusted = tmp_path / "trusted.crt"
    shutil.copy(ca.certificate, trusted)
    before, after = ca.client_context(ca.issue("before")), ca.client_context(new.issue("after"))
    keys = {"tls.crt_file": str(crt), "tls.key_file": str(key), "tls.ca_file": str(trusted)}
    async with listening(Kept(), **keys) as (_, address):
        assert await status_of(address, before) == 200
        shutil.copy(new.certificate, trusted)
        await asyncio.sleep(1.2)
        assert await status_of(address, after) == 200
        with pytest.raises(aiohttp.ClientError):
            await status_of(address, before)


async def test_a_client_that_hangs_in_its_tls_handshake_is_dropped(tmp_path: Path, fault: Fault) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("server")
    keys = {"tls.crt_file": str(crt), "tls.key_file": str(key), "header_timeout": "1"}
    sink = Kept()
    async with listening(sink, **keys) as (_, address):
        reader, writer = await connect(address)
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
        assert await status_of(address, ca.client_context()) == 200
    fault("client that hangs in its TLS handshake", said=["id-1"], kept=ids(sink), on="listener")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tls": "on"}, "set tls.crt_file"),
        ({"tls.ca_file": "x"}, "TLS is off"),
        ({"tls.crt_file": "x", "tls.client_names": "a"}, "tls.ca_file must say"),
        ({"path": "audit"}, "begins with /"),
        ({"port": "70000"}, "ends at 65535"),
    ],
)
def test_keys_that_do_not_fit_together_are_told(keys: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        KubernetesAudit({"port": "0", **keys})


async def test_a_certificate_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        await KubernetesAudit({"port": "0", "tls.crt_file": str(tmp_path / "none.crt")}).run(Kept())


# --- the budget ------------------------------------------------------------------------------------------------------


async def test_a_budget_is_given_in_order_and_what_was_cancelled_is_not_lost() -> None:
    budget = Budget(100)
    assert await budget.reserve(80, 1)
    large = asyncio.create_task(budget.reserve(100, 5))
    await asyncio.sleep(0)
    small = asyncio.create_task(budget.reserve(10, 5))
    await asyncio.sleep(0.05)
    assert not small.done(), "who comes later does not overtake"
    large.cancel()
    assert await small
    assert not await budget.reserve(50, 0.05)
    budget.release(80)
    assert await budget.reserve(90, 0.05)
    budget.release(100)
    assert budget.used == 0
