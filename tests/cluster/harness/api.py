"""Plain HTTPS to the API server as one user: exact bytes, for what kubectl cannot say or would change."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.cluster.harness.pki import Pki, User


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """One connection a request. OSErrors pass through."""

    def __init__(self, pki: Pki, user: User, user_agent: str = "kubewitness-tests") -> None:
        address = urlsplit(pki.server)
        self._host, self._port = address.hostname or "", address.port or 443
        self._tls = ssl.create_default_context(cafile=pki.file("ca.crt"))
        self._headers = {"Accept": "application/json", "User-Agent": user_agent}
        if user.token:
            self._headers["Authorization"] = f"Bearer {user.token}"
        elif user.certificate and user.key:
            self._tls.load_cert_chain(user.certificate, user.key)

    def connect(self, seconds: float = 30.0) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._tls)

    def send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> None:
        payload = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, payload, {**self._headers, **kind, **headers})

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, seconds: float = 30.0
    ) -> Reply:
        """Any answer, also an error's, is a Reply."""
        with closing(self.connect(seconds)) as connection:
            self.send(connection, method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())

    def get(self, path: str) -> Any:
        """The object at `path`; OSError if the answer is not 200 (so that `until` goes on)."""
        reply = self.request("GET", path)
        if reply.status != 200:
            raise OSError(f"GET {path}: {reply.status} {reply.body[:300].decode(errors='replace')}")
        return reply.json()

    @contextmanager
    def stream(self, path: str, seconds: float = 30.0) -> Iterator[Stream]:
        """An open answer of many lines (watch=1); reading raises OSError after `seconds` of silence."""
        with closing(self.connect(seconds)) as connection:
            self.send(connection, "GET", path, None, {})
            # The answer takes the socket over from the connection, and breaking off needs it.
            sock = connection.sock
            answer = connection.getresponse()
            if answer.status != 200:
                raise OSError(f"GET {path}: {answer.status} {answer.read(300).decode(errors='replace')}")
            yield Stream(answer, sock)


class Stream:
    """The lines of an answer, until the server ends it or another thread calls `break_off`."""

    def __init__(self, answer: http.client.HTTPResponse, sock: socket.socket) -> None:
        self._answer = answer
        self._socket = sock

    def __iter__(self) -> Iterator[bytes]:
        """Whole lines, without their newlines: a line that was cut off is not given."""
        while (line := self._answer.readline()).endswith(b"\n"):
            yield line[:-1]

    def break_off(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
