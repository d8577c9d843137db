"""Who asks: the ways to log in, and what somebody who did may see."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Protocol

import msgspec

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.formats.scope import Scope


class Refused(KubewitnessError):
    """The token is not, or no longer, accepted."""


class Identity(msgspec.Struct, frozen=True):
    """Somebody who may ask. `scope` None: everything that was recorded."""

    user: str
    scope: Scope | None = None
    #: whether what the process tells of itself may be seen, too: /metrics, paths, sizes
    operator: bool = True

    @property
    def restricted(self) -> bool:
        return self.scope is not None and not self.scope.everything


class Login(Protocol):
    """A way to log in. `name` is told to the page; "none" asks nobody."""

    name: str

    async def identify(self, token: str) -> Identity:
        """Who shows this token. Raises `Refused`, and `KubewitnessError` when that cannot be told now."""
        ...

    async def close(self) -> None: ...


class NoLogin:
    """On loopback: whoever reaches it is on this machine."""

    name = "none"

    async def identify(self, token: str) -> Identity:
        return Identity("local")

    async def close(self) -> None:
        return None


class TokenLogin:
    """One token for everybody, in a file. Read at every request, so that a rotated one works, and ends, at once."""

    name = "token"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._token()

    def _token(self) -> bytes:
        try:
            token = self._file.read_bytes().strip()
        except OSError as e:
            raise UsageError(f"token file {self._file}: {e.strerror}") from e
        if not token:
            raise UsageError(f"token file {self._file} is empty; write a token into it")
        return token

    async def identify(self, token: str) -> Identity:
        try:
            expected = self._token()
        except UsageError as e:
            raise KubewitnessError(str(e)) from None
        if not hmac.compare_digest(token.encode("utf-8", "replace"), expected):
            raise Refused("this is not the token")
        return Identity("token")

    async def close(self) -> None:
        return None


def digest_of(token: str) -> bytes:
    """What stands for a token where it must not be kept."""
    return hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=16).digest()
