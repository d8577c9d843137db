"""Input `http`: records that are POSTed, answered once they are durable.

2xx: all records of the body are kept. 400: none is, and what is wrong. 413: none, the body is too large. 503 with
Retry-After: none, there is no room now. A sender that gets no answer cannot know, and sends again: such records are
kept twice, as HTTP has no name for a body.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kubewitness.config.keys import Options
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.formats.accessor import path_of
from kubewitness.inputs.http_keys import KEYS
from kubewitness.inputs.made_records import Maker
from kubewitness.inputs.server_keys import listener_of

if TYPE_CHECKING:
    from kubewitness.inputs.http_requests import HttpRequests

__all__ = ["KEYS", "Http"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Http:
    """See docs/fluent-bit.md for the keys. `default_tag`: of records whose path and section name none."""

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        default_tag: str = "http.0",
    ) -> None:
        opts = Options("http", options, KEYS)
        code = opts.number("successful_response_code")
        if code not in (200, 201, 204):
            raise UsageError(f"http: 'successful_response_code' is {code}; it takes 200, 201 or 204")
        limit = opts.number(_given(opts, "buffer_max_size"))
        listener = listener_of(
            "http",
            opts,
            body_limit=limit,
            keep_seconds=opts.seconds("http_server.idle_timeout"),
            token_file=opts.text("token_file"),
        )
        most = opts.number(_given(opts, "max_connections")) or listener.connections
        self._listener = dataclasses.replace(listener, total_limit=opts.number("buffer_total_size"), connections=most)
        place = str(self._listener.address)
        self.name = opts.text("alias") or f"http/{place}"
        self._maker = Maker(f"http/{place}", opts.text("cluster"), redact_key, keyed=keyed)
        self._tag = opts.text("tag") or default_tag
        self._tag_key = path_of(opts.text("tag_key")) if opts.text("tag_key") else None
        self._address_key = opts.text("remote_addr_key") if opts.flag("add_remote_addr") else ""
        self._code, self._headers = code, _headers(opts.lines("success_header"))
        self._health_path = "/health" if opts.flag("enable_health_endpoint") else ""
        self._keep_alive = opts.flag("net.keepalive")
        self.requests: HttpRequests | None = None

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self.requests.port if self.requests is not None else 0

    def health(self) -> Mapping[str, object]:
        limits = {"connections_limit": self._listener.connections, "body_limit_bytes": self._listener.body_limit}
        return limits | (dict(self.requests.health()) if self.requests is not None else {"listening": 0})

    async def run(self, sink: Sink) -> None:
        """Until cancelled. Raises UsageError when it cannot listen there."""
        # the web server costs 60 MB, which a pipeline that does not listen never loads
        from kubewitness.inputs.http_requests import Answers, HttpRequests, Tags

        self.requests = HttpRequests(
            self._listener,
            self._maker,
            Tags(self._tag, self._tag_key),
            Answers(self._code, self._headers, keep_alive=self._keep_alive),
            address_key=self._address_key,
            health_path=self._health_path,
        )
        await self.requests.run(sink)


def _given(opts: Options, name: str) -> str:
    """The key, or its longer name when that is the one that was given."""
    longer = f"http_server.{name}"
    return longer if opts.given(longer) else name


def _headers(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if not _HEADER_NAME.fullmatch(name) or not value.strip():
            raise UsageError(f"http: 'success_header' is {line!r}; it takes a name and a value, a space between them")
        found[name] = value.strip()
    return found
