"""Input kubernetes_events against an API server that misbehaves: no version of an Event lost, none twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.errors import UsageError
from kubewitness.inputs import kubernetes_events_watch
from kubewitness.inputs.kubernetes_events import KubernetesEvents
from tests.fake_apiserver import FakeApiServer, status
from tests.faults import Fault
from tests.inputs.events_recording import recording, until, versions
from tests.inputs.sinks import Kept


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are retried at once; nothing else about time changes."""
    monkeypatch.setattr("kubewitness.kube.backoff.random.uniform", lambda a, b: 0.02)
    monkeypatch.setattr(kubernetes_events_watch, "_SHORT_WATCH", 0.0)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as fake:
        yield fake


async def test_what_was_there_is_listed_page_by_page_and_what_comes_is_watched(
    server: FakeApiServer, fault: Fault
) -> None:
    expected = [server.put(f"e{i}") for i in range(7)]
    sink = Kept()
    async with recording(server, sink, kube_request_limit="3") as source:
        await until(lambda: source.health()["state"] == "watching")
        expected += [server.put("e3"), server.put("e3"), server.put("new")]
        await until(lambda: len(versions(sink)) == 10)
    assert sorted(versions(sink)) == sorted(expected)
    assert [n.change for _, n in sink.records("events")][7:] == ["MODIFIED", "MODIFIED", "ADDED"]
    assert sink.duplicates == 0
    fault("list of many pages", said=server.said, kept=versions(sink))


async def test_the_record_is_the_events_exact_bytes(server: FakeApiServer) -> None:
    sink = Kept()
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        server.put("odd", message="tabs\tand \u00fcnicode \x1b[1m", extra={"b": 1, "a": [1.50, None]})
        await until(lambda: bool(versions(sink)))
    shown = {"kind": "Event", "apiVersion": "v1", **server.objects["odd"]}
    assert sink.records("events")[0][0] == json.dumps(shown).encode()


async def test_an_event_whose_time_has_passed_is_recorded_as_expired(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    server.put("e1")
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        server.expire("e1")
        await until(lambda: len(versions(sink)) == 2)
    assert sink.records("events")[1][1].change == "EXPIRED"
    fault("Event deleted at the end of its time to live", said=server.said, kept=versions(sink))


async def test_a_restart_goes_on_from_the_saved_version_without_a_list(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    server.put("e1")
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        server.put("e2")
        await until(lambda: len(versions(sink)) == 2)
    missed = [server.put("e1"), server.put("e1"), server.put("e3")]
    server.requests.clear()
    async with recording(server, sink):
        await until(lambda: len(versions(sink)) == 5)
    assert versions(sink)[2:] == missed
    assert sink.duplicates == 0
    assert all(query.get("limit") == "1" for _, query in server.requests if "events" in _ and "watch" not in query)
    fault("restart of the recorder, changes meanwhile", said=server.said, kept=versions(sink))


@pytest.mark.parametrize("cut", [1, 7, 64, 1000])
async def test_chunk_borders_may_fall_anywhere(server: FakeApiServer, cut: int, fault: Fault) -> None:
    sink = Kept()
    server.cut = cut
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        expected = [server.put(f"e{i % 5}") for i in range(40)]
        await until(lambda: len(versions(sink)) == 40)
    assert versions(sink) == expected
    fault("chunk borders anywhere", said=server.said, kept=versions(sink))


async def test_an_expired_version_in_the_stream_lists_again(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        server.put("e1")
        await until(lambda: len(versions(sink)) == 1)
    seen = server.put("e2")
    server.compacted = server.version + 1
    server.version += 5
    async with recording(server, sink) as source:
        await until(lambda: seen in versions(sink) and source.health()["state"] == "watching")
    assert source.health()["expired"] == 1
    assert len(versions(sink)) == len(set(versions(sink))) == 2
    fault("410 in the stream", said=server.said, kept=versions(sink))


async def test_a_watch_refused_with_410_lists_again(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    server.put("e1")
    refused: list[int] = []

    async def gone(request: web.Request) -> web.Response | None:
        if request.query.get("watch") and not refused:
            refused.append(1)
            return status(410, "Gone")
        return None

    server.faults.append(gone)
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        assert source.health()["lists"] == 2
    assert len(versions(sink)) == 1
    fault("410 as the answer to a watch", said=server.said, kept=versions(sink))


async def test_a_continue_token_that_expires_starts_the_list_over(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    expected = {server.put(f"e{i}") for i in range(9)}
    hits: list[int] = []

    async def too_late(request: web.Request) -> web.Response | None:
        if request.query.get("continue") and len(hits) < 2:
            hits.append(1)
            return status(410, "Expired")
        return None

    server.faults.append(too_late)
    async with recording(server, sink, kube_request_limit="4") as source:
        await until(lambda: source.health()["state"] == "watching")
    assert set(versions(sink)) == expected
    assert len(versions(sink)) == 9
    fault("stale continue token", said=server.said, kept=versions(sink))


async def test_a_cluster_rebuilt_at_the_same_address_is_recorded_from_its_beginning(
    server: FakeApiServer, fault: Fault
) -> None:
    sink = Kept()
    for i in range(5):
        server.put(f"old{i}")
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
    server.uid, server.version, server.objects, server.history = "cluster-2", 10, {}, []
    fresh = server.put("new1", metadata={"name": "new1", "uid": "other", "resourceVersion": "11"})
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        await until(lambda: len(versions(sink)) == 6)
    assert versions(sink)[-1] == ("other", fresh[1])
    fault("another cluster at the same address", said=[*server.said[:5], ("other", fresh[1])], kept=versions(sink))


async def test_a_cluster_set_back_in_time_is_listed_again(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    for i in range(5):
        server.put(f"e{i}")
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
    server.version, server.history = 50, []
    server.objects.clear()
    server.put("after-restore")
    async with recording(server, sink) as source:
        await until(lambda: ("uid-after-restore", "51") in versions(sink))
        again = server.put("after-restore")
        await until(lambda: again in versions(sink))
    fault("resourceVersion gone backwards", said=server.said, kept=versions(sink))


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
async def test_refusals_are_retried_and_nothing_is_lost(server: FakeApiServer, code: int, fault: Fault) -> None:
    sink = Kept()
    server.put("e1")
    left = [1] * 6

    async def refuse(request: web.Request) -> web.Response | None:
        if left and "events" in request.path:
            left.pop()
            return status(code, "no", Retry_After="0")
        return None

    server.faults.append(refuse)
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        last = server.put("e1")
        await until(lambda: last in versions(sink))
    assert len(versions(sink)) == 2
    assert source.health()["errors"]
    fault("401, 403, 429, 500 or 503 for a while", said=server.said, kept=versions(sink))


async def test_retry_after_is_obeyed(server: FakeApiServer, fault: Fault) -> None:
    asked: list[float] = []
    sink = Kept()
    server.put("e")

    async def busy(request: web.Request) -> web.Response | None:
        asked.append(asyncio.get_running_loop().time())
        return status(429, "TooManyRequests", Retry_After="1") if len(asked) == 1 else None

    server.faults.append(busy)
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
    assert asked[1] - asked[0] >= 1.0
    fault("429 with Retry-After", said=server.said, kept=versions(sink))


async def test_a_token_replaced_on_disk_is_used_at_once_after_a_401(
    server: FakeApiServer, tmp_path: Path, fault: Fault
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server.token = "first"
    sink = Kept()
    async with recording(server, sink, kube_token_file=str(token)) as source:
        await until(lambda: source.health()["state"] == "watching")
        (tmp_path / "new").write_text("second\n")
        (tmp_path / "new").rename(token)
        server.token = "second"
        server.break_connections()
        last = server.put("e1")
        await until(lambda: last in versions(sink))
    fault("token rotated on disk, the old one revoked", said=server.said, kept=versions(sink))


async def test_what_is_not_allowed_is_named_with_verb_and_resource(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    server.put("e")

    async def refuse(request: web.Request) -> web.Response | None:
        return status(403, "Forbidden") if "events" in request.path else None

    server.faults.append(refuse)
    async with recording(server, sink) as source:
        await until(lambda: bool(source.health()["last_error"]))
        assert "not allowed to list events" in str(source.health()["last_error"])
        assert "list events" in str(source.health()["missing_rights"])
        server.faults.clear()
        await until(lambda: source.health()["state"] == "watching")
        assert source.health()["missing_rights"] == []
    fault("403, then the right is granted", said=server.said, kept=versions(sink))


async def test_without_the_right_to_read_kube_system_it_records_all_the_same_and_says_so(
    server: FakeApiServer, fault: Fault
) -> None:
    async def refuse(request: web.Request) -> web.Response | None:
        return status(403, "Forbidden") if "kube-system" in request.path else None

    server.faults.append(refuse)
    sink = Kept()
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        server.put("e1")
        await until(lambda: len(versions(sink)) == 1)
        assert source.health()["missing_rights"] == ["get namespaces"]
        server.faults.clear()
        server.break_connections()
        await until(lambda: source.health()["missing_rights"] == [])
    fault("no right to read kube-system", said=server.said, kept=versions(sink))


async def test_a_connection_whose_other_half_is_gone_is_found_out(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    async with recording(server, sink, watch_idle="300ms") as source:
        await until(lambda: source.health()["state"] == "watching")
        server.frozen = True
        lost = server.put("e1")
        await asyncio.sleep(0.1)
        server.frozen = False  # the old stream is not told; only a new watch sees it
        await until(lambda: lost in versions(sink), 5)
    fault("half-closed connection", said=server.said, kept=versions(sink))


async def test_a_server_that_is_not_there_yet_and_goes_away_is_waited_for(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    await server.stop()
    async with recording(server, sink) as source:
        await until(lambda: bool(source.health()["errors"]))
        await server.start()
        await until(lambda: source.health()["state"] == "watching")
        first = server.put("e1")
        await until(lambda: first in versions(sink))
        await server.stop()
        await until(lambda: not source.health()["connected"])
        second = server.put("e1")
        await server.start()
        await until(lambda: second in versions(sink))
    assert len(versions(sink)) == len(set(versions(sink)))
    fault("API server not there yet, then stopped and started", said=server.said, kept=versions(sink))


async def test_a_line_that_is_no_event_is_kept_as_a_reject(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    async with recording(server, sink) as source:
        await until(lambda: source.health()["state"] == "watching")
        server.put("bad", involvedObject=None)
        good = server.put("good")
        await until(lambda: good in versions(sink))
    assert len(sink.records("rejects")) == 1
    assert "not an Event" in sink.records("rejects")[0][1].reason
    fault("watch line that is no Event", said=[good], kept=versions(sink))


@pytest.mark.parametrize("seed", range(6))
async def test_random_faults_and_restarts_lose_no_version_and_repeat_none(
    server: FakeApiServer, seed: int, fault: Fault
) -> None:
    rng = random.Random(seed)
    sink = Kept()
    expected = []
    server.cut = rng.choice((0, 3, 50))
    for turn in range(6):
        async with recording(server, sink, kube_request_limit="5", watch_idle="1") as source:
            if turn == 0:
                await until(lambda: source.health()["state"] == "watching")
            for _ in range(rng.randint(1, 15)):
                expected.append(server.put(f"e{rng.randint(0, 8)}"))
                if rng.random() < 0.2:
                    server.break_connections()
                if rng.random() < 0.1:
                    await server.stop()
                    await server.start()
                await asyncio.sleep(rng.random() * 0.05)
            if rng.random() < 0.5:
                await until(lambda: bool(expected) and expected[-1] in versions(sink))
    async with recording(server, sink):
        await until(lambda: expected[-1] in versions(sink))
    assert len(versions(sink)) == len(set(versions(sink)))
    assert set(versions(sink)) == set(expected)
    fault("random faults and restarts", said=expected, kept=versions(sink))


def test_a_mistyped_key_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'kube_url'"):
        KubernetesEvents({"kube_ulr": "https://x"})
