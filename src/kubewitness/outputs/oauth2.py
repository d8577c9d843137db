"""Tokens that are fetched: key `oauth2.enable`. Source: RFC 6749, section 4.4 (client credentials), and RFC 7523 for
`private_key_jwt`.

A token is fetched with the first request, and again `refresh_skew_seconds` before its end. One that the far side does
not take (401) is fetched anew once for that request.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import ssl
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.credentials import Secret, secret_keys
from kubewitness.outputs.extras import need
from kubewitness.outputs.http_parts import limited, proxy_for

if TYPE_CHECKING:
    from multidict import CIMultiDict

OAUTH2_KEYS = (
    Key("oauth2.enable", "bool", "off", "a token is fetched and sent as `Authorization: Bearer`"),
    Key("oauth2.token_url", doc="address that gives tokens"),
    Key("oauth2.client_id", doc="who asks for one"),
    *secret_keys("oauth2.client_secret", "the client's secret"),
    Key("oauth2.auth_method", default="basic", doc="how the client proves who it is: its secret in a header, in the "
        "body, or an assertion signed with its key (RS256)", choices=("basic", "post", "private_key_jwt")),
    Key("oauth2.scope", doc="sent as `scope`"),
    Key("oauth2.audience", doc="sent as `audience`"),
    Key("oauth2.resource", doc="sent as `resource`"),
    Key("oauth2.user_agent", doc="sent as User-Agent to `oauth2.token_url`; empty: kubewitness"),
    Key("oauth2.refresh_skew_seconds", "int", "60", "a token is fetched so many seconds before the last one ends"),
    Key("oauth2.timeout", "seconds", "0s", "seconds that fetching may take; 0: `http.response_timeout`"),
    Key("oauth2.connect_timeout", "seconds", "0s", "seconds to connect in; 0: `net.connect_timeout`"),
    Key("oauth2.jwt_key_file", doc="private key (PEM), for `private_key_jwt`"),
    Key("oauth2.jwt_cert_file", doc="certificate of that key, whose thumbprint the assertion names"),
    Key("oauth2.jwt_header", default="kid", doc="under this name", choices=("kid", "x5t")),
    Key("oauth2.jwt_aud", doc="audience of the assertion; empty: `oauth2.token_url`"),
    Key("oauth2.jwt_ttl_seconds", "int", "300", "seconds that the assertion is good for"),
)  # fmt: skip

#: seconds that a token is good for whose far side does not say (RFC 6749 leaves it to other documents)
_LIFE = 300.0
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: an answer may have so many bytes
_ANSWER = 256 * 1024


class _Token(msgspec.Struct):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105
    #: some write it as text
    expires_in: float | str | None = None


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""


class _Held(NamedTuple):
    text: str
    #: when the next one is fetched, and when this one is none any more; by the clock
    renew_at: float
    ends_at: float


class Oauth2:
    """Adds a token to each request. UsageError when keys are missing or a file cannot be read."""

    def __init__(self, what: str, opts: Options, clock: Callable[[], float] = time.monotonic) -> None:
        self._opts = opts
        self._url = opts.text("oauth2.token_url")
        parts = urllib.parse.urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{what}: 'oauth2.token_url' is not an address such as https://idp.example.com/token")
        self._secure = parts.scheme == "https"
        self._proxy = proxy_for(what, opts, parts.scheme, parts.hostname)
        self._method = opts.choice("oauth2.auth_method")
        self._secret = Secret(what, opts, "oauth2.client_secret")
        if not opts.text("oauth2.client_id"):
            raise UsageError(f"{what}: 'oauth2.enable' needs 'oauth2.client_id'")
        if self._method == "private_key_jwt":
            need(what, "jwt", "oauth2")
            for name in ("oauth2.jwt_key_file", "oauth2.jwt_cert_file"):
                if not Path(opts.text(name)).is_file():
                    raise UsageError(f"{what}: {name!r} is to be a file, for 'private_key_jwt'")
        elif not self._secret:
            raise UsageError(f"{what}: 'oauth2.enable' needs 'oauth2.client_secret'")
        self._clock = clock
        self._held: _Held | None = None
        #: the token of the last request, and whether it was fetched for it
        self._last, self._fresh = "", False

    async def authorize(self, method: str, url: str, headers: CIMultiDict[str], body: bytes) -> None:
        """Adds the token. Retry when there is none."""
        now, held = self._clock(), self._held
        self._fresh = held is None or now >= held.renew_at
        if self._fresh:
            try:
                held = self._held = await self._fetched()
            except Retry:
                if held is None or now >= held.ends_at:
                    self._held = None
                    raise
        assert held is not None
        self._last = held.text
        headers["Authorization"] = f"Bearer {held.text}"

    async def renew(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether a request that was refused is worth another try at once."""
        if status != 401:
            return False
        self._held = None
        return not self._fresh

    def secrets(self) -> list[str]:
        return [self._last, self._secret.value()] if self._secret else [self._last]

    # --- fetching ----------------------------------------------------------------------------------------------------

    async def _fetched(self) -> _Held:
        import aiohttp

        opts = self._opts
        whole = opts.seconds("oauth2.timeout") or opts.seconds("http.response_timeout")
        connect = opts.seconds("oauth2.connect_timeout") or opts.seconds("net.connect_timeout")
        timeout = aiohttp.ClientTimeout(total=whole or None, sock_connect=connect or None)
        headers, form = await asyncio.to_thread(self._request)
        more: dict[str, Any] = {"ssl": await asyncio.to_thread(self._trust)} if self._secure else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(
                    self._url, data=form, headers=headers, proxy=self._proxy, allow_redirects=False, **more
                ) as response,
            ):
                return self._read(response.status, await limited(response, _ANSWER))
        except (aiohttp.ClientError, OSError, TimeoutError) as e:
            raise self._failed("no answer in time" if isinstance(e, TimeoutError) else str(e)) from e

    def _request(self) -> tuple[dict[str, str], dict[str, str]]:
        """(headers, form)."""
        opts = self._opts
        client = opts.text("oauth2.client_id")
        headers = {"User-Agent": opts.text("oauth2.user_agent") or "kubewitness", "Accept": "application/json"}
        form = {"grant_type": "client_credentials"}
        form |= {n: opts.text(f"oauth2.{n}") for n in ("scope", "audience", "resource") if opts.text(f"oauth2.{n}")}
        if self._method == "basic":
            pair = ":".join(urllib.parse.quote_plus(part) for part in (client, self._secret.value()))
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif self._method == "post":
            form |= {"client_id": client, "client_secret": self._secret.value()}
        else:
            assertion = self._assertion(client)
            form |= {"client_id": client, "client_assertion_type": _ASSERTION, "client_assertion": assertion}
        return headers, form

    def _assertion(self, client: str) -> str:
        """Key and certificate are read each time: they may have been renewed."""
        import jwt

        opts, now = self._opts, int(time.time())
        claims = {
            "iss": client,
            "sub": client,
            "aud": opts.text("oauth2.jwt_aud") or self._url,
            "iat": now,
            "exp": now + (opts.number("oauth2.jwt_ttl_seconds") or 300),
            "jti": secrets.token_hex(16),
        }
        try:
            certificate = ssl.PEM_cert_to_DER_cert(Path(opts.text("oauth2.jwt_cert_file")).read_text())
            digest = hashlib.sha1(certificate, usedforsecurity=False).digest()
            thumbprint = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            key = Path(opts.text("oauth2.jwt_key_file")).read_bytes()
            return jwt.encode(claims, key, "RS256", headers={opts.choice("oauth2.jwt_header"): thumbprint})
        except (OSError, ValueError, TypeError, jwt.PyJWTError) as e:
            raise self._failed(f"key and certificate of the assertion: {type(e).__name__}") from e

    def _trust(self) -> ssl.SSLContext:
        """The system's authorities, and those of the output: the far side's and this one's may be different."""
        context = ssl.create_default_context()
        file, path = self._opts.text("tls.ca_file"), self._opts.text("tls.ca_path")
        if file or path:
            context.load_verify_locations(file or None, path or None)
        return context

    def _read(self, status: int, body: bytes) -> _Held:
        try:
            if status != 200:
                told = msgspec.json.decode(body, type=_Refusal)
                raise self._failed(f"answered {status} {told.error} {told.error_description}")
            token = msgspec.json.decode(body, type=_Token)
            life = _LIFE if token.expires_in is None else float(token.expires_in)
        except (msgspec.MsgspecError, ValueError) as e:
            raise self._failed(f"answered {status} with what is no answer of OAuth 2.0") from e
        if token.token_type.lower() != "bearer":
            raise self._failed(f"gives tokens of type {token.token_type[:30]!r}, not Bearer")
        now = self._clock()
        # one that lives no longer than the skew is used for half of its life
        skew = min(float(self._opts.number("oauth2.refresh_skew_seconds")), life / 2)
        return _Held(token.access_token, now + life - skew, now + life)

    def _failed(self, why: str) -> Retry:
        secret = self._secret.value() if self._secret else ""
        text = f"oauth2.token_url {self._url}: {why}"
        return Retry(" ".join((text.replace(secret, "***") if secret else text).split())[:300])
