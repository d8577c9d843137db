"""Faults of a real API server under a recorder of its Events: killed, frozen, compacted, set back, begun anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.faults import Backup, Teller, kept, wait_kept, wait_watching
from tests.cluster.harness import ControlPlane, Options, until
from tests.cluster.recorder import Recorder, recorder_flags
from tests.faults import Fault

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ON = "real control plane"


@pytest.fixture(scope="module")
def cluster(start_cluster: Callable[[Options], ControlPlane]) -> ControlPlane:
    return start_cluster(Options(nodes=(), controllers=False, scheduler=False))


def _more(teller: Teller, than: int) -> bool:
    return len(teller.said) > than


@contextmanager
def recording(cluster: ControlPlane, folder: Path) -> Iterator[Recorder]:
    recorder = Recorder(folder / "state", *recorder_flags(cluster.pki.users["admin"].kubeconfig))
    try:
        recorder.start()
        wait_watching(recorder)
        yield recorder
    finally:
        recorder.stop()


def test_an_api_server_killed_and_frozen_under_load_is_followed_without_loss(
    cluster: ControlPlane, tmp_path: Path, fault: Fault
) -> None:
    teller = Teller(cluster.api(), "killed")
    longest = {"killed": 0.0, "frozen": 0.0}
    with recording(cluster, tmp_path) as recorder:
        teller.start()
        for way in ("killed", "frozen", "killed"):
            time.sleep(1)
            if way == "killed":
                cluster.restart(cluster.apiserver, kill=True)
            else:
                cluster.apiserver.pause()
                time.sleep(3)
                cluster.apiserver.resume()
            began, told = time.monotonic(), len(teller.said)
            until("something new to be told", partial(_more, teller, told), 60)
            longest[way] = max(longest[way], wait_kept(recorder, teller.said[: told + 1]) - began)
        teller.stop()
        wait_kept(recorder, teller.said)
        assert len(recorder.log.read_text().split("next try in")) > 1, "its absence was not even told"
        stored = kept(recorder, teller.said)
    fault(
        "API server killed and started again, under load",
        said=teller.said,
        kept=stored,
        on=ON,
        within=longest["killed"],
    )
    fault("API server frozen for 3 s, under load", said=teller.said, kept=stored, on=ON, within=longest["frozen"])


def test_a_cluster_restored_and_then_begun_anew_behind_its_address_is_recorded_whole(
    cluster: ControlPlane, tmp_path: Path, fault: Fault
) -> None:
    # one version each: what is overwritten before the new cluster is listed no list can have
    backup, teller = Backup(cluster), Teller(cluster.api(), "restored", again=False)
    with recording(cluster, tmp_path) as recorder:
        teller.tell(3)
        backup.make()
        teller.tell(40)
        wait_kept(recorder, teller.said)
        ours = int(teller.said[-1][1])
        backup.restore()
        began = time.monotonic()
        teller.tell(3)
        assert int(teller.said[-1][1]) < ours, "the version we were at is not in the future of the restored cluster"
        took = wait_kept(recorder, teller.said) - began
        assert "the cluster was set back" in recorder.log.read_text()
        stored = kept(recorder, teller.said)
        fault(
            "cluster restored: our resourceVersion is in its future", said=teller.said, kept=stored, on=ON, within=took
        )
        backup.wipe()
        began = time.monotonic()
        until("the namespace", lambda: cluster.api().get("/api/v1/namespaces/default"), 30)
        teller.tell(3)
        took = wait_kept(recorder, teller.said) - began
        # in its first moments it has no kube-system to be known by, only a version that went backwards
        log = recorder.log.read_text()
        assert "another cluster answers at this address" in log or log.count("the cluster was set back") == 2
        stored = kept(recorder, teller.said)
        fault("cluster rebuilt: resourceVersion gone backwards", said=teller.said, kept=stored, on=ON, within=took)
