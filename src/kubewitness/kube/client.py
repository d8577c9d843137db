"""List and watch: requests in, exact bytes out.

Verified with a real API server (facts that the code leans on): a watch from an old resourceVersion answers 200 and
then an in-stream ERROR of code 410; one from a future version answers 200 and stays silent for ever; Events send no
bookmarks by default, so silence says nothing and a watch is ended and opened anew when it was idle for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from kubewitness.formats.depth import shallow
from kubewitness.formats.jsonscan import DocumentScanner, Value
from kubewitness.kube.access import KubeAccess, Target
from kubewitness.kube.failures import KubeFailure, Unauthorized, failure_of, one_line, status_of
from kubewitness.kube.lines import LineSplitter

if TYPE_CHECKING:
    import aiohttp

_ANSWER_TIMEOUT = 60.0
_READ_BUFFER = 256 * 1024
_ERROR_BODY = 64 * 1024
#: what aiohttp says of its own objects where a connection cannot be made
_CONTEXT = re.compile(r" ssl:(?:<[^>]*>|\w+)(?= \[)")


class _ListMeta(msgspec.Struct):
    resourceVersion: str | None = ""
    continue_: str | None = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] | None = None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _Uid(msgspec.Struct):
    uid: str = ""


class _Object(msgspec.Struct):
    metadata: _Uid


class WatchLine(msgspec.Struct):
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object's exact bytes."""

    type: str
    object: msgspec.Raw


_list_decoder = msgspec.json.Decoder(_List)
_object_decoder = msgspec.json.Decoder(_Object)
decode_watch_line = msgspec.json.Decoder(WatchLine).decode


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: each item's exact bytes. `last` pages' version is where a watch goes on."""

    items: list[bytes]
    resource_version: str
    last: bool


@dataclass(frozen=True, slots=True)
class _Write:
    """What a request does: its method, and the object that it sends."""

    method: str
    body: bytes | None


_READ = _Write("GET", None)


@dataclass(frozen=True, slots=True)
class Network:
    """How connections are made. Times are seconds; `source_address` is one of this machine's, "" is any."""

    connect_timeout: float = 10.0
    source_address: str = ""
    #: take proxies from HTTPS_PROXY, HTTP_PROXY and NO_PROXY
    environment: bool = True
    keepalive: bool = True
    keepalive_idle: float = 30.0


class KubeClient:
    """One cluster. Safe for any number of tasks of one event loop."""

    #: what `cluster_identity` asks for
    IDENTITY_RIGHT = "get namespaces"

    def __init__(self, access: KubeAccess, *, user_agent: str = "kubewitness", network: Network | None = None) -> None:
        self.access = access
        self._network = network or Network()
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, asked: str = "") -> bytes:
        """The body of a successful GET. Raises KubeFailure (and its kinds) or Expired."""
        async with self._request(path, params or {}, asked or f"get {path}", _ANSWER_TIMEOUT) as response:
            return await response.read()

    async def create(self, path: str, body: bytes, *, asked: str = "") -> bytes:
        """POSTs a JSON object to its collection; the object as it is then. Conflict when there is one already."""
        write = _Write("POST", body)
        async with self._request(path, {}, asked or f"create {path}", _ANSWER_TIMEOUT, write) as response:
            return await response.read()

    async def replace(self, path: str, body: bytes, *, asked: str = "") -> bytes:
        """PUTs a JSON object; the object as it is then. Conflict when its resourceVersion is not the newest."""
        write = _Write("PUT", body)
        async with self._request(path, {}, asked or f"update {path}", _ANSWER_TIMEOUT, write) as response:
            return await response.read()

    async def list_pages(
        self, path: str, *, limit: int = 500, asked: str = "", params: Mapping[str, str] | None = None
    ) -> AsyncIterator[Page]:
        """All objects, page by page; `params`: further ones. Raises Expired when a continue token has grown too old:
        begin again."""
        asked = asked or f"list {path.rsplit('/', 1)[-1]}"
        token = ""
        while True:
            sent = dict(params or {})
            if limit:
                sent["limit"] = str(limit)
            if token:
                sent["continue"] = token
            page = _decoded_list(await self.get(path, sent, asked=asked), asked)
            token = page.metadata.continue_ or ""
            items = [bytes(item) for item in page.items or ()]
            yield Page(items, page.metadata.resourceVersion or "", not token)
            if not token:
                return

    async def resource_version(self, path: str, *, asked: str = "") -> str:
        """The version a list has now, at the cost of one item."""
        asked = asked or f"list {path.rsplit('/', 1)[-1]}"
        return _decoded_list(await self.get(path, {"limit": "1"}, asked=asked), asked).metadata.resourceVersion or ""

    async def cluster_identity(self) -> str:
        """The uid of namespace kube-system: the same for as long as it is the same cluster."""
        body = await self.get("/api/v1/namespaces/kube-system", asked=self.IDENTITY_RIGHT)
        try:
            return _object_decoder.decode(body).metadata.uid
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise KubeFailure("get namespaces: the answer is no Namespace object") from e

    async def watch(
        self,
        path: str,
        resource_version: str,
        *,
        lasting: float = 300.0,
        idle: float = 60.0,
        asked: str = "",
        params: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[list[bytes], None]:
        """Lines as they come, in the groups the network delivers them in; ends when the server ends it.

        First an empty group as soon as the server has answered. It also ends after `idle` seconds of silence, so that
        a connection whose other half is gone is found out. Raises KubeFailure when it breaks. A last line cut off by
        the end of the stream is dropped: it comes again from the version before it.
        """
        asked = asked or f"watch {path.rsplit('/', 1)[-1]}"
        sent = {"watch": "1", "resourceVersion": resource_version, "allowWatchBookmarks": "true", **(params or {})}
        sent["timeoutSeconds"] = str(max(1, int(lasting)))
        lines = LineSplitter()
        async with self._request(path, sent, asked, None) as response:
            yield []
            while True:
                try:
                    async with asyncio.timeout(idle):
                        data = await response.content.readany()
                except TimeoutError:
                    response.close()
                    return
                if not data:
                    return
                found = lines.feed(data)
                if found:
                    yield found

    @contextlib.asynccontextmanager
    async def _request(
        self, path: str, params: Mapping[str, str], asked: str, total: float | None, write: _Write = _READ
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, its body still to be read. A 401 renews the credentials once and tries again."""
        import aiohttp

        try:
            target = await self.access.target()
            try:
                response = await self._send(target, path, params, asked, total, write)
            except Unauthorized:
                response = await self._send(await self.access.target(renew=True), path, params, asked, total, write)
            async with response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            # from None: its own text, which a traceback would show, may quote what the server sent
            raise KubeFailure(f"{asked}: {self._in_words(e)}") from None

    def _in_words(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "no answer in time"
        said = _CONTEXT.sub("", str(error))
        return one_line(said, self.access.secrets) or type(error).__name__

    def _new_session(self) -> aiohttp.ClientSession:
        import aiohttp

        net = self._network
        connector = aiohttp.TCPConnector(
            limit=0,  # each watch holds one
            local_addr=(net.source_address, 0) if net.source_address else None,
            force_close=not net.keepalive,
            keepalive_timeout=net.keepalive_idle if net.keepalive else None,
        )
        return aiohttp.ClientSession(connector=connector, trust_env=net.environment, read_bufsize=_READ_BUFFER)

    async def _send(
        self, target: Target, path: str, params: Mapping[str, str], asked: str, total: float | None, write: _Write
    ) -> aiohttp.ClientResponse:
        import aiohttp

        session = self._session
        if session is None:
            session = self._session = self._new_session()
        headers = {"User-Agent": self._user_agent, "Accept": "application/json", **target.headers}
        if write.body is not None:
            headers["Content-Type"] = "application/json"
        # asyncio.timeout, not wait_for: in Python 3.11 that one may swallow a cancellation
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            response = await session.request(
                write.method,
                target.server + path,
                params=params,
                data=write.body,
                headers=headers,
                ssl=target.tls if target.tls is not None else True,
                server_hostname=target.server_name,
                proxy=target.proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=self._network.connect_timeout),
            )
        if response.status in (200, 201):
            return response
        async with response:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                body = await response.content.read(_ERROR_BODY)
        after = response.headers.get("Retry-After")
        raise failure_of(response.status, status_of(body), asked, self.access.secrets, after)


def _decoded_list(body: bytes, asked: str) -> _List:
    try:
        try:
            return _list_decoder.decode(body)
        except RecursionError:  # an object may be nested more deeply than decoders go; its neighbours count, too
            page = _list_decoder.decode(shallow(body))
            page.items = [msgspec.Raw(value.raw) for value in DocumentScanner().feed(body) if isinstance(value, Value)]
            return page
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise KubeFailure(f"{asked}: the answer is no list ({e})") from e
