"""The listening side of the forward protocol's handshake: HELO, PING, PONG.

Source: Fluentd's "Forward Protocol Specification v1".
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client must know. `users`: name -> password; none: nobody is asked for one."""

    shared_key: bytes = field(repr=False)
    hostname: bytes
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)


class Greeting:
    """With one client. `helo` is sent first; `pong` answers what it says then."""

    def __init__(self, secrets_: Secrets) -> None:
        self._secrets = secrets_
        self._nonce = secrets.token_bytes(16)
        self._salt = secrets.token_bytes(16) if secrets_.users else b""

    def helo(self) -> bytes:
        return _pack(["HELO", {"nonce": self._nonce, "auth": self._salt, "keepalive": True}])

    def pong(self, ping: Any) -> tuple[bytes, str]:
        """(answer, why the client is refused: "" when it is not)."""
        mine = self._secrets
        reason = self._wrong(ping)
        if reason:
            return _pack(["PONG", False, reason, "", ""]), reason
        digest = _digest(_bytes(ping[2]), mine.hostname, self._nonce, mine.shared_key)
        return _pack(["PONG", True, "", mine.hostname.decode("utf-8", "replace"), digest]), ""

    def _wrong(self, ping: Any) -> str:
        if not isinstance(ping, list) or len(ping) != _FIELDS or _bytes(ping[0]) != b"PING":
            return "no PING as the forward protocol says"
        _, hostname, salt, digest, user, password = map(_bytes, ping)
        mine = self._secrets
        if not hmac.compare_digest(_digest(salt, hostname, self._nonce, mine.shared_key).encode(), digest):
            return "shared_key mismatch"
        if mine.users:
            known = mine.users.get(user)
            # one that is not known takes as long as one that is
            wanted = _digest(self._salt, user, known if known is not None else secrets.token_bytes(8))
            if not hmac.compare_digest(wanted.encode(), password) or known is None:
                return "username/password mismatch"
        return ""


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return value if isinstance(value, bytes) else b""


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed
