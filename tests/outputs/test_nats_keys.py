"""Who output `nats` is to a server, by each key that says so, and that it says it only to whom it should."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nkeys
import pytest

from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.nats import NatsOutput
from tests.inputs.certificates import Authority
from tests.journal.helpers import numbered
from tests.outputs.test_nats import Server

pytestmark = pytest.mark.timeout(60)


@contextlib.contextmanager
def serving(directory: Path, more: str) -> Iterator[Server]:
    server = Server(directory, more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def say(server: Server, **keys: str) -> None:
    """A message, which the server has when this returns."""
    made = NatsOutput({"port": str(server.port), **keys})
    try:
        await made.write([Delivery(1, numbered(1))])
    finally:
        await made.close()


async def test_a_password_of_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("guess\n")
    with serving(tmp_path, 'authorization { user: alice, password: "pw" }') as server:
        made = NatsOutput({"port": str(server.port), "username": "alice", "password_file": str(secret)})
        with pytest.raises(Retry, match="Authorization") as told:
            await made.write([Delivery(1, numbered(1))])
        assert "guess" not in str(told.value)
        secret.write_text("pw\n")
        await made.write([Delivery(1, numbered(1))])
        await made.close()


async def test_a_token_stands_for_a_user(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("t0ken\n")
    with serving(tmp_path, 'authorization { token: "t0ken" }') as server:
        await say(server, token="t0ken")
        await say(server, token_file=str(secret))
        with pytest.raises(Retry, match="Authorization"):
            await say(server, token="guess")


# --- JWT -------------------------------------------------------------------------------------------------------------


class Who:
    """A key pair of NATS, that signs (NATS' documentation, "JWT")."""

    def __init__(self, prefix: int, n: int) -> None:
        self.seed = nkeys.encode_seed(hashlib.sha256(b"%d" % n).digest(), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.name = self._pair.public_key.decode()

    def signs(self, subject: str, **claims: Any) -> str:
        body = {"jti": "x", "iat": int(time.time()), "iss": self.name, "sub": subject, "name": "n"}
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        text = b".".join(_packed(part) for part in (head, {**body, "nats": {"version": 2, **claims}}))
        return (text + b"." + _url(self._pair.sign(text))).decode()


def _packed(value: Any) -> bytes:
    return _url(json.dumps(value).encode())


def _url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


_ANY = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports"), -1)


async def test_a_file_of_credentials_says_who_we_are(tmp_path: Path) -> None:
    operator, account = Who(nkeys.PREFIX_BYTE_OPERATOR, 1), Who(nkeys.PREFIX_BYTE_ACCOUNT, 2)
    alice, bob = Who(nkeys.PREFIX_BYTE_USER, 3), Who(nkeys.PREFIX_BYTE_USER, 4)
    shop = operator.signs(account.name, type="account", limits={**_ANY, "wildcards": True})
    form = "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n"
    form += "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n"
    for name, seed in (("alice", alice.seed), ("bob", bob.seed)):  # bob has the word of alice, and not her key
        jwt = account.signs(alice.name, type="user", pub={}, sub={}, subs=-1, data=-1, payload=-1)
        (tmp_path / f"{name}.creds").write_text(form.format(jwt, seed.decode()))
    more = f"operator: {operator.signs(operator.name, type='operator')}\nresolver: MEMORY\n"
    with serving(tmp_path, more + f"resolver_preload: {{ {account.name}: {shop} }}") as server:
        await say(server, credentials_file=str(tmp_path / "alice.creds"))
        with pytest.raises(Retry, match="Authorization"):
            await say(server, credentials_file=str(tmp_path / "bob.creds"))
    with pytest.raises(UsageError, match="'credentials_file': there is no file"):
        NatsOutput({"credentials_file": str(tmp_path / "carol.creds")})


# --- TLS -------------------------------------------------------------------------------------------------------------


async def test_a_server_that_asks_for_tls_has_it_and_one_without_is_told_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    crt, key = authority.issue("localhost")
    keys = {"tls": "on", "tls.ca_file": str(authority.certificate), "token": "t0ken"}
    authorization = 'authorization { token: "t0ken" }\n'
    with serving(tmp_path, f'{authorization}tls {{ cert_file: "{crt}", key_file: "{key}" }}') as server:
        await say(server, **keys)
    with serving(tmp_path, authorization) as server, pytest.raises(Retry, match="does not offer TLS"):
        await say(server, **keys)
