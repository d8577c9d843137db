"""Ways to a cluster and what is watched there: proxies, addresses, polling, API groups, further kinds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.errors import UsageError
from kubewitness.formats import objects
from kubewitness.inputs import kubernetes_events_watch
from kubewitness.inputs.kubernetes_events import KubernetesEvents
from kubewitness.record import Chunk
from kubewitness.store.rows import ROWS
from tests.fake_apiserver import FakeApiServer, status
from tests.faults import Fault
from tests.inputs.events_recording import recording, until, versions, watching
from tests.inputs.sinks import Kept

HOST = "kubernetes.default.svc"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubewitness.kube.backoff.random.uniform", lambda a, b: 0.02)
    monkeypatch.setattr(kubernetes_events_watch, "_SHORT_WATCH", 0.0)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as fake:
        yield fake


class Tunnel:
    """A proxy that understands CONNECT and leads every connection to one port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b"\r\n")[0].decode())
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer))

    async def _pipe(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await source.read(65536):
                to.write(data)
        to.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    crt, key = folder / "tls.crt", folder / "tls.key"
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    out = ["-keyout", str(key), "-out", str(crt)]
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *out], check=True, capture_output=True)
    return crt, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_a_proxy_of_the_environment_is_used_and_the_certificate_checked_for_the_servers_name(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    sink = Kept()
    async with FakeApiServer(tls=server_context(certificate)) as server:
        tunnel = Tunnel(server.port)
        async with tunnel as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            expected = server.put("e")
            keys = {"kube_url": f"https://{HOST}", "kube_ca_file": str(certificate[0])}
            async with recording(server, sink, **keys) as source:
                await watching(source)
    assert versions(sink) == [expected]
    assert set(tunnel.asked) == {f"CONNECT {HOST}:443 HTTP/1.1"}
    fault("proxy", said=server.said, kept=versions(sink))


async def test_a_proxy_of_the_kubeconfig_is_used(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    sink = Kept()
    async with FakeApiServer(tls=server_context(certificate)) as server:
        tunnel = Tunnel(server.port)
        async with tunnel as proxy:
            cluster = {"server": f"https://{HOST}", "certificate-authority": str(certificate[0]), "proxy-url": proxy}
            config = {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "c",
            }
            (tmp_path / "config").write_text(json.dumps(config))
            expected = server.put("e")
            keys = {"kube_url": "", "kubeconfig": str(tmp_path / "config"), "net__proxy_env_ignore": "on"}
            async with recording(server, sink, **keys) as source:
                await watching(source)
    assert versions(sink) == [expected]
    assert tunnel.asked
    fault("proxy of the kubeconfig", said=server.said, kept=versions(sink))


async def test_a_context_of_the_kubeconfig_says_which_cluster(server: FakeApiServer, tmp_path: Path) -> None:
    places = {"gone": "http://127.0.0.1:9", "here": server.url}
    config = {
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in places.items()],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in places],
        "current-context": "gone",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    keys = {"kube_url": "", "kubeconfig": str(tmp_path / "config")}
    async with recording(server, Kept(), **keys) as source:
        await until(lambda: "Cannot connect" in str(source.health()["last_error"]))
    async with recording(server, Kept(), **keys, context="here") as source:
        await watching(source)


async def test_the_name_in_the_certificate_is_checked_unless_another_is_given_or_it_is_switched_off(
    certificate: tuple[Path, Path],
) -> None:
    async with FakeApiServer(tls=server_context(certificate)) as server:
        ca = {"tls__ca_file": str(certificate[0])}
        async with recording(server, Kept(), **ca) as source:
            await until(lambda: "certificate" in str(source.health()["last_error"]).lower())
        for keys in ({"tls__vhost": HOST}, {"tls__verify_hostname": "off"}):
            async with recording(server, Kept(), **ca, **keys) as source:
                await watching(source)
        async with recording(server, Kept(), tls__verify="off") as source:
            await watching(source)


async def test_a_client_certificate_is_shown(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    context = server_context(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate[0])
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", str(certificate[1]), "-aes256", "-passout", "pass:secret", "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    async with FakeApiServer(tls=context) as server:
        keys = {"tls__ca_file": str(certificate[0]), "tls__vhost": HOST, "tls__crt_file": str(certificate[0])}
        async with recording(server, Kept(), **keys, tls__key_file=str(certificate[1])) as source:
            await watching(source)
        async with recording(server, Kept(), **keys, tls__key_file=str(locked), tls__key_passwd="secret") as source:
            await watching(source)
        async with recording(server, Kept(), **keys, tls__key_file=str(locked), tls__key_passwd="wrong") as source:
            await until(lambda: "certificates of" in str(source.health()["last_error"]))
            assert "wrong" not in str(source.health())


async def test_an_ipv6_address_and_a_path_before_the_api_are_kept(fault: Fault) -> None:
    async with FakeApiServer("::1", base="/k8s/clusters/c-1") as server:
        assert server.url.startswith("http://[::1]:")
        sink = Kept()
        expected = server.put("e")
        async with recording(server, sink) as source:
            await watching(source)
        assert versions(sink) == [expected]
    fault("IPv6, and a path before the API", said=server.said, kept=versions(sink))


async def test_a_token_command_is_asked_again_when_its_time_is_over(
    server: FakeApiServer, tmp_path: Path, fault: Fault
) -> None:
    (tmp_path / "token").write_text("first\n")
    server.token = "first"
    sink = Kept()
    async with recording(server, sink, kube_token_command=f"cat {tmp_path}/token") as source:
        await watching(source)
        (tmp_path / "token").write_text("second\n")
        server.token = "second"
        server.break_connections()
        expected = server.put("e")
        await until(lambda: expected in versions(sink))
    fault("token of a command expired", said=server.said, kept=versions(sink))


async def test_the_token_and_ca_of_the_pod_are_the_defaults_of_an_address_but_never_go_in_the_clear(
    server: FakeApiServer, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubewitness.kube.kubeconfig.SERVICE_ACCOUNT", str(tmp_path))
    (tmp_path / "token").write_text("mounted")
    (tmp_path / "ca.crt").write_bytes(certificate[0].read_bytes())
    async with FakeApiServer(tls=server_context(certificate)) as secure:
        secure.token = "mounted"
        async with recording(secure, Kept(), tls__vhost=HOST) as source:
            await watching(source)
        async with recording(secure, Kept(), tls__vhost=HOST, kube_token_file="") as source:
            await until(lambda: "401" in str(source.health()["last_error"]))
    shown: list[str] = []

    async def look(request: web.Request) -> None:
        shown.append(request.headers.get("Authorization", ""))

    server.faults.append(look)
    async with recording(server, Kept()) as source:
        await watching(source)
    assert set(shown) == {""}


async def test_one_namespace_is_listed_and_watched_by_its_own_path(server: FakeApiServer) -> None:
    async with recording(server, Kept(), kube_namespace="shop") as source:
        await watching(source)
    asked = {path for path, _ in server.requests if path.endswith("events")}
    assert asked == {"/api/v1/namespaces/shop/events"}


@pytest.mark.parametrize("code", [403, 404, 405, 501])
async def test_where_a_watch_is_refused_the_events_are_polled_without_repeats(
    server: FakeApiServer, code: int, fault: Fault
) -> None:
    async def refuse(request: web.Request) -> web.Response | None:
        return status(code, "no") if request.query.get("watch") else None

    server.faults.append(refuse)
    sink = Kept()
    expected = [server.put("e0")]
    # one second is the shortest period
    async with recording(server, sink, interval_sec="1", interval_nsec="0") as source:
        await until(lambda: source.health()["state"] == "polling")
        assert source.health()["dead_since_us"] == 0
        expected += [server.put("e1"), server.put("e0")]
        await until(lambda: len(versions(sink)) == 3)
        server.faults.clear()
        await watching(source)
    assert sorted(versions(sink)) == sorted(expected)
    fault("watch refused: polling", said=server.said, kept=versions(sink))


async def test_polling_can_be_asked_for(server: FakeApiServer, fault: Fault) -> None:
    sink = Kept()
    async with recording(server, sink, watch="off", interval_sec="1") as source:
        await until(lambda: source.health()["state"] == "polling")
        expected = server.put("e")
        await until(lambda: versions(sink) == [expected])
    assert not [1 for _, query in server.requests if "watch" in query]
    fault("polling asked for", said=server.said, kept=versions(sink))


async def test_events_of_the_newer_group_come_out_as_those_of_the_older(server: FakeApiServer) -> None:
    sink = Kept()
    new = {
        "regarding": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "pod-1"},
        "note": "Stopping container web",
        "deprecatedSource": {"component": "kubelet", "host": "n1"},
        "deprecatedFirstTimestamp": "2026-11-22T10:00:00Z",
        "deprecatedLastTimestamp": "2026-11-22T10:00:00Z",
        "deprecatedCount": 1,
    }
    absent = ("involvedObject", "message", "source", "firstTimestamp", "lastTimestamp", "count")
    server.put("old")
    server.put("new", **new)
    for name in absent:
        del server.objects["new"][name]
    async with recording(server, sink, api="events.k8s.io/v1") as source:
        await watching(source)
        assert any(path == "/apis/events.k8s.io/v1/events" for path, _ in server.requests)
    rows = {row[8]: row for row in stored(sink, "events")}
    same = [i for i in range(len(rows["old"])) if i not in (6, 8, 9)]  # but for uid, name and version
    key_and_place = 5
    assert [rows["old"][i] for i in same][:-key_and_place] == [rows["new"][i] for i in same][:-key_and_place]


def stored(sink: Kept, table: str) -> list[tuple[object, ...]]:
    """The rows that the store makes of what was kept."""
    rows: list[tuple[object, ...]] = []
    for chunk in sink.chunks:
        if chunk.table == table:
            ROWS[table](Chunk.from_parts(chunk.header(), chunk.data), 0, rows, [])
    return rows


async def test_further_kinds_are_watched_into_objects_by_any_name_kubectl_knows(server: FakeApiServer) -> None:
    sink = Kept()
    listed = server.put_thing("pods", "web-1", spec={"nodeName": "n1"})
    server.put_thing("widgets", "w")
    async with recording(server, sink, resources="po, deploy,widgets.example.com") as source:
        await watching(source)
        watched = [server.put_thing("deployments", "web"), server.put_thing("pods", "web-1"), server.put("event")]
        gone = server.delete_thing("pods", "web-1")
        await until(lambda: gone in versions(sink, "objects") and bool(versions(sink)))
        await until(lambda: len(versions(sink, "objects")) == 5)
    assert {listed, *watched[:2], gone} < set(versions(sink, "objects"))
    found = {(v.api_version, v.kind) for raw, _ in sink.records("objects") if (v := objects.decode(raw))}
    assert found == {("v1", "Pod"), ("apps/v1", "Deployment"), ("example.com/v1beta1", "Widget")}
    deleted = [note for raw, note in sink.records("objects") if note.change == "DELETED"]
    assert [note.flags for note in deleted] == [("time-from-arrival",)]
    assert isinstance(shown := source.health()["watch"], dict)
    assert set(shown) == {"events", "po", "deploy", "widgets.example.com"}


def _has(sink: Kept, wanted: tuple[str, str]) -> bool:
    return wanted in versions(sink, "objects")


async def test_each_kind_has_a_position_of_its_own_and_is_resumed(server: FakeApiServer) -> None:
    sink = Kept()
    server.put_thing("pods", "a")
    for _ in range(2):
        async with recording(server, sink, resources="pods", events="off") as source:
            await watching(source)
            last = server.put_thing("pods", "a")
            await until(partial(_has, sink, last))
    assert sink.duplicates == 0
    assert len(versions(sink, "objects")) == 3
    assert not versions(sink)
    assert set(sink.positions) == {"kubernetes_events/default/pods"}


async def test_secrets_are_redacted_before_they_are_kept(server: FakeApiServer) -> None:
    sink = Kept()
    server.put_thing("secrets", "listed", data={"password": "aHVudGVyMg=="})
    async with recording(server, sink, resources="secrets", events="off") as source:
        await watching(source)
        server.put_thing("secrets", "watched", stringData={"password": "hunter2-plain"})
        await until(lambda: len(versions(sink, "objects")) == 2)
    for raw, note in sink.records("objects"):
        assert b"aHVudGVyMg" not in raw
        assert b"hunter2" not in raw
        assert note.redacted


async def test_a_kind_that_does_not_exist_yet_is_waited_for_and_holds_up_no_other(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Kept()
    async with recording(server, sink, resources="gadgets") as source:
        await until(lambda: "no resource 'gadgets'" in str(source.health()["last_error"]))
        expected = server.put("e")
        await until(lambda: versions(sink) == [expected])
        assert source.health()["connected"] is False
        monkeypatch.setitem(FakeApiServer.__init__.__globals__["KINDS"], "gadgets", ("example.com/v1", "Gadget", []))
        await watching(source)


#: the example of Fluent Bit's manual for this input, in both forms, as it stands there
EXAMPLES = {
    "example.yaml": """
service:
  flush: 1
  log_level: info

pipeline:
  inputs:
    - name: kubernetes_events
      tag: k8s_events
      kube_url: https://kubernetes.default.svc

  outputs:
    - name: stdout
      match: '*'
""",
    "example.conf": """
[SERVICE]
  flush     1
  log_level info

[INPUT]
  name      kubernetes_events
  tag       k8s_events
  kube_url  https://kubernetes.default.svc

[OUTPUT]
  name      stdout
  match     *
""",
}
#: a pod's files are elsewhere here; nothing else differs from the command line
START = """
import sys
from kubewitness.kube import kubeconfig
kubeconfig.SERVICE_ACCOUNT = sys.argv.pop(1)
from kubewitness.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_the_documented_example_runs_unchanged_as_in_a_pod(
    certificate: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(EXAMPLES[name])
    (tmp_path / "token").write_text("mounted")
    (tmp_path / "ca.crt").write_bytes(certificate[0].read_bytes())
    async with FakeApiServer(tls=server_context(certificate)) as server:
        server.token = "mounted"
        server.put("e", message="seen by the example")
        async with Tunnel(server.port) as proxy:
            env = {k: v for k, v in os.environ.items() if not k.startswith(("KUBE", "NO_PROXY", "no_proxy"))}
            words = ["run", "-c", str(tmp_path / name), "--state", str(tmp_path / "state")]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", START, str(tmp_path), *words),
                env=env | {"HTTPS_PROXY": proxy},
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            async with asyncio.timeout(30):
                line = await process.stdout.readline()
            process.terminate()
            await process.communicate()
    assert json.loads(line) == server.objects["e"]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"api": "v2"}, "'api' is 'v2'; it takes v1 or events.k8s.io/v1"),
        ({"watch": "maybe"}, "'watch' is 'maybe'"),
        ({"events": "off"}, "nothing is left to do"),
        ({"tls.min_version": "SSLv3"}, "tls.min_version is 'SSLv3'"),
        ({"tls.key_file": "k"}, "'tls.key_file' is given without 'tls.crt_file'"),
    ],
)
def test_keys_that_cannot_work_are_told_before_anything_starts(keys: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        KubernetesEvents({"kube_url": "http://x", **keys})
