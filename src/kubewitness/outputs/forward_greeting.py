"""The handshake of the forward protocol: HELO, PING, PONG. Source: Fluentd's "Forward Protocol Specification v1"."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, NamedTuple

import msgspec

from kubewitness.errors import Retry
from kubewitness.outputs.stream_sender import StreamSender

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
#: an answer of a far side may have so many bytes
_LIMIT = 64 * 1024


class Identity(NamedTuple):
    """Who we are. All of it may be b""."""

    hostname: bytes
    shared_key: bytes
    username: bytes
    password: bytes


async def greet(sender: StreamSender, me: Identity) -> None:
    """Proves to each other that both know the shared key. Retry when the far side does not, or refuses us."""
    helo = await message(sender)
    if not isinstance(helo, list) or len(helo) != 2 or _bytes(helo[0]) != b"HELO" or not isinstance(helo[1], dict):
        raise Retry(f"{sender.place} does not greet as the forward protocol says; has it a shared key?")
    options = {_bytes(k): v for k, v in helo[1].items()}
    nonce, auth = _bytes(options.get(b"nonce", b"")), _bytes(options.get(b"auth", b""))
    salt = secrets.token_hex(8).encode()
    user = hashlib.sha512(auth + me.username + me.password).hexdigest() if auth else ""
    digest = hashlib.sha512(salt + me.hostname + nonce + me.shared_key).hexdigest()
    name = me.username.decode() if auth else ""
    await sender.send(_pack(["PING", me.hostname.decode(), salt, digest, name, user]))
    pong = await message(sender)
    if not isinstance(pong, list) or len(pong) != 5 or _bytes(pong[0]) != b"PONG":
        raise Retry(f"{sender.place} does not answer a PING as the forward protocol says")
    if not pong[1]:
        raise Retry(f"{sender.place} refuses us: {_bytes(pong[2]).decode('utf-8', 'replace')[:200]}")
    theirs = hashlib.sha512(salt + _bytes(pong[3]) + nonce + me.shared_key).hexdigest().encode()
    if not hmac.compare_digest(theirs, _bytes(pong[4])):
        raise Retry(f"{sender.place} does not know the shared key")


async def message(sender: StreamSender) -> Any:
    """The next message; the far side sends one at a time."""
    data = b""
    while True:
        data += await sender.read()
        try:
            return _unpack(data)
        except msgspec.DecodeError as e:
            if "truncated" not in str(e) or len(data) > _LIMIT:
                await sender.close()
                raise Retry(f"{sender.place} answered with what is no MessagePack") from e


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""
