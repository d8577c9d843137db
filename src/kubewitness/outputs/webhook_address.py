"""A sender to one address that may be a secret, path and all: of webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.outputs.credentials import Secret
from kubewitness.outputs.http_keys import HTTP_KEYS, place
from kubewitness.outputs.http_sender import Answer, HttpSender

#: those of HTTP; what the address says is not said by another key
ADDRESS_KEYS = tuple(
    key._replace(doc="accepted, without effect: the address says it") if key.name == "tls" else key for key in HTTP_KEYS
)


class AddressSender:
    """Sends to the address that key `name` (or `name`_file) says. UsageError when it is none."""

    def __init__(self, what: str, given: Mapping[str, str], keys: Sequence[Key], name: str) -> None:
        self._address = Secret(what, Options(what, given, keys), name)
        parts = urlsplit(self._address.value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{what}: {name!r} is not an address such as https://hooks.example.com/services/...")
        secure = parts.scheme == "https"
        where = {
            "host": parts.hostname,
            "port": str(parts.port or (443 if secure else 80)),
            "tls": "on" if secure else "off",
        }
        declared = {key.name for key in keys}
        more = [key for key in place(443) if key.name not in declared]
        opts = Options(what, {**given, **where}, (*keys, *more))
        self._sender = HttpSender(what, opts)
        self._sender.secrets.append(self._address)
        if "log_response_payload" in declared:
            self._sender.tells_answers = opts.flag("log_response_payload")

    async def send(self, body: bytes, headers: Mapping[str, str], *, method: str = "POST") -> Answer:
        """As `HttpSender.send`."""
        parts = urlsplit(self._address.value())
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return await self._sender.send(path, body, headers, method=method)

    async def close(self) -> None:
        await self._sender.close()
