"""One sender for all outputs over HTTP, and what an answer means.

| answer | what happens |
|---|---|
| 2xx | delivered |
| 400, 409, 413, 422 | the far side will never take this body: `Refused`, and the engine finds the record |
| any other status, no answer, an answer cut off | tried again, not before Retry-After |

So a wrong token or address (401, 403, 404) holds records back until somebody mends it; it does not cost them.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import time
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kubewitness.config.keys import Options
from kubewitness.errors import Refused, Retry, UsageError
from kubewitness.outputs.aws_auth import AwsAuth
from kubewitness.outputs.client_tls import ClientTls
from kubewitness.outputs.compress import COMPRESSORS
from kubewitness.outputs.credentials import Secret
from kubewitness.outputs.http_parts import limited, proxy_for
from kubewitness.outputs.oauth2 import Oauth2

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDict

_REFUSED = frozenset({400, 409, 413, 422})
#: of an answer's text, in messages (characters)
_SHOWN = 300
#: an answer may have so many bytes
_ANSWER = 32 * 1024**2
#: nobody is waited for longer than this, whatever they ask for (seconds)
_LONGEST = 3600.0


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Authorizer(Protocol):
    """Proves who we are, where that takes more than a header that is always the same."""

    async def authorize(self, method: str, url: str, headers: CIMultiDict[str], body: bytes) -> None:
        """Adds headers to a request that is about to go out as it is. Retry when it cannot now."""
        ...

    async def renew(self, status: int, headers: Mapping[str, str]) -> bool:
        """Told of every answer that is no success: whether the same request may be taken now."""
        ...

    def secrets(self) -> list[str]:
        """What must not stand in messages."""
        ...


class HttpSender:
    """Sends bodies to one host. One event loop; `close` before the next one."""

    def __init__(self, what: str, opts: Options, *, user_agent: str = "kubewitness") -> None:
        self._opts = opts
        self._tls = ClientTls(what, opts)
        host, port = opts.text("host"), opts.number("port")
        if not 0 < port < 65536:
            raise UsageError(f"{what}: 'port' is {port}; it takes a port")
        scheme = "https" if self._tls.on else "http"
        self.base = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        self._user = opts.text("http_user")
        self._password = Secret(what, opts, "http_passwd")
        self._bearer = Secret(what, opts, "bearer_token")
        self._authorizer = _authorizer(what, opts)
        self._compress_name = opts.choice("compress")
        self._headers = [("User-Agent", user_agent), *_headers(what, opts.lines("header"))]
        self._proxy = proxy_for(what, opts, scheme, host)
        self._session: aiohttp.ClientSession | None = None
        #: whether messages quote what the far side answered
        self.tells_answers = True
        #: what must not stand in messages
        self.secrets: list[Secret] = [self._password, self._bearer]

    # --- sending -----------------------------------------------------------------------------------------------------

    async def send(
        self, path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", pack: bool = True
    ) -> Answer:
        """The answer, if it is 2xx; else Retry or Refused, as the table above says. `path` begins with `/`."""
        answer = await self.ask(path, body, headers, method=method, pack=pack)
        if 200 <= answer.status < 300:
            return answer
        raise self.failure(answer)

    async def ask(
        self, path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", pack: bool = True
    ) -> Answer:
        """The answer, whatever it is; Retry when there is none."""
        from multidict import CIMultiDict

        given = CIMultiDict(self._headers)
        given.update({**headers, **self._authorization()})
        if pack and self._compress_name:
            body = await asyncio.to_thread(COMPRESSORS[self._compress_name], body)
            given["Content-Encoding"] = self._compress_name
        answer = await self._once(method, path, body, given)
        authorizer = self._authorizer
        if authorizer is not None and answer.status >= 400 and await authorizer.renew(answer.status, answer.headers):
            answer = await self._once(method, path, body, given)
        return answer

    async def _once(self, method: str, path: str, body: bytes, headers: CIMultiDict[str]) -> Answer:
        import aiohttp
        from yarl import URL

        url, sent = URL(self.base + path), headers.copy()
        if self._authorizer is not None:
            await self._authorizer.authorize(method, str(url), sent, body)
        more: dict[str, Any] = {"ssl": self._tls.context()} if self._tls.on else {}
        if self._tls.server_name:
            more["server_hostname"] = self._tls.server_name
        try:
            async with self._open().request(
                method, url, data=body, headers=sent, proxy=self._proxy, allow_redirects=False, **more
            ) as response:
                told = await limited(response, _ANSWER)
                return Answer(response.status, response.headers, told)
        except (aiohttp.ClientError, OSError, TimeoutError) as e:
            raise Retry(self.clean(f"{self.base}: {_reason(e)}")) from e

    def failure(self, answer: Answer) -> Retry | Refused:
        """The error that an answer is. Not for 2xx."""
        text = self.clean(answer.body[:65536].decode("utf-8", "replace")) if self.tells_answers else ""
        message = f"{self.base} answered {answer.status}" + (f": {text}" if text else "")
        if answer.status in _REFUSED:
            return Refused(message)
        return Retry(message, retry_after(answer.headers))

    def clean(self, text: str) -> str:
        """One short line without what is secret."""
        values = [secret.value() for secret in self.secrets if secret]
        for value in [*values, *(self._authorizer.secrets() if self._authorizer is not None else [])]:
            if value:
                text = text.replace(value, "***")
        return " ".join(text.split())[:_SHOWN]

    def _authorization(self) -> dict[str, str]:
        if self._user:
            pair = f"{self._user}:{self._password.value()}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        if self._bearer:
            return {"Authorization": f"Bearer {self._bearer.value()}"}
        return {}

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            opts = self._opts
            wait = opts.seconds("http.response_timeout")
            source = opts.text("net.source_address")
            keep = opts.flag("net.keepalive")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    force_close=not keep,
                    local_addr=(source, 0) if source else None,
                    # the library wants none where connections are not kept
                    keepalive_timeout=opts.seconds("net.keepalive_idle_timeout") if keep else None,
                ),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=opts.seconds("net.connect_timeout") or None,
                    sock_read=opts.seconds("net.io_timeout") or wait or None,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _authorizer(what: str, opts: Options) -> Authorizer | None:
    ways = [name for name in ("aws_auth", "oauth2.enable") if opts.flag(name)]
    ways += [name for name in ("http_user", "bearer_token", "bearer_token_file") if ways and opts.text(name)]
    if len(ways) > 1:
        raise UsageError(f"{what}: {ways[0]!r} and {ways[1]!r} are both given; one request has one `Authorization`")
    if not ways:
        return None
    return AwsAuth(what, opts) if ways[0] == "aws_auth" else Oauth2(what, opts)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, of a header in either of its forms (RFC 9110, 10.2.3); None without one that can be read."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        wait = float(text)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(wait, 0.0), _LONGEST)


def _headers(what: str, lines: list[str]) -> list[tuple[str, str]]:
    found = []
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if not value.strip():
            raise UsageError(f"{what}: 'header' takes a name and a value, with a space between them")
        found.append((name, value.strip()))
    return found


def _reason(e: BaseException) -> str:
    """What went wrong, for people; never the request."""
    if isinstance(e, TimeoutError):
        return "no answer in time"
    system = getattr(e, "os_error", None)  # of a connection that could not be made
    if system is not None and system.strerror:
        return str(system.strerror)
    return str(e).strip() or type(e).__name__


def with_query(path: str, **query: str) -> str:
    """The path with these parameters, those that are not empty."""
    given = {k: v for k, v in query.items() if v}
    return f"{path}?{urllib.parse.urlencode(given)}" if given else path
