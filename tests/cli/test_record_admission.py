"""`record --admission-listen` as a whole process."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from kubewitness.cli import main
from tests.cli.test_record import count, recorder
from tests.cluster.harness.ports import free_port
from tests.inputs.certificates import Authority
from tests.inputs.test_kubernetes_admission import review


def test_reviews_and_questions_are_answered_over_tls_and_reviews_stored(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("kubewitness")
    address = f"127.0.0.1:{free_port()}"
    flags = ["--listen", "127.0.0.1:0", "--serve-tls-cert", str(crt), "--serve-tls-key", str(key)]
    flags += ["--admission-listen", address, "--tls-cert", str(crt), "--tls-key", str(key)]
    with recorder(tmp_path, *flags) as running:
        assert running.says(r"admission webhook (\S+)")[1] == f"https://{address}/admission"
        answers = running.says(r"answers\s+(https://\S+)")[1]
        with urllib.request.urlopen(f"{answers}healthz", context=ca.client_context(), timeout=10) as answer:
            assert answer.read() == b"ok\n"
        host, _, port = address.rpartition(":")
        until = time.monotonic() + 20
        while socket.socket().connect_ex((host, int(port))):
            assert time.monotonic() < until
            time.sleep(0.1)
        for n in range(20):
            body = json.dumps(review(n)).encode()
            request = urllib.request.Request(f"https://{address}/admission/prod", body)
            with urllib.request.urlopen(request, context=ca.client_context(), timeout=10) as answer:
                assert json.load(answer)["response"] == {"uid": f"review-{n}", "allowed": True}
        until = time.monotonic() + 20
        while count(tmp_path, "admission") < 20:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert running.stop() == 0
    assert count(tmp_path, "admission") == 20


def test_a_listener_that_no_api_server_could_call_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--state", str(tmp_path), "--admission-listen", "0.0.0.0:9445"]) == 2
    assert "--tls-cert" in capsys.readouterr().err
