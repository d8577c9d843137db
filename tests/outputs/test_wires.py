"""TLS and the network of every output that has a far side: each key that all of them share is played with each."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

import pytest

from kubewitness.config.keys import Key
from kubewitness.contracts import Delivery, Output, Partly
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs import OUTPUTS
from tests.inputs.certificates import Authority
from tests.outputs.every import EVERY, HTTP, Far, Http, Nats, Syslog
from tests.outputs.fronts import Front
from tests.outputs.test_nats import Server, stream_of
from tests.outputs.wires import Wire

pytestmark = pytest.mark.timeout(30)

NETWORK = sorted(set(EVERY) - {"file", "stdout", "store", "s3"})  # s3's connections are its client library's
NUMBERS = itertools.count()
OLD = "ECDHE-ECDSA-AES256-SHA384"
#: a name that no address has
NAME = "logs.example"


class Pki(NamedTuple):
    """Files, and contexts of servers."""

    ca: Path
    other: Path
    #: the CA by the hash of its subject, as OpenSSL looks for it, and a folder without any
    folder: Path
    empty: Path
    #: of a client: certificate and locked key
    crt: Path
    key: Path
    here: tuple[Path, Path]
    elsewhere: tuple[Path, Path]

    def server(self, kind: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, self.elsewhere if kind == "elsewhere" else self.here))
        if kind in ("tls 1.2", "ciphers", "asks for a certificate"):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if kind == "tls 1.3":
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        if kind == "ciphers":
            context.set_ciphers(OLD)
        if kind == "asks for a certificate":
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(str(self.ca))
        return context


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    place = tmp_path_factory.mktemp("pki")
    authority = Authority(place)
    crt, open_key = authority.issue("alice")
    key = place / "locked.key"
    openssl("pkey", "-in", str(open_key), "-aes256", "-passout", "pass:open sesame", "-out", str(key))
    folder, empty = place / "trusted", place / "nothing"
    folder.mkdir()
    empty.mkdir()
    hashed = openssl("x509", "-hash", "-noout", "-in", str(authority.certificate)).strip()
    (folder / f"{hashed}.0").write_bytes(authority.certificate.read_bytes())
    here, elsewhere = authority.issue("localhost"), authority.issue(NAME, addresses=())
    other = Authority(place, "other")
    return Pki(authority.certificate, other.certificate, folder, empty, crt, key, here, elsewhere)


def keys_of(name: str) -> Sequence[Key]:
    keys: Sequence[Key] = importlib.import_module(OUTPUTS[name][0]).KEYS
    return keys


def openssl(*args: str) -> str:
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("nats"))
    made.start()
    yield made
    made.stop()


class SharedNats(Nats):
    """One server for all tests."""

    shared: Server

    async def start(self) -> int:
        self._server = self.shared
        client = await self._client()
        await stream_of(client, "faults")
        await client.close()
        return self._server.port

    async def stop(self) -> None:
        return


@pytest.fixture(params=NETWORK)
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Far]:
    kind = EVERY[request.param]
    if request.param == "nats":
        SharedNats.shared = request.getfixturevalue("nats_server")
        kind = SharedNats
    made = kind(tmp_path)
    made.wire = Wire(0)
    yield made
    await made.wire.down()
    await made.stop()


async def stand(far: Far, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Front:
    """The far side, with a front before it."""
    front = Front(await far.start(), context, host=host, upgrades=isinstance(far, Nats))
    far.wire = front
    await front.up()
    return front


def output(far: Far, keys: Mapping[str, str]) -> Output:
    """Made of these keys, and of those that say where to."""
    far.more = {"net.io_timeout": "20s", **keys}
    if has_address(far):
        ((name, address),) = far.side.where().items()
        scheme = "https" if keys.get("tls") == "on" else "http"
        path = address.partition(f":{far.side.port}")[2]
        far.more[name] = f"{scheme}://{far.more.pop('host', '127.0.0.1')}:{far.wire.port}{path}"
    if isinstance(far, Syslog):
        far.more["mode"] = "tls" if keys.get("tls") == "on" else "tcp"
    return far.output()


def has_address(far: Far) -> TypeGuard[Http]:
    """One key says all of it."""
    return isinstance(far, Http) and "port" not in far.side.where()


async def deliver(far: Far, made: Output) -> None:
    """One record arrives, on whichever connection."""
    n = next(NUMBERS)
    await made.write([Delivery(n, far.chunk([n]))])
    for _ in range(500):
        if n in await far.numbers():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"record {n} did not arrive")


# --- TLS -------------------------------------------------------------------------------------------------------------


class Scene(NamedTuple):
    """A server, keys with which its output reaches it, and keys with which it does not."""

    server: str
    good: dict[str, str]
    bad: dict[str, str]
    said: str = "(?i)certificate"


#: the key that makes the difference -> what is played; {CA} and so on are of `Pki`
SCENES = {
    "tls.ca_file": Scene("good", {"tls.ca_file": "{ca}"}, {"tls.ca_file": "{other}"}),
    "tls.ca_path": Scene("good", {"tls.ca_path": "{folder}"}, {"tls.ca_path": "{empty}"}),
    "tls.verify": Scene("good", {"tls.verify": "off", "tls.ca_file": "{other}"}, {"tls.ca_file": "{other}"}),
    "tls.verify_hostname": Scene(
        "elsewhere", {"tls.ca_file": "{ca}", "tls.verify_hostname": "off"}, {"tls.ca_file": "{ca}"}
    ),
    "tls.vhost": Scene("elsewhere", {"tls.ca_file": "{ca}", "tls.vhost": NAME}, {"tls.ca_file": "{ca}"}),
    "tls.crt_file": Scene(
        "asks for a certificate",
        {"tls.ca_file": "{ca}", "tls.crt_file": "{crt}", "tls.key_file": "{key}", "tls.key_passwd": "open sesame"},
        {"tls.ca_file": "{ca}"},
        ".",
    ),
    "tls.min_version": Scene(
        "tls 1.2", {"tls.ca_file": "{ca}"}, {"tls.ca_file": "{ca}", "tls.min_version": "tlsv1.3"}, "."
    ),
    "tls.max_version": Scene(
        "tls 1.3", {"tls.ca_file": "{ca}"}, {"tls.ca_file": "{ca}", "tls.max_version": "tlsv1.2"}, "."
    ),
    "tls.ciphers": Scene(
        "ciphers",
        {"tls.ca_file": "{ca}", "tls.ciphers": OLD},
        {"tls.ca_file": "{ca}", "tls.ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"},
        ".",
    ),
}


#: (output, key); kafka checks each broker's certificate for that broker's own name
PLAYED = [(name, key) for name in NETWORK for key in SCENES if (name, key) != ("kafka", "tls.vhost")]


@pytest.mark.parametrize(("far", "key"), PLAYED, indirect=["far"])
async def test_with_tls_the_far_side_is_reached_as_the_keys_say_and_not_otherwise(far: Far, key: str, pki: Pki) -> None:
    scene = SCENES[key]
    front = await stand(far, pki.server(scene.server))
    filled = {k: v.format(**pki._asdict()) for k, v in scene.good.items()}
    good, bad = output(far, {"tls": "on", **filled}), {k: v.format(**pki._asdict()) for k, v in scene.bad.items()}
    await deliver(far, good)
    await good.close()
    assert front.seen[-1].version.startswith("TLSv1.")
    reached = len(front.seen)
    wrong = output(far, {"tls": "on", **bad})
    with pytest.raises(Retry, match=scene.said):
        await wrong.write([Delivery(1, far.chunk([next(NUMBERS)]))])
    await wrong.close()
    assert len(front.seen) == reached
    if key == "tls.vhost":
        assert front.names[0] == NAME
    if key == "tls.ciphers":
        assert {seen.cipher for seen in front.seen} == {OLD}


@pytest.mark.parametrize("far", ["tcp"], indirect=True)
async def test_a_folder_of_authorities_that_is_not_there_is_told_at_the_start(far: Far, tmp_path: Path) -> None:
    await stand(far)
    with pytest.raises(UsageError, match=r"No such file or directory: .*/nowhere"):
        output(far, {"tls": "on", "tls.ca_path": str(tmp_path / "nowhere")})


async def test_a_locked_key_needs_its_password(far: Far, pki: Pki) -> None:
    await stand(far)
    keys = {"tls": "on", "tls.ca_file": str(pki.ca), "tls.crt_file": str(pki.crt), "tls.key_file": str(pki.key)}
    with pytest.raises(UsageError) as told:
        output(far, {**keys, "tls.key_passwd": "guess"})
    assert "guess" not in str(told.value)


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", [name for name in NETWORK if name != "kafka"], indirect=True)
async def test_connections_go_to_the_host_and_come_from_the_address_that_the_keys_say(far: Far) -> None:
    front = await stand(far, host="127.0.0.2")
    made = output(far, {"host": "127.0.0.2", "net.source_address": "127.0.0.3"})
    await deliver(far, made)
    await made.close()
    assert {seen.peer for seen in front.seen} == {"127.0.0.3"}


@pytest.mark.parametrize("keys", [{}, {"net.keepalive": "off"}, {"net.keepalive_idle_timeout": "20ms"}])
async def test_a_connection_is_used_again_unless_the_keys_say_how_long(far: Far, keys: dict[str, str]) -> None:
    front = await stand(far)
    made = output(far, keys)
    await deliver(far, made)
    first = list(front.seen)
    if keys:
        async with asyncio.timeout(10):
            await asyncio.gather(*(seen.over.wait() for seen in first))  # it ends by itself
    await deliver(far, made)
    assert (len(front.seen) == len(first)) is not bool(keys)
    await made.close()


@pytest.mark.parametrize("far", [name for name in NETWORK if name not in ("tcp", "syslog")], indirect=True)
async def test_a_far_side_that_does_not_answer_in_time_is_given_up(far: Far) -> None:
    front = await stand(far)
    made = output(far, {"net.io_timeout": "200ms" if isinstance(far, Nats) else "30ms"})
    if isinstance(far, Nats):
        await deliver(far, made)  # its greeting has `net.connect_timeout`
    front.faults.append("slow")
    with pytest.raises((Retry, Partly)):
        await made.write([Delivery(1, far.chunk([next(NUMBERS)]))])
    await made.close()


# --- over HTTP -------------------------------------------------------------------------------------------------------
OVER_HTTP = pytest.mark.parametrize("far", sorted(HTTP), indirect=True)
QUOTING = [name for name in sorted(HTTP) if "log_response_payload" in {key.name for key in keys_of(name)}]


@OVER_HTTP
async def test_a_bearer_token_is_sent_and_stays_out_of_messages(far: Far) -> None:
    assert isinstance(far, Http)
    await stand(far)
    far.side.faults.append("500")
    made = output(far, {"bearer_token": "s3cret"})
    with pytest.raises(Retry) as told:
        await made.write([Delivery(1, far.chunk([next(NUMBERS)]))])
    assert far.side.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(told.value)
    await made.close()


@pytest.mark.parametrize("far", QUOTING, indirect=True)
async def test_errors_quote_what_the_far_side_answered_unless_it_is_not_to_be_told(far: Far) -> None:
    assert isinstance(far, Http)
    await stand(far)
    said = []
    for more in ({}, {"log_response_payload": "off"}):
        far.side.faults.append("500")
        made = output(far, more)
        with pytest.raises(Retry) as told:
            await made.write([Delivery(1, far.chunk([next(NUMBERS)]))])
        said.append(str(told.value))
        await made.close()
    assert ["internal error" in text for text in said] == [True, False]
    assert "answered 500" in said[1]


@OVER_HTTP
async def test_a_proxy_of_the_environment_counts_unless_it_is_to_be_ignored(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand(far)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{Wire(0).port}")  # nobody listens there
    through, past = output(far, {}), output(far, {"net.proxy_env_ignore": "on"})
    with pytest.raises(Retry):
        await through.write([Delivery(1, far.chunk([next(NUMBERS)]))])
    await deliver(far, past)
    await through.close()
    await past.close()


OWN_SERVICE = ("es", "http", "opensearch", "opentelemetry", "prometheus_remote_write")  # each declares its own


@pytest.mark.parametrize("far", OWN_SERVICE, indirect=True)
@pytest.mark.parametrize("key", ["aws_service", "aws_service_name"])
async def test_requests_are_signed_for_the_service_that_the_keys_say(
    far: Far, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(far, Http)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDALICE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    await stand(far)
    far.side.faults.append("500")
    made = output(far, {"aws_auth": "on", "aws_region": "eu-central-1", key: "shop"})
    with pytest.raises(Retry):
        await made.write([Delivery(1, far.chunk([next(NUMBERS)]))])
    await made.close()
    signed = far.side.requests[0].headers["Authorization"]
    assert "Credential=AKIDALICE/" in signed
    assert "/eu-central-1/shop/aws4_request" in signed
