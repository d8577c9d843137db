"""One test for each fault that FAULTS names, known from another collector of Events: here it does not happen.

The faults have numbers, e1 to e15; docs/kubernetes-events.md says what each is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.contracts import Batch
from kubewitness.formats import events
from kubewitness.inputs import kubernetes_events_watch
from kubewitness.inputs.kubernetes_events import KubernetesEvents
from kubewitness.journal import Journal
from kubewitness.journal.window import Window
from kubewitness.record import chunk_of
from tests.fake_apiserver import FakeApiServer, status
from tests.faults import Fault
from tests.inputs.events_recording import recording, until, versions, watching
from tests.inputs.sinks import Kept


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubewitness.kube.backoff.random.uniform", lambda a, b: 0.02)
    monkeypatch.setattr(kubernetes_events_watch, "_SHORT_WATCH", 0.0)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as fake:
        yield fake


@pytest.mark.parametrize("size", [50, 6000])
async def test_e1_a_burst_is_read_to_its_end_without_a_pause_between_reads(
    server: FakeApiServer, size: int, fault: Fault
) -> None:
    sink = Kept()
    async with recording(server, sink) as source:
        await watching(source)
        expected = [server.put(f"e{i}", message="x" * size) for i in range(1500)]
        await until(lambda: len(versions(sink)) == 1500)
    assert versions(sink) == expected
    fault("e1: a burst", said=server.said, kept=versions(sink))


@pytest.mark.parametrize("cut", [2, 13, 999])
async def test_e2_no_byte_of_a_chunk_border_gets_into_a_record(server: FakeApiServer, cut: int, fault: Fault) -> None:
    sink = Kept()
    server.cut = cut
    async with recording(server, sink) as source:
        await watching(source)
        for i in range(30):
            server.put("e", message=f"7a1\\r\\nff4 {i}")
        await until(lambda: len(versions(sink)) == 30)
    assert [json.loads(raw)["message"] for raw, _ in sink.records("events")] == [f"7a1\\r\\nff4 {i}" for i in range(30)]
    assert not sink.records("rejects")
    assert source.health()["errors"] == 0
    fault("e2: bytes of a chunk's border", said=server.said, kept=versions(sink))


async def test_e3_every_bump_of_a_count_is_a_record_with_a_saved_position_too(
    server: FakeApiServer, fault: Fault
) -> None:
    sink = Kept()
    server.put("e")
    for _ in range(2):
        async with recording(server, sink) as source:
            await watching(source)
            for _ in range(3):
                server.put("e")
            await until(lambda: versions(sink)[-1:] == [("uid-e", str(server.version))])
    assert [json.loads(raw)["count"] for raw, _ in sink.records("events")] == [1, 2, 3, 4, 5, 6, 7]
    fault("e3: bumps of a count with a saved state", said=server.said, kept=versions(sink))


async def test_e4_a_restart_repeats_nothing_and_has_what_changed_meanwhile(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    expected = [server.put(f"e{i}") for i in range(20)]
    async with recording(server, sink) as source:
        await watching(source)
    expected += [server.put("e3"), server.put("e3"), server.put("new")]
    async with recording(server, sink):
        await until(lambda: len(versions(sink)) >= 23)
    assert versions(sink)[-3:] == expected[-3:]
    assert len(versions(sink)) == 23
    assert sink.duplicates == 0
    fault("e4: restart with changes meanwhile", said=server.said, kept=versions(sink))


@pytest.mark.parametrize("code", [410, 500, 504])
async def test_e5_a_list_broken_off_at_a_page_repeats_no_page_before_it(
    server: FakeApiServer, code: int, fault: Fault
) -> None:
    sink = Kept()
    expected = [server.put(f"e{i}") for i in range(9)]
    left = [1, 1, 1]

    async def broken(request: web.Request) -> web.Response | None:
        if request.query.get("continue") and left:
            left.pop()
            return status(code, "no")
        return None

    server.faults.append(broken)
    async with recording(server, sink, kube_request_limit="2") as source:
        await watching(source)
    assert sorted(versions(sink)) == sorted(expected)
    fault("e5: list broken off at a page", said=server.said, kept=versions(sink))


async def test_e6_an_empty_continue_token_is_the_end_of_the_list(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    server.empty_continue = True
    server.put("e")
    async with recording(server, sink) as source:
        await watching(source)
    assert len([1 for path, query in server.requests if path.endswith("/events") and "watch" not in query]) == 1
    assert len(versions(sink)) == 1
    fault("e6: empty continue token", said=server.said, kept=versions(sink))


async def test_e7_a_rotated_token_is_used_at_once_though_its_ttl_has_not_passed(
    server: FakeApiServer, tmp_path: Path, fault: Fault
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    server.token = "first"
    sink = Kept()
    async with recording(server, sink, kube_token_file=str(token), kube_token_ttl="10m") as source:
        await watching(source)
        server.token = "second"
        token.write_text("second")
        server.break_connections()
        last = server.put("e")
        await until(lambda: last in versions(sink), 5)
    fault("e7: rotated token before its TTL has passed", said=server.said, kept=versions(sink))


async def test_e8_a_series_has_the_time_it_was_last_seen_and_is_never_too_old(
    server: FakeApiServer, fault: Fault
) -> None:
    sink = Kept()
    series = {
        "firstTimestamp": None,
        "lastTimestamp": None,
        "count": None,
        "eventTime": "2026-11-22T08:00:00.123456Z",
        "series": {"count": 42, "lastObservedTime": "2026-11-22T10:00:05.654321Z"},
    }
    server.put("series", **series)
    server.put("ancient", firstTimestamp="2019-01-01T00:00:00Z", lastTimestamp="2019-01-01T00:00:00Z")
    async with recording(server, sink, kube_retention_time="1h") as source:
        await watching(source)
    found = {event.name: event for raw, _ in sink.records("events") if (event := events.decode(raw))}
    assert set(found) == {"series", "ancient"}
    assert events.best_time(found["series"]) == (1_795_341_605_654_321, "series.lastObservedTime")
    fault("e8: series, and Events of great age", said=server.said, kept=versions(sink))


async def test_e9_when_there_is_no_room_the_server_waits_and_nothing_is_thrown_away(
    server: FakeApiServer, fault: Fault
) -> None:
    sink = Kept()
    async with recording(server, sink, mem_buf_limit="1k") as source:
        await watching(source)
        sink.gate.clear()
        expected = [server.put(f"e{i}", message="x" * 3000) for i in range(800)]
        await asyncio.sleep(0.3)
        assert not versions(sink)
        sink.gate.set()
        await until(lambda: len(versions(sink)) == 800)
    assert versions(sink) == expected
    fault("e9: back-pressure", said=server.said, kept=versions(sink))


async def test_e10_whether_a_record_is_new_is_looked_up_not_searched_for(tmp_path: Path, fault: Fault) -> None:
    keys = [i.to_bytes(16, "big") for i in range(5000)]
    with Journal(tmp_path / "journal.db") as journal:
        for start in range(0, 5000, 500):
            journal.append([Batch([chunk_of("events", [(b"{}", k) for k in keys[start : start + 500]])])])
        taken = journal.append([Batch([chunk_of("events", [(b"{}", k) for k in keys])])])
    assert [t.duplicates for t in taken] == [5000]
    # a few hash sets, so that a key costs the same however many are held
    window = Window(5000)
    window.add(keys)
    assert len(window._sets) <= 5
    assert all(isinstance(s, set) for s in window._sets)
    fault("e10: many known records come again", said=range(5000), kept=range(taken[0].duplicates))


async def test_e11_a_list_is_never_asked_for_whole(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    for i in range(1201):
        server.put(f"e{i}")
    async with recording(server, sink) as source:
        await watching(source)
    lists = [query for path, query in server.requests if path.endswith("/events") and "watch" not in query]
    assert [query["limit"] for query in lists] == ["500"] * 3
    assert len(versions(sink)) == 1201
    fault("e11: list too large for one answer", said=server.said, kept=versions(sink))


async def test_e12_a_cluster_restored_or_rebuilt_is_noticed_told_and_recorded(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    sink = Kept()
    server.version = 5000
    server.put("old")
    async with recording(server, sink) as source:
        await watching(source)
        server.version, server.history, server.objects = 10, [], {}
        server.break_connections()
        expected = [server.put(f"new{i}") for i in range(6)]
        await until(lambda: set(expected) <= set(versions(sink)))
    assert "the cluster was set back" in caplog.text
    fault("e12: restore of the cluster under an open watch", said=server.said, kept=versions(sink))


def _reconnected(source: KubernetesEvents, before: int) -> bool:
    reconnects = source.health()["reconnects"]
    assert isinstance(reconnects, int)
    return reconnects > before and bool(source.health()["connected"])


async def test_e13_watches_that_end_are_resumed_without_a_list(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    expected = [server.put("e")]
    async with recording(server, sink) as source:
        await watching(source)
        for i in range(6):
            expected.append(server.put("e"))
            await until(lambda: versions(sink) == expected)
            server.break_connections()
            await until(partial(_reconnected, source, i))
    assert source.health()["lists"] == 1
    assert source.health()["relists"] == 0
    assert sink.duplicates == 0
    assert all(query["allowWatchBookmarks"] == "true" for _, query in server.requests if "watch" in query)
    fault("e13: watches that end again and again", said=server.said, kept=versions(sink))


async def test_e14_errors_and_expiry_are_told_and_health_has_the_numbers(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    sink = Kept()
    server.put("e", eventTime="2026-11-22T10:00:00.250000Z", lastTimestamp=None, firstTimestamp=None)
    async with recording(server, sink) as source:
        await watching(source)
        assert source.health()["last_event_us"] == 0
        server.expire("e")
        await until(lambda: len(versions(sink)) == 2)
        assert source.health()["last_event_us"]
        await server.stop()
        await until(lambda: source.health()["state"] == "failing")
        failing = source.health()
    assert [note.change for _, note in sink.records("events")] == ["ADDED", "EXPIRED"]
    assert events.best_time(events.decode(sink.records("events")[0][0]))[0] % 1_000_000 == 250_000
    assert failing["dead_since_us"]
    assert failing["last_error"]
    assert failing["errors"]
    assert str(failing["last_error"]) in caplog.text
    assert isinstance(failing["watch"], dict)
    assert failing["watch"]["events"]["records"] == 2
    fault("e14: errors, expiry, fractions of seconds", said=server.said, kept=versions(sink))


@pytest.mark.parametrize("line", [b"42", b"[1, 2]", b'"text"', b"null", b'{"type": 5}', b'{"type":"ADDED","object":7}'])
async def test_e15_json_that_is_no_watch_line_is_kept_as_a_reject_and_the_next_one_read(
    server: FakeApiServer, line: bytes, fault: Fault
) -> None:
    sink = Kept()
    async with recording(server, sink) as source:
        await watching(source)
        server.extra_lines = line + b"\n"
        good = server.put("e")
        await until(lambda: good in versions(sink))
    assert [raw for raw, _ in sink.records("rejects")] == [line]
    fault("e15: JSON of another shape in the watch", said=server.said, kept=versions(sink))


async def test_a_line_nested_too_deeply_for_decoders_is_kept_without_its_depths(
    server: FakeApiServer, fault: Fault
) -> None:
    sink = Kept()
    deep = b'"x":' + b'{"a":' * 5000 + b"1" + b"}" * 5000
    event = b'{"metadata":{"uid":"u","resourceVersion":"1"},"involvedObject":{"kind":"Pod"},"reason":"R",%s}' % deep
    async with recording(server, sink) as source:
        await watching(source)
        server.extra_lines = b'{"type":"ADDED","object":%s}\n' % event
        good = server.put("e")
        await until(lambda: good in versions(sink))
    assert versions(sink) == [("u", "1"), good]
    assert [note.flags for _, note in sink.records("events")] == [("depth-cut", "time-from-arrival"), ()]
    assert not source.health()["errors"]
    fault("watch line nested too deeply", said=[("u", "1"), good], kept=versions(sink))
