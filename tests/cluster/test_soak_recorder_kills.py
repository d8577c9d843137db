"""100 random kill -9 of the recorder (webhook + Events) under the highest steady load that the machine gives.

What is compared, record by record: (auditID, stage) of everything in the API server's own audit file, which the
recorder does not read, with table audit; (uid, resourceVersion) of everything that an independent list and watch saw
with table events. Kills come in groups of up to three, each at a random moment (also right after a start, during
recovery), with peace after a group for a multiple of the time that nobody listened, because the API server drops a
batch after five tries. What it drops it lists in its own log: nothing else may be missing, and it should be nothing.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from kubewitness.config.state import state_paths
from kubewitness.store import Store
from tests.cluster.demo_manifests import namespace
from tests.cluster.harness import Binaries, ControlPlane, Options, RawWatch, Webhook, until
from tests.cluster.harness.ports import free_port
from tests.cluster.load import Load
from tests.cluster.recorder import Recorder, recorder_flags

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(3 * 3600)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "100"))
THREADS = int(os.environ.get("KUBEWITNESS_LOAD_THREADS", "6"))
#: seconds the API server waits before its second try; then 1.5 times as long each time, and up to a fifth more
_BACKOFF = 10
#: peace after a group of kills: so many times as long as the recorder was away, so that five tries in a row hardly
#: ever meet its absences
_PEACE = (6.0, 8.0)
#: how the API server's log tells a record that it gave up (staging/src/k8s.io/apiserver/pkg/audit, EventString)
_IMPACTED = re.compile(r' AUDIT: id="([^"]+)" stage="([^"]+)"')
_AUDIT = "SELECT audit_id, stage FROM audit"
_VERSIONS = "SELECT uid, resource_version FROM events WHERE change <> 'EXPIRED'"


class _Record(msgspec.Struct):
    auditID: str
    stage: str


def said(cluster: ControlPlane) -> Counter[tuple[str, str]]:
    """(auditID, stage) of each line of the API server's audit files; it begins another at 100 MB."""
    decode = msgspec.json.Decoder(_Record).decode
    return Counter((record.auditID, record.stage) for record in map(decode, cluster.audit_lines()))


def rows(recorder: Recorder, query: str) -> Counter[tuple[str, str]]:
    with Store(state_paths(str(recorder.state))).session() as session:
        return Counter((str(a), str(b)) for a, b in session.query(query))


def dropped(cluster: ControlPlane) -> set[tuple[str, str]]:
    """(auditID, stage) of the records that the API server gave up sending."""
    said = (cluster.folder / "logs" / "apiserver.log").read_text(errors="replace")
    return {(found[1], found[2]) for found in _IMPACTED.finditer(said)}


def test_a_hundred_kills_lose_nothing_and_store_nothing_twice(binaries: Binaries, tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    rng = random.Random(seed)
    address = f"127.0.0.1:{free_port()}"
    options = Options(
        nodes=(),
        webhook=Webhook(f"http://{address}/audit", batch=400),
        apiserver=(f"--audit-webhook-initial-backoff={_BACKOFF}s", "--audit-webhook-batch-buffer-size=100000"),
    )
    cluster = ControlPlane(options, binaries)
    recorder = Recorder(tmp_path / "state", *recorder_flags(cluster.pki.users["admin"].kubeconfig, listen=address))
    try:
        recorder.start()
        cluster.start()
        cluster.apply(namespace("load"))
        cluster.wait_namespace("load")
        watch = RawWatch(cluster.api(), "/api/v1/events").start()
        load = Load(cluster.api("admin"), 10**9, THREADS).start()
        began = time.monotonic()
        kills, starts = 0, []
        while kills < KILLS:
            away = 0.0
            for _ in range(rng.choice((1, 2, 2, 3))):
                time.sleep(rng.uniform(0.0, 1.5))
                recorder.kill()
                kills += 1
                at = time.monotonic()
                recorder.start()
                starts.append(time.monotonic() - at)
                away += starts[-1]
            if kills % 10 < 2:
                rate = load.done / (time.monotonic() - began)
                print(
                    f"{kills} kills, {load.done} requests, {rate:.0f}/s, load of the machine {os.getloadavg()[0]:.0f}"
                )
            time.sleep(away * rng.uniform(*_PEACE))
        load.finish()
        load.join()
        seconds = time.monotonic() - began
        until("the end of the watch", lambda: _quiet(watch), 60)
        watch.stop()
        # Not after its end: what an API server says while it shuts down it may not send any more.
        records = said(cluster)
        until(
            "all audit records in the store",
            lambda: records.keys() - rows(recorder, _AUDIT).keys() <= dropped(cluster),
            120,
            every=3,
        )
        given_up = dropped(cluster)
        recorder.stop(60)
        audit, versions = rows(recorder, _AUDIT), rows(recorder, _VERSIONS)
    finally:
        recorder.stop()
        cluster.stop()
    seen = watch.versions()
    starts.sort()
    print(
        f"recorder kills: {kills} in {seconds:.0f} s, seed {seed}, {THREADS} connections, "
        f"{load.done} API requests, {load.done / seconds:.0f}/s (machine: {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[2]:.0f} from other work too)\n"
        f"from kill to recording: median {starts[len(starts) // 2]:.1f} s, at most {starts[-1]:.1f} s\n"
        f"audit: {sum(records.values())} records in the API server's file, {sum(audit.values())} stored, "
        f"{len(records.keys() - audit.keys())} lost, {sum(n - 1 for n in audit.values())} twice, "
        f"{len(given_up)} given up by the API server\n"
        f"events: {len(seen)} versions seen by the independent watch, {sum(versions.values())} stored, "
        f"{len(seen - versions.keys())} lost, {sum(n - 1 for n in versions.values())} twice"
    )
    assert records.keys() - audit.keys() <= given_up, "records are missing that the API server did send"
    assert not given_up, "the API server gave up records: the recorder starts too slowly here for so many kills"
    assert {key: n for key, n in audit.items() if key in records and n != records[key]} == {}
    assert set(audit.values()) == {1}
    assert not seen - versions.keys()
    assert set(versions.values()) == {1}


def _quiet(watch: RawWatch) -> bool:
    before = len(watch.lines)
    time.sleep(3)
    return len(watch.lines) == before
