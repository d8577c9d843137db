"""An agent as a process: the pipeline of the sidecar's manifest, its probes, and what it delivers at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from kubewitness.manifests import manifest
from tests.cluster.harness.ports import free_port

pytestmark = pytest.mark.timeout(120)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_sidecar_answers_probes_and_delivers_all_its_pod_wrote_before_it_ends(tmp_path: Path) -> None:
    port = free_port()
    config = next(d for d in yaml.safe_load_all(manifest("agent-sidecar")) if d["kind"] == "ConfigMap")
    text = config["data"]["pipeline.yaml"].replace("/logs/", f"{tmp_path}/").replace("2020", str(port))
    (tmp_path / "pipeline.yaml").write_text(text.replace("0.0.0.0", "127.0.0.1"))
    log = tmp_path / "app.log"
    log.write_text("started\n")
    command = [sys.executable, "-m", "kubewitness", "run", "-c", str(tmp_path / "pipeline.yaml")]
    environment = {**os.environ, "KUBEWITNESS_STATE": str(tmp_path / "state")}
    agent = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n"
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert get(f"http://127.0.0.1:{port}/readyz") == "ok\n"
        assert "kubewitness_pipeline_files{" in get(f"http://127.0.0.1:{port}/metrics")
        with log.open("a") as app:
            app.writelines(f"line {i}\n" for i in range(1000))
            app.write("killed in the mid")
        agent.send_signal(signal.SIGTERM)
        out, _ = agent.communicate(timeout=60)
    finally:
        agent.kill()
        agent.wait()
    assert agent.returncode == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["log"] for r in records] == ["started", *(f"line {i}" for i in range(1000)), "killed in the mid"]
    assert {r["file"] for r in records} == {str(log)}
