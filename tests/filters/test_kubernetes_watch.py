"""Filter `kubernetes` and the API server: one watch, bounded waits, and what happens when it does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubewitness.config.keys import Options
from kubewitness.contracts import Batch, Taken
from kubewitness.filters.kubernetes import KEYS, Kubernetes
from kubewitness.filters.kubernetes_keys import plan_of
from kubewitness.kube import access as access_module
from kubewitness.kube import mirror
from kubewitness.pipeline.filtering import Filters, FilterSink, Step
from kubewitness.record import Chunk
from tests.fake_apiserver import FakeApiServer, status
from tests.filters.pods import container_id, cri, lines_of, log_file, pod, shown
from tests.inputs.certificates import Authority
from tests.inputs.events_recording import until

PODS = "/api/v1/pods"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubewitness.kube.backoff.random.uniform", lambda a, b: 0.02)
    monkeypatch.setattr(mirror, "_SHORT", 0.0)
    monkeypatch.delenv("NODE_NAME", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as fake:
        fake.put_thing("pods", "web-1", **pod())
        yield fake


class Recording:
    """What came out of the filter, and the filter."""

    def __init__(self, filter_: Kubernetes) -> None:
        self.filter = filter_
        self.chunks: list[Chunk] = []
        self._filters = Filters([Step(filter_, lambda tag: True)])
        self._sink = FilterSink(self, self._filters)

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        self.chunks += batch.chunks
        return Taken(sum(map(len, batch.chunks)), 0)

    async def position(self, name: str) -> bytes | None:
        return None

    async def say(self, *chunks: Chunk) -> list[Any]:
        """Puts lines through as an input does; the records."""
        self.chunks.clear()
        await self._sink.put(Batch(chunks))
        return [r.get("kubernetes", {}) for r in shown(self.chunks)]

    async def line(self, name: str = "web-1", letter: str = "a", **more: Any) -> dict[str, Any]:
        (said,) = await self.say(lines_of(log_file(name, letter=letter), cri("x"), **more))
        assert isinstance(said, dict)
        return said

    @property
    def health(self) -> Any:
        return self.filter.health()


@contextlib.asynccontextmanager
async def running(server: FakeApiServer | str, *keys: tuple[str, str]) -> AsyncIterator[Recording]:
    url = server if isinstance(server, str) else server.url
    given = [("kube_url", url), ("kube_node_name", "worker-1"), ("kube_meta_wait", "3s"), *keys]
    recording = Recording(Kubernetes([*dict(given).items()]))
    task = asyncio.create_task(recording.filter.serve())
    try:
        yield recording
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


def asked(server: FakeApiServer, path: str) -> list[dict[str, str]]:
    return [query for found, query in server.requests if found == path]


def refusing(path: str, code: int, *, watch: bool | None = None) -> Callable[[web.Request], Any]:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if not request.path.startswith(path) or (watch is not None and watch != ("watch" in request.query)):
            return None
        return status(code, "Forbidden" if code == 403 else "ServiceUnavailable")

    return fault


def only(path: str, fault: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    """At this path, and none below."""

    async def there(request: web.Request) -> web.StreamResponse | None:
        found: web.StreamResponse | None = await fault(request) if request.path == path else None
        return found

    return there


async def test_one_list_and_one_watch_of_the_nodes_pods_are_for_all_of_them(server: FakeApiServer) -> None:
    for i in range(30):
        server.put_thing("pods", f"app-{i}", **pod(f"app-{i}"))
    server.put_thing("pods", "far", **pod("far", node="worker-2"))
    async with running(server) as recording:
        for i in range(30):
            assert (await recording.line(f"app-{i}"))["pod_id"] == f"uid-app-{i}"
        await until(lambda: recording.health["pods"]["connected"])
        assert recording.health["pods"]["known"] == 31
    list_, watch = asked(server, PODS)
    assert (list_["fieldSelector"], list_["resourceVersion"]) == ("spec.nodeName=worker-1", "0")
    assert (watch["watch"], watch["fieldSelector"]) == ("1", "spec.nodeName=worker-1")
    assert len(server.requests) == 2


async def test_the_first_line_waits_for_the_first_list(server: FakeApiServer) -> None:
    gate = asyncio.Event()

    async def slow(request: web.Request) -> None:
        await gate.wait()

    server.faults.append(slow)
    async with running(server) as recording:
        line = asyncio.create_task(recording.line())
        await asyncio.sleep(0.05)
        assert not line.done()
        gate.set()
        assert (await line)["pod_id"] == "uid-web-1"


async def test_labels_follow_the_pods_and_a_new_pod_is_known_before_its_first_line(server: FakeApiServer) -> None:
    async with running(server) as recording:
        assert (await recording.line())["labels"] == {"app": "web"}
        await until(lambda: recording.health["pods"]["connected"])
        server.put_thing("pods", "web-1", **pod(labels={"app": "new"}))
        server.put_thing("pods", "web-2", **pod("web-2"))
        await until(lambda: recording.health["pods"]["known"] == 2)
        assert (await recording.line())["labels"] == {"app": "new"}
        assert (await recording.line("web-2"))["pod_id"] == "uid-web-2"
    assert recording.health["pods"]["fetches"] == 0


async def test_the_last_lines_of_a_deleted_pod_keep_its_metadata(server: FakeApiServer) -> None:
    async with running(server) as recording:
        await recording.line()
        await until(lambda: recording.health["pods"]["connected"])
        server.delete_thing("pods", "web-1")
        await until(lambda: recording.health["pods"]["known"] == 0)
        assert (await recording.line())["pod_id"] == "uid-web-1"
        # the next one of that name has another container, and each line is of the one that wrote it
        later = pod(uid="uid-later")
        later["status"]["containerStatuses"][0] |= {"containerID": f"containerd://{container_id('b')}", "lastState": {}}
        server.put_thing("pods", "web-1", **later)
        await until(lambda: recording.health["pods"]["known"] == 1)
        assert (await recording.line(letter="a"))["pod_id"] == "uid-web-1"
        assert (await recording.line(letter="9"))["pod_id"] == "uid-web-1"
        assert (await recording.line(letter="b"))["pod_id"] == "uid-later"
        # not yet in a status
        assert (await recording.line(letter="c"))["pod_id"] == "uid-later"


async def test_a_file_in_a_folder_of_another_uid_is_not_given_a_namesakes_metadata(server: FakeApiServer) -> None:
    target = "/var/log/pods/shop_web-1_01234567-89ab-cdef-0123-456789abcdef/app/0.log"
    async with running(server) as recording:
        assert "pod_id" not in await recording.line(letter="e", target=target)
        assert recording.health["missing"] == 1
        assert (await recording.line())["pod_id"] == "uid-web-1"


async def test_a_pod_that_the_watch_has_not_is_asked_for_once(server: FakeApiServer) -> None:
    server.put_thing("pods", "far", **pod("far", node="worker-2"))
    async with running(server) as recording:
        for _ in range(3):
            assert (await recording.line("far"))["host"] == "worker-2"
            assert "pod_id" not in await recording.line("gone")
        assert recording.health["missing"] == 3
    assert len(asked(server, "/api/v1/namespaces/shop/pods/far")) == 1
    assert len(asked(server, "/api/v1/namespaces/shop/pods/gone")) == 1


async def test_a_pod_that_was_asked_for_is_asked_for_again_after_its_time_without_a_wait(server: FakeApiServer) -> None:
    server.put_thing("pods", "far", **pod("far", node="worker-2"))
    async with running(server, ("kube_meta_cache_ttl", "100ms")) as recording:
        assert (await recording.line("far"))["labels"] == {"app": "web"}
        server.put_thing("pods", "far", **pod("far", node="worker-2", labels={"app": "new"}))
        async with asyncio.timeout(30):
            while (await recording.line("far"))["labels"] != {"app": "new"}:
                await asyncio.sleep(0.01)
        assert recording.health["pods"]["fetches"] >= 2
        assert recording.health["pods"]["waits"] == 1


async def test_pods_that_are_slow_to_be_had_are_waited_for_together_and_hold_up_nobody_else(
    server: FakeApiServer,
) -> None:
    async def slow(request: web.Request) -> None:
        if "/pods/" in request.path:
            await asyncio.sleep(60)

    server.faults.append(slow)
    async with running(server, ("kube_meta_wait", "1s")) as recording:
        await until(lambda: recording.health["pods"]["known"] == 1)
        strangers = [lines_of(log_file(f"stranger-{i}"), cri("x")) for i in range(20)]
        other = Recording(recording.filter)
        waiting = asyncio.create_task(recording.say(*strangers))
        await until(lambda: recording.health["pods"]["waits"] == 20)
        assert recording.health["pods"]["timeouts"] == 0  # all of them wait at once
        assert (await other.line())["pod_id"] == "uid-web-1"
        said = await waiting
        assert recording.health["pods"]["timeouts"] == 20
        assert {frozenset(s) for s in said} == {
            frozenset({"pod_name", "namespace_name", "container_name", "docker_id"})
        }
        assert recording.health["missing"] == 20
        # and then no longer
        assert recording.filter.missing(strangers[0]) is None


async def test_without_an_api_server_records_wait_once_and_go_on_and_it_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = FakeApiServer()
    await fake.start()
    await fake.stop()  # its port stays free, and is known
    async with running(fake, ("kube_meta_wait", "200ms")) as recording:
        assert "pod_id" not in await recording.line()
        assert recording.filter.missing(lines_of(log_file("other"), cri("x"))) is None
        await until(lambda: recording.health["pods"]["state"] == "failing")
        health = recording.health
        assert (health["missing"], health["pods"]["state"], health["pods"]["timeouts"]) == (1, "failing", 1)
        assert "Cannot connect" in health["pods"]["last_error"]
        assert "records go on without metadata" in caplog.text
        fake.put_thing("pods", "web-1", **pod())
        await fake.start()
        try:
            await until(lambda: recording.health["pods"]["connected"])
            assert (await recording.line())["pod_id"] == "uid-web-1"
        finally:
            await fake.stop()


async def test_without_the_right_to_list_pods_are_asked_for_one_by_one_and_the_right_is_named(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.append(refusing(PODS, 403))
    async with running(server) as recording:
        assert (await recording.line())["pod_id"] == "uid-web-1"
        assert recording.health["pods"]["missing_rights"] == ["list pods"]
        assert "not allowed to list pods" in caplog.text
        server.faults.clear()
        await until(lambda: recording.health["pods"]["connected"])
        assert recording.health["pods"]["missing_rights"] == []


async def test_without_the_right_to_watch_pods_are_listed_again(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "_POLL", 0.05)
    server.faults.append(refusing(PODS, 403, watch=True))
    async with running(server) as recording:
        await recording.line()
        server.put_thing("pods", "web-2", **pod("web-2"))
        await until(lambda: recording.health["pods"]["known"] == 2)
        assert recording.health["pods"]["state"] == "polling"
        assert recording.health["pods"]["missing_rights"] == ["watch pods"]


async def test_without_the_right_to_get_the_watch_is_given_a_moment(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.append(refusing("/api/v1/namespaces/shop/pods", 403))
    async with running(server) as recording:
        await recording.line()
        await until(lambda: recording.health["pods"]["connected"])
        line = asyncio.create_task(recording.line("late"))
        await until(lambda: "get pods" in recording.health["pods"]["missing_rights"])
        server.put_thing("pods", "late", **pod("late"))
        assert (await line)["pod_id"] == "uid-late"
        assert "not allowed to get pods" in caplog.text


async def test_a_version_that_is_too_old_is_listed_anew_and_what_is_gone_is_known_to_be(server: FakeApiServer) -> None:
    server.put_thing("pods", "web-2", **pod("web-2"))
    async with running(server) as recording:
        await recording.line()
        await until(lambda: recording.health["pods"]["connected"])
        server.frozen = True
        server.delete_thing("pods", "web-2")
        server.put_thing("pods", "web-3", **pod("web-3"))
        server.compacted = server.version + 1
        server.version += 2
        server.frozen = False
        server.break_connections()
        await until(lambda: recording.health["pods"]["expired"] == 1 and recording.health["pods"]["connected"])
        assert recording.health["pods"]["known"] == 2
        assert (await recording.line("web-3"))["pod_id"] == "uid-web-3"


# --- which pods ------------------------------------------------------------------------------------------------------


async def test_the_node_is_that_of_our_own_pod(
    server: FakeApiServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namespace").write_text("shop\n")
    monkeypatch.setenv("HOSTNAME", "web-1")
    keys = (("kube_node_name", ""), ("kube_namespace_file", str(tmp_path / "namespace")))
    async with running(server, *keys) as recording:
        await recording.line()
    assert asked(server, PODS)[0]["fieldSelector"] == "spec.nodeName=worker-1"
    # on the host's network a pod is called as its node
    server.requests.clear()
    monkeypatch.setenv("HOSTNAME", "worker-1")
    async with running(server, *keys) as recording:
        await recording.line()
    assert [q["fieldSelector"] for q in asked(server, PODS)][:2] == ["spec.nodeName=worker-1"] * 2
    # and else all of the cluster are watched
    server.requests.clear()
    monkeypatch.setenv("HOSTNAME", "laptop")
    async with running(server, *keys) as recording:
        await recording.line()
    assert "fieldSelector" not in asked(server, PODS)[1]


async def test_who_is_sent_logs_of_other_nodes_watches_all_of_the_cluster(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_NAME", "worker-1")
    server.put_thing("pods", "far", **pod("far", node="worker-2"))
    async with running(server, ("kube_node_name", "")) as recording:
        assert (await recording.line("far"))["host"] == "worker-2"  # a file of ours: a pod that moved
        await until(lambda: recording.health["pods"]["connected"])
        server.put_thing("pods", "farther", **pod("farther", node="worker-3"))
        assert (await recording.line("farther", known=False))["host"] == "worker-3"
        server.put_thing("pods", "another", **pod("another", node="worker-1"))  # wakes the watch
        await until(lambda: "fieldSelector" not in asked(server, PODS)[-1])
    lists = [q.get("fieldSelector", "") for q in asked(server, PODS) if "watch" not in q]
    assert lists == ["spec.nodeName=worker-1", ""]


async def test_namespaces_have_a_watch_of_their_own_only_when_they_are_wanted(server: FakeApiServer) -> None:
    server.put_thing("namespaces", "shop", metadata={"namespace": "", "labels": {"env": "prod"}})
    async with running(server, ("namespace_labels", "on")) as recording:
        await recording.say(lines_of(log_file(), cri("x")))
        (record,) = shown(recording.chunks)
        assert record["kubernetes_namespace"] == {"name": "shop", "labels": {"env": "prod"}}
        assert record["kubernetes"]["pod_id"] == "uid-web-1"
        assert recording.health["namespaces"]["known"] == 1
    server.requests.clear()
    async with running(server, ("namespace_labels", "on"), ("namespace_metadata_only", "on")) as recording:
        await recording.say(lines_of(log_file(), cri("x")))
        assert list(shown(recording.chunks)[0])[4:] == ["kubernetes_namespace"]
    assert asked(server, PODS) == []


async def test_a_namespace_that_was_asked_for_is_asked_for_again_after_its_time(server: FakeApiServer) -> None:
    server.faults.append(only("/api/v1/namespaces", refusing("/api/v1/namespaces", 403)))
    server.put_thing("namespaces", "shop", metadata={"namespace": "", "labels": {"env": "test"}})

    async def labels() -> object:
        await recording.say(lines_of(log_file(), cri("x")))
        return shown(recording.chunks)[0]["kubernetes_namespace"]["labels"]

    keys = (("namespace_labels", "on"), ("kube_meta_namespace_cache_ttl", "100ms"))
    async with running(server, *keys) as recording:
        assert await labels() == {"env": "test"}
        server.put_thing("namespaces", "shop", metadata={"namespace": "", "labels": {"env": "prod"}})
        async with asyncio.timeout(30):
            while await labels() != {"env": "prod"}:
                await asyncio.sleep(0.01)


# --- the way to the API server ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("elsewhere.example", addresses=())
    made.issue("localhost")
    trusted = made.folder / "trusted"
    trusted.mkdir()
    (trusted / "ca.pem").write_bytes(made.certificate.read_bytes())
    subprocess.run(["openssl", "rehash", str(trusted)], check=True, capture_output=True)
    _, key = made.issue("agent")
    lock = ["-aes256", "-passout", "pass:open sesame", "-out", str(made.folder / "locked.key")]
    subprocess.run(["openssl", "pkey", "-in", str(key), *lock], check=True, capture_output=True)
    (made.folder / "token").write_text("t0ken")
    return made


@contextlib.asynccontextmanager
async def secured(authority: Authority, name: str, *, ask: bool = False) -> AsyncIterator[FakeApiServer]:
    """An API server that wants the token, and (`ask`) a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(str(authority.folder / f"{name}.crt"), str(authority.folder / f"{name}.key"))
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(str(authority.certificate))
    async with FakeApiServer(tls=context) as fake:
        fake.put_thing("pods", "web-1", **pod())
        fake.token = "t0ken"
        yield fake


TRUSTED, TOKEN = ("kube_ca_file", "{folder}/ca.crt"), ("kube_token_file", "{folder}/token")
CERTIFICATE = ("tls.crt_file", "{folder}/agent.crt")


@pytest.mark.parametrize(
    ("keys", "name", "said"),
    [
        ([TRUSTED, TOKEN], "localhost", ""),
        ([("kube_ca_path", "{folder}/trusted"), TOKEN], "localhost", ""),
        ([("tls.ca_file", "{folder}/ca.crt"), TOKEN], "localhost", ""),
        ([("tls.verify", "off"), TOKEN], "localhost", ""),
        ([TRUSTED, ("kube_token_command", "cat {folder}/token")], "localhost", ""),
        ([TOKEN], "localhost", "certificate"),
        ([TRUSTED], "localhost", "credentials"),
        ([TRUSTED, ("kube_token_command", "echo guess")], "localhost", "credentials"),
        ([TRUSTED, TOKEN], "elsewhere.example", "certificate"),
        ([TRUSTED, TOKEN, ("tls.vhost", "elsewhere.example")], "elsewhere.example", ""),
        ([TRUSTED, TOKEN, ("tls.verify_hostname", "off")], "elsewhere.example", ""),
    ],
)
async def test_the_api_server_is_reached_as_the_keys_say_and_not_otherwise(
    authority: Authority, keys: list[tuple[str, str]], name: str, said: str
) -> None:
    async with secured(authority, name) as fake:
        given = [(key, value.format(folder=authority.folder)) for key, value in keys]
        async with running(fake, *given, ("kube_meta_wait", "20ms" if said else "20s")) as recording:
            assert ("pod_id" in await recording.line()) is not bool(said)
            if said:
                await until(lambda: said in recording.health["pods"]["last_error"])


@pytest.mark.parametrize(("password", "said"), [("open sesame", ""), ("guess", "certificates of")])
async def test_a_locked_key_is_opened_with_its_password(authority: Authority, password: str, said: str) -> None:
    keys = [TRUSTED, TOKEN, CERTIFICATE, ("tls.key_file", "{folder}/locked.key"), ("tls.key_passwd", password)]
    async with secured(authority, "localhost", ask=True) as fake:
        given = [(key, value.format(folder=authority.folder)) for key, value in keys]
        async with running(fake, *given, ("kube_meta_wait", "20ms" if said else "20s")) as recording:
            assert ("pod_id" in await recording.line()) is not bool(said)
            if said:
                await until(lambda: said in recording.health["pods"]["last_error"])
                assert "guess" not in str(recording.health)


async def test_what_a_token_command_printed_is_used_for_the_ttl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_LOOK_EVERY", 0.0)
    command = f"echo x >> {tmp_path}/runs; wc -l < {tmp_path}/runs"
    keys = {"kube_url": "http://x", "kube_token_command": command, "kube_token_ttl": "5m"}
    access = plan_of(Options("filter kubernetes", keys, KEYS), "kubernetes").access
    now, got = time.time(), []
    for later in (0, 299, 301):
        monkeypatch.setattr("kubewitness.kube.execplugin.time.time", lambda later=later: now + later)
        got.append((await access.target()).headers["Authorization"])
    assert got == ["Bearer 1", "Bearer 1", "Bearer 2"]


async def test_a_kubeconfig_and_its_context_say_which_cluster(server: FakeApiServer, tmp_path: Path) -> None:
    config = {
        "clusters": [
            {"name": "gone", "cluster": {"server": "http://127.0.0.1:9"}},
            {"name": "here", "cluster": {"server": server.url}},
        ],
        "users": [{"name": "alice", "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "alice"}} for name in ("gone", "here")],
        "current-context": "gone",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    keys = (("kube_url", ""), ("kubeconfig", str(tmp_path / "config")))
    async with running(server, *keys, ("kube_meta_wait", "20ms")) as recording:
        assert "pod_id" not in await recording.line()
    async with running(server, *keys, ("context", "here")) as recording:
        assert (await recording.line())["pod_id"] == "uid-web-1"


# --- the kubelet -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def kubelet(
    folder: Path, pods: list[dict[str, Any]], requests: list[web.Request], host: str = "127.0.0.1"
) -> AsyncIterator[Any]:
    """A kubelet as far as GET /pods goes; gives the keys by which it is reached."""
    authority = Authority(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*map(str, authority.issue("worker-1", addresses=[host])))
    (folder / "token").write_text("kubelet-token")

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        if request.headers.get("Authorization") != "Bearer kubelet-token":
            return web.Response(status=401)
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})

    app = web.Application()
    app.router.add_get("/pods", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=context).start()
    try:
        yield [
            ("use_kubelet", "on"),
            ("kubelet_port", str(runner.addresses[0][1])),
            ("kube_ca_file", str(authority.certificate)),
            ("kube_token_file", str(folder / "token")),
        ]
    finally:
        await runner.cleanup()


async def test_the_kubelet_is_asked_for_all_of_its_pods_at_once_and_again_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubewitness.kube.kubelet._SOON", 0.05)
    pods, requests = [pod(f"db-{i}") for i in (10, 1)], list[web.Request]()
    pods[0]["padding"] = "x" * 100_000  # larger than Fluent Bit's buffer
    async with kubelet(tmp_path, pods, requests) as keys, running("http://127.0.0.1:9", *keys) as recording:
        # whole names: one that begins alike is another pod
        assert (await recording.line("db-1"))["pod_id"] == "uid-db-1"
        assert (await recording.line("db-10"))["pod_id"] == "uid-db-10"
        assert len(requests) == 1
        pods.append(pod("db-2"))
        assert (await recording.line("db-2"))["pod_id"] == "uid-db-2"
        assert "pod_id" not in await recording.line("db")
        assert recording.filter.missing(lines_of(log_file("db"), cri("x"))) is None
        assert len(requests) == 3
        health = recording.health["pods"]
        assert (health["state"], health["known"], health["missing_rights"]) == ("polling", 3, [])


async def test_the_kubelet_may_be_at_another_address(tmp_path: Path) -> None:
    async with kubelet(tmp_path, [pod()], [], "127.0.0.2") as keys:
        async with running("http://127.0.0.1:9", *keys, ("kubelet_host", "127.0.0.2")) as recording:
            assert (await recording.line())["pod_id"] == "uid-web-1"
        async with running("http://127.0.0.1:9", *keys, ("kube_meta_wait", "20ms")) as recording:
            assert "pod_id" not in await recording.line()


async def test_a_kubelet_that_lets_nobody_in_is_told_of(tmp_path: Path) -> None:
    async with kubelet(tmp_path, [], []) as keys:
        (tmp_path / "token").write_text("another-token")
        async with running("http://127.0.0.1:9", *keys, ("kube_meta_wait", "100ms")) as recording:
            assert "pod_id" not in await recording.line()
            await until(lambda: "does not accept our credentials" in recording.health["pods"]["last_error"])
