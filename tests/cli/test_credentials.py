"""No credential of a running recorder shows anywhere: its output, metrics, status, state directory, or crash dump.

Also when the API server, a proxy before it or the credential plugin repeats what it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from aiohttp import web

from tests.cli.test_record import reaches, recorder
from tests.cluster.harness.ports import free_port
from tests.fake_apiserver import FakeApiServer
from tests.inputs.certificates import Authority
from tests.inputs.echoes import echo
from tests.inputs.test_kubernetes_audit_webhook import event, event_list

_EXEC, _WEBHOOK, _SERVE = "exec-s3cr3t-0f41", "webhook-s3cr3t-7be2", "serve-s3cr3t-93aa"


def _kubeconfig(folder: Path, server: str, ca: Authority, key: tuple[Path, Path]) -> Path:
    plugin = folder / "plugin"
    end = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    credential = {**end, "status": {"token": _EXEC}}
    answers = f"print({json.dumps(json.dumps(credential))})\n"
    complains = f"import os, sys\nif os.path.exists({str(folder / 'broken')!r}):\n sys.exit('expired: {_EXEC}')\n"
    plugin.write_text(f"#!{sys.executable}\n{complains}{answers}")
    plugin.chmod(0o755)
    user = {
        "exec": {"apiVersion": end["apiVersion"], "command": str(plugin), "interactiveMode": "Never"},
        "client-certificate": str(key[0]),
        "client-key": str(key[1]),
    }
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(ca.certificate)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def _fetch(url: str, token: str, body: bytes | None = None, context: ssl.SSLContext | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as e:
        return e.read()


async def test_no_credential_shows_in_output_metrics_status_state_or_crash_dump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = Authority(tmp_path)
    served, shown, hook = ca.issue("server"), ca.issue("recorder"), ca.issue("webhook")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*served)
    context.load_verify_locations(ca.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    for name, token in (("hook-token", _WEBHOOK), ("serve-token", _SERVE)):
        (tmp_path / name).write_text(token)
    # the second 401 comes after the credential plugin, asked because of the first, has failed
    repeated = ["401 Status", "401 page", "403 Status", "302", "429 Status"]
    lines = ["ERROR 500", "no watch line", "unknown type"]
    broken = tmp_path / "broken"

    async def repeat(request: web.Request) -> web.StreamResponse | None:
        if repeated:
            form = repeated.pop()
            broken.touch() if form == "401 page" else broken.unlink(missing_ok=True)
            return await echo(form, request)
        return await echo(lines.pop(), request) if lines and "watch" in request.query else None

    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    listen, audit = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    async with FakeApiServer(tls=context) as server:
        server.token = _EXEC
        server.faults.append(repeat)
        server.put("e1")
        flags = ["--kubeconfig", str(_kubeconfig(tmp_path, server.url, ca, shown)), "-v", "--listen", listen]
        flags += ["--serve-token-file", str(tmp_path / "serve-token"), "--audit-listen", audit]
        flags += ["--audit-cert-file", str(hook[0]), "--audit-key-file", str(hook[1])]
        flags += ["--audit-token-file", str(tmp_path / "hook-token")]
        with recorder(tmp_path, *flags) as running:
            await asyncio.to_thread(running.says, "Ctrl-C ends", 60)
            await asyncio.to_thread(reaches, tmp_path, "events", 1, 90)
            client, url = ca.client_context(), f"https://{audit}/audit"
            for token in ("wrong", _WEBHOOK):
                await asyncio.to_thread(_fetch, url, token, event_list(event(1)), client)
            await asyncio.to_thread(_fetch, url, _WEBHOOK, b"no JSON", client)
            with contextlib.suppress(OSError), socket.create_connection(audit.rsplit(":")) as plain:  # type: ignore[arg-type]
                plain.sendall(f"POST /audit HTTP/1.1\r\nAuthorization: Bearer {_WEBHOOK}\r\n\r\n".encode())
                plain.recv(100)
            await asyncio.to_thread(reaches, tmp_path, "audit", 1, 60)
            answers = [
                await asyncio.to_thread(_fetch, f"http://{listen}{path}", token)
                for path in ("/metrics", "/api/v1/status", "/healthz", "/nothing")
                for token in (_SERVE, "wrong")
            ]
            await server.stop()
            await asyncio.sleep(1)
            running.process.send_signal(signal.SIGABRT)
            await asyncio.to_thread(running.process.wait, 30)
    said = running.messages.read_bytes()
    assert not repeated
    assert not lines
    assert b"credential plugin" in said
    assert b"expired: ***" in said
    assert b"Fatal Python error: Aborted" in said
    assert b"403" in said or b"not allowed" in said
    files = [p for p in (tmp_path / "state").rglob("*") if p.is_file()]
    assert any(p.name == "journal.db" for p in files)
    key = b"".join(shown[1].read_bytes().splitlines()[1:2]), b"".join(hook[1].read_bytes().splitlines()[1:2])
    for secret in (_EXEC.encode(), _WEBHOOK.encode(), _SERVE.encode(), *key):
        assert len(secret) > 10
        assert secret not in said
        assert not [answer for answer in answers if secret in answer]
        assert [p for p in files if secret in p.read_bytes()] == []
