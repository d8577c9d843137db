"""The keys of input kubernetes_events: none missing of Fluent Bit's, same defaults, all documented and tested."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path

import pytest

from kubewitness.config.keys import Options
from kubewitness.inputs.kubernetes_events import KubernetesEvents
from kubewitness.inputs.kubernetes_events_keys import KEYS, access_of, network_of, period_of
from kubewitness.kube import KubeClient, KubeFailure, TlsChoices
from kubewitness.kube import access as access_module
from tests.fake_apiserver import FakeApiServer
from tests.inputs.events_docs import FAULTS, PAGE, TESTED, test_names, written
from tests.inputs.events_recording import recording, until, versions, watching
from tests.inputs.sinks import Kept

test_names.__test__ = False  # type: ignore[attr-defined]

#: its keys and their defaults, as its manual gives them; "" is none
FLUENT_BIT = {
    "kube_watch_timeout": "10m", "interval_sec": "0", "interval_nsec": "500000000", "tls.debug": "0",
    "tls.verify": "on", "tls.vhost": "", "kube_ca_path": "", "kube_token_ttl": "10m", "kube_request_limit": "0",
    "kube_retention_time": "1h", "kube_namespace": "", "db": "", "db.sync": "normal", "db.locking": "false",
    "db.journal_mode": "WAL", "tls": "off", "tls.ca_file": "", "tls.ca_path": "", "tls.crt_file": "",
    "tls.key_file": "", "tls.key_passwd": "", "alias": "", "mem_buf_limit": "0", "threaded": "false",
    "log_level": "info", "log_suppress_interval": "0", "routable": "true", "rate_gate": "false",
    "storage.pause_on_chunks_overlimit": "false", "net.keepalive": "true", "net.keepalive_idle_timeout": "30s",
    "net.connect_timeout": "10s", "net.io_timeout": "0s", "net.source_address": "", "net.tcp_keepalive": "off",
    "net.keepalive_max_recycle": "2000", "net.max_worker_connections": "0", "net.proxy_env_ignore": "false",
    "net.dns.mode": "", "net.dns.resolver": "", "net.dns.prefer_ipv4": "false", "net.dns.prefer_ipv6": "false",
    "rate_gate.max_bytes": "0", "rate_gate.max_records": "0", "rate_gate.backpressure": "true",
    "tls.windows.certstore_name": "", "tls.windows.use_enterprise_store": "false", "tls.windows.client_thumbprints": "",
    "thread.ring_buffer.capacity": "", "thread.ring_buffer.window": "", "rate_window": "",
    "net.connect_timeout_log_error": "true", "net.tcp_keepalive_time": "-1", "net.tcp_keepalive_interval": "-1",
    "net.tcp_keepalive_probes": "-1", "rate_gate.resume_ratio": "0.80",
    "tls.min_version": "", "tls.max_version": "", "tls.ciphers": "",
}  # fmt: skip
#: keys whose default here is another, each with its reason in its meaning
OTHERWISE = {"kube_url", "kube_ca_file", "kube_token_file", "tag", "storage.type", "tls.verify_hostname"}


def options(**keys: str) -> Options:
    return Options("kubernetes_events", {k.replace("__", "."): v for k, v in keys.items()}, KEYS)


def test_every_key_of_fluent_bit_is_there_with_its_default() -> None:
    ours = {key.name: key.default for key in KEYS}
    assert {name: ours.get(name) for name in FLUENT_BIT} == FLUENT_BIT
    assert set(ours) > OTHERWISE


def test_every_key_is_accepted_with_its_default() -> None:
    KubernetesEvents({key.name: key.default for key in KEYS})
    assert len({key.name for key in KEYS}) == len(KEYS)


def test_the_page_shows_every_key_and_fault_as_they_are_and_names_tests_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run `python -m tests.inputs.events_docs`"
    names = test_names()
    assert [part for part in TESTED.values() if not any(part in name for name in names)] == []
    assert [n for n in FAULTS if not any(name.startswith(f"test_e{n}_") for name in names)] == []
    assert set(TESTED) <= {key.name for key in KEYS}


@pytest.mark.parametrize(
    ("sec", "nsec", "period"), [("0", "500000000", 10.0), ("5", "0", 5.0), ("1", "500000000", 1.5), ("0", "0", 10.0)]
)
def test_the_period_of_polling_is_both_intervals_together(sec: str, nsec: str, period: float) -> None:
    assert period_of(options(interval_sec=sec, interval_nsec=nsec)) == period


async def test_keys_of_the_network_reach_the_connections() -> None:
    async with FakeApiServer() as server:
        server.put("e")
        keys = {"net__source_address": "127.0.0.3", "net__keepalive": "off", "net__connect_timeout": "3s"}
        network = network_of(options(**keys, net__keepalive_idle_timeout="1m"))
        assert (network.connect_timeout, network.keepalive_idle) == (3.0, 60.0)
        peers = []

        async def peer(request: object) -> None:
            peers.append(getattr(request, "remote", ""))

        server.faults.append(peer)
        async with KubeClient(access_of(options(kube_url=server.url)), network=network) as client:
            await client.resource_version("/api/v1/events")
            assert client._session is not None
            assert client._session.connector is not None
            assert client._session.connector.force_close
    assert peers == ["127.0.0.3"]


async def test_a_watch_ends_after_its_time_and_is_resumed() -> None:
    sink = Kept()
    async with FakeApiServer() as server:
        async with recording(server, sink, kube_watch_timeout="1s") as source:
            await watching(source)
            await until(lambda: len([1 for _, query in server.requests if "watch" in query]) >= 2)
            expected = server.put("e")
            await until(lambda: versions(sink) == [expected])
        assert {query["timeoutSeconds"] for _, query in server.requests if "watch" in query} == {"1"}
    assert source.health()["lists"] == 1


async def test_what_a_token_command_printed_is_used_for_the_ttl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_LOOK_EVERY", 0.0)
    command = f"echo x >> {tmp_path}/runs; wc -l < {tmp_path}/runs"
    access = access_of(options(kube_url="http://x", kube_token_command=command, kube_token_ttl="5m"))
    now = time.time()
    got = []
    for later in (0, 299, 301):
        monkeypatch.setattr("kubewitness.kube.execplugin.time.time", lambda later=later: now + later)
        got.append((await access.target()).headers["Authorization"])
    assert got == ["Bearer 1", "Bearer 1", "Bearer 2"]


async def test_a_token_command_that_prints_nothing_is_a_failure_in_words() -> None:
    access = access_of(options(kube_url="http://x", kube_token_command="true"))
    with pytest.raises(KubeFailure, match="kube_token_command printed no token"):
        await access.target()


def test_certificates_of_a_folder_are_trusted(tmp_path: Path) -> None:
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=ca"]
    files = ["-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "ca.pem")]
    subprocess.run(["openssl", "req", *made, *files], check=True, capture_output=True)
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
    for name in ("kube_ca_path", "tls__ca_path"):
        tls = access_of(options(kube_url="https://x", **{name: str(tmp_path)})).tls
        assert tls.ca_path == str(tmp_path)
        tls.apply(ssl.create_default_context())
        nowhere = access_of(options(kube_url="https://x", **{name: str(tmp_path / "nowhere")})).tls
        with pytest.raises(FileNotFoundError):
            nowhere.apply(ssl.create_default_context())


def test_versions_and_ciphers_of_tls_are_set() -> None:
    keys = {"tls__min_version": "TLSv1.2", "tls__max_version": "tlsv1.2", "tls__ciphers": "ECDHE-RSA-AES128-GCM-SHA256"}
    context = ssl.create_default_context()
    access_of(options(kube_url="https://x", **keys)).tls.apply(context)
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2
    assert "ECDHE-RSA-AES128-GCM-SHA256" in {str(c["name"]) for c in context.get_ciphers()}
    usual = ssl.create_default_context()
    TlsChoices().apply(usual)
    assert usual.minimum_version == ssl.TLSVersion.TLSv1_2
    assert usual.check_hostname


async def test_tag_alias_and_cluster_name_what_is_recorded() -> None:
    sink = Kept()
    async with FakeApiServer() as server:
        server.put("e")
        async with recording(server, sink, tag="k8s_events", alias="mine", cluster="prod") as source:
            await watching(source)
    assert source.name == "mine"
    assert {(chunk.tag, chunk.cluster) for chunk in sink.chunks} == {("k8s_events", "prod")}
    assert set(sink.positions) == {"mine"}
