"""`record --leader-elect` as a whole process against a fake API server whose Lease the test holds, gives and takes."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main
from kubewitness.config.state import state_paths
from kubewitness.errors import KubewitnessError
from kubewitness.store import Store
from tests.cli.test_record import recorder
from tests.cluster.harness.ports import free_port
from tests.fake_apiserver import FakeApiServer

FAST = ("--lease-duration", "2s", "--renew-deadline", "1s", "--retry-period", "200ms", "--flush-seconds", "0.3")


def held_by(holder: str, transitions: int, *, seconds: int = 3600) -> dict[str, Any]:
    return {
        "metadata": {"name": "kubewitness", "namespace": "default"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": transitions},
    }


def count(tmp_path: Path) -> int:
    """Events that can be asked for."""
    store = Store(state_paths(str(tmp_path / "state")))
    try:
        with store.session() as session:
            return int(str(session.query("SELECT count(*) FROM events")[0][0]))
    except KubewitnessError:
        return 0  # nothing was recorded yet
    finally:
        store.close()


def reaches(tmp_path: Path, n: int) -> None:
    until = time.monotonic() + 30
    while (got := count(tmp_path)) != n:
        assert time.monotonic() < until, f"{got} of {n} Events"
        time.sleep(0.1)


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


async def test_a_standby_records_nothing_and_says_so_until_the_lease_is_its_own(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with FakeApiServer() as server:
        server.put("e1")
        server.leases.put(held_by("another", 4))
        flags = ("--server", server.url, "--leader-elect", "--identity", "us", "--listen", address, *FAST)
        with recorder(tmp_path, *flags) as running:
            await asyncio.to_thread(running.says, "election +by lease kubewitness")
            await asyncio.sleep(1)
            assert await asyncio.to_thread(ask, f"http://{address}/readyz") == (
                503,
                "standby; the leader is another\n",
            )
            assert await asyncio.to_thread(ask, f"http://{address}/healthz") == (200, "ok\n")
            assert not [path for path, _ in server.requests if path.endswith("/events")]
            # the other one stops cleanly
            server.leases.put({**server.leases.objects["default", "kubewitness"], **held_by("", 4, seconds=1)})
            await asyncio.to_thread(reaches, tmp_path, 1)
            assert (await asyncio.to_thread(ask, f"http://{address}/readyz"))[0] == 200
            text = (await asyncio.to_thread(ask, f"http://{address}/api/v1/status"))[1]
            election = json.loads(text)["election"]
            assert (election["leading"], election["term"], election["transitions"]) == (True, 5, 5)
            assert election["holder"].startswith("us_")
            metrics = (await asyncio.to_thread(ask, f"http://{address}/metrics"))[1]
            assert "\nkubewitness_election_term 5\n" in metrics
            assert await asyncio.to_thread(running.stop) == 0
    assert server.leases.spec()["holderIdentity"] == ""
    assert count(tmp_path) == 1


async def test_a_leader_that_loses_its_lease_stops_watching_and_goes_on_when_it_has_it_again(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        server.put("e1")
        with recorder(tmp_path, "--server", server.url, "--leader-elect", "--no-serve", *FAST) as running:
            await asyncio.to_thread(reaches, tmp_path, 1)
            lease = server.leases.objects["default", "kubewitness"]
            server.leases.put({**lease, **held_by("another", 1)})
            await asyncio.to_thread(running.says, "not leading any more: term 0 of lease default/kubewitness is over")
            server.put("e2")
            await asyncio.sleep(1)
            assert await asyncio.to_thread(count, tmp_path) == 1
            lists = len([1 for path, query in server.requests if path.endswith("/events") and "watch" not in query])
            server.leases.put({**server.leases.objects["default", "kubewitness"], **held_by("", 1, seconds=1)})
            await asyncio.to_thread(reaches, tmp_path, 2)
            again = [q for path, q in server.requests if path.endswith("/events") and "watch" not in q][lists:]
            assert all(query == {"limit": "1"} for query in again), "it resumed, and did not list again"
            assert await asyncio.to_thread(running.stop) == 0


async def test_a_store_that_has_seen_a_later_term_is_passed_when_the_lease_was_begun_anew(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        server.put("e1")
        server.leases.put(held_by("", 7, seconds=1))
        flags = ("--server", server.url, "--leader-elect", "--no-serve", *FAST)
        with recorder(tmp_path, *flags) as running:
            await asyncio.to_thread(reaches, tmp_path, 1)
            assert await asyncio.to_thread(running.stop) == 0
        server.leases.objects.clear()
        server.put("e2")
        with recorder(tmp_path, *flags) as running:
            await asyncio.to_thread(reaches, tmp_path, 2)
            assert server.leases.spec()["leaseTransitions"] == 9
            assert await asyncio.to_thread(running.stop) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--server", "http://x", "--store", "s3://b/p", "--audit-file", "audit.log"], "--audit-file with --leader"),
        (["--server", "http://x", "--renew-deadline", "20s"], "must be longer than --renew-deadline"),
        (["--kubeconfig", "nowhere", "--audit-listen", "127.0.0.1:0"], "kubeconfig nowhere"),
    ],
)
def test_what_could_not_be_elected_is_refused(
    tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--state", str(tmp_path / "state"), "--no-serve", "--leader-elect", *flags]) == 2
    assert said in capsys.readouterr().err
