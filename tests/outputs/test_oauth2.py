"""Keys `oauth2.`: tokens are fetched as RFC 6749 says, renewed before their end, and anew when they are not taken."""

from __future__ import annotations

import base64
import hashlib
import logging
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import jwt
import pytest
from aiohttp import web

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.http import KEYS, HttpOutput
from kubewitness.outputs.oauth2 import Oauth2
from tests.inputs.certificates import Authority
from tests.journal.helpers import numbered
from tests.outputs.far_side import FarSide

pytestmark = pytest.mark.timeout(30)


class Idp(FarSide):
    """A token endpoint; `asked` are the forms that it took, with the client and its secret as they were sent."""

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.more = {"token_type": "Bearer", "expires_in": 3600, **more}
        self.asked: list[dict[str, str]] = []
        self.secret = "secret/1"
        self.public_key = ""
        #: of assertions; "" is the address
        self.audience = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.method, request.path) == ("POST", "/token")
        assert request.content_type == "application/x-www-form-urlencoded"
        form = {k: v[0] for k, v in parse_qs(body.decode(), strict_parsing=True).items()}
        assert form["grant_type"] == "client_credentials"
        if "Authorization" in request.headers:
            assert "client_secret" not in form
            pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
            form["client_id"], form["client_secret"] = map(unquote_plus, pair.split(":"))
        if not self._knows(form):
            told = {"error": "invalid_client", "error_description": f"not {form.get('client_secret')}"}
            return web.json_response(told, status=401)
        self.asked.append({**form, "agent": request.headers["User-Agent"]})
        return web.json_response({"access_token": f"token-{len(self.asked)}", **self.more})

    def _knows(self, form: dict[str, str]) -> bool:
        if "client_assertion" not in form:
            return (form["client_id"], form["client_secret"]) == ("shop logs", self.secret)
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        audience = self.audience or self.url
        claims = jwt.decode(form["client_assertion"], self.public_key, ["RS256"], audience=audience)
        assert claims["iss"] == claims["sub"] == form["client_id"]
        assert claims["exp"] - claims["iat"] == 120
        assert claims["jti"]
        return True


class Guarded(FarSide):
    """Takes what has the token that it wants now; any, while it wants none in particular."""

    def __init__(self) -> None:
        super().__init__()
        self.wants = ""
        self.tokens: list[str] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.tokens.append(token)
        if self.wants and token != self.wants:
            return web.Response(status=401, text=f"token {token} is revoked")
        return web.Response()


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert "secret/" not in caplog.text
    assert "token-" not in caplog.text


def keys(idp: Idp, **more: str) -> dict[str, str]:
    client = {"oauth2.client_id": "shop logs", "oauth2.client_secret": "secret/1"}
    return {"oauth2.enable": "on", "oauth2.token_url": idp.url, **client, **more}


async def sent(side: Guarded, given: dict[str, str], times: int = 1) -> None:
    output = HttpOutput({"host": "127.0.0.1", "port": str(side.port), **given})
    try:
        for n in range(times):
            await output.write([Delivery(n + 1, numbered(n))])
    finally:
        await output.close()


@pytest.mark.parametrize("method", ["basic", "post"])
async def test_a_token_is_fetched_once_and_sent_with_every_request(method: str) -> None:
    async with Idp() as idp, Guarded() as side:
        more = {"scope": "logs:write x", "audience": "urn:logs", "resource": "https://logs", "user_agent": "shop/1"}
        given = keys(idp, **{f"oauth2.{k}": v for k, v in more.items()}, **{"oauth2.auth_method": method})
        await sent(side, given, times=3)
        assert (side.tokens, idp.wrong, side.wrong) == (["token-1"] * 3, [], [])
        (asked,) = idp.asked
        assert {k: asked[k] for k in ("scope", "audience", "resource", "agent")} == {
            "scope": "logs:write x",
            "audience": "urn:logs",
            "resource": "https://logs",
            "agent": "shop/1",
        }


async def test_a_token_that_is_not_taken_is_fetched_anew_once() -> None:
    async with Idp() as idp, Guarded() as side:
        output = HttpOutput({"host": "127.0.0.1", "port": str(side.port), **keys(idp)})
        await output.write([Delivery(1, numbered(1))])
        side.wants = "token-2"
        await output.write([Delivery(2, numbered(2))])
        assert side.tokens == ["token-1", "token-1", "token-2"]
        side.wants = "another"
        with pytest.raises(Retry, match=r"answered 401: token \*\*\* is revoked"):
            await output.write([Delivery(3, numbered(3))])
        assert (side.tokens[3:], len(idp.asked)) == (["token-2", "token-3"], 3)
        await output.close()


@pytest.mark.parametrize(
    ("life", "skew", "before", "after"), [(3600, "60", 3539.0, 3540.0), (30, "60", 14.0, 15.0), (None, "100", 199, 200)]
)
async def test_a_token_is_renewed_so_long_before_its_end(
    life: int | None, skew: str, before: float, after: float
) -> None:
    async with Idp(expires_in=life) as idp:
        now = 0.0
        opts = Options("x", keys(idp, **{"oauth2.refresh_skew_seconds": skew}), KEYS)
        oauth2 = Oauth2("x", opts, lambda: now)
        assert [await token(oauth2), await token(oauth2)] == ["Bearer token-1"] * 2
        now = before
        assert await token(oauth2) == "Bearer token-1"
        now = after
        assert await token(oauth2) == "Bearer token-2"


async def test_while_no_other_can_be_had_a_token_is_used_to_its_end() -> None:
    async with Idp(expires_in="100") as idp:
        now = 0.0
        oauth2 = Oauth2("x", Options("x", keys(idp), KEYS), lambda: now)
        assert await token(oauth2) == "Bearer token-1"
        idp.secret = "another"
        now = 99.0
        assert await token(oauth2) == "Bearer token-1"
        now = 100.0
        with pytest.raises(Retry, match=r"/token: answered 401 invalid_client not \*\*\*"):
            await token(oauth2)


async def token(oauth2: Oauth2) -> str:
    from multidict import CIMultiDict

    headers: CIMultiDict[str] = CIMultiDict()
    await oauth2.authorize("POST", "http://x/", headers, b"")
    return headers["Authorization"]


async def test_the_secret_may_be_in_a_file_that_changes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("secret/1\n")
    async with Idp() as idp, Guarded() as side:
        given = keys(idp, **{"oauth2.client_secret": "", "oauth2.client_secret_file": str(file)})
        output = HttpOutput({"host": "127.0.0.1", "port": str(side.port), **given})
        await output.write([Delivery(1, numbered(1))])
        idp.secret, side.wants = "secret/2", "token-2"
        file.write_text("secret/2\n")
        await output.write([Delivery(2, numbered(2))])
        assert side.tokens[-1] == "token-2"
        await output.close()


async def test_a_client_may_sign_with_its_key_and_name_its_certificate(tmp_path: Path) -> None:
    key, crt = tmp_path / "key.pem", tmp_path / "crt.pem"
    making = (
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(crt),
        "-subj",
        "/CN=shop",
    )
    subprocess.run(["openssl", *making], check=True, capture_output=True)
    shown = subprocess.run(["openssl", "x509", "-in", str(crt), "-pubkey", "-noout"], check=True, capture_output=True)
    async with Idp() as idp, Guarded() as side:
        idp.public_key = shown.stdout.decode()
        given = {"auth_method": "private_key_jwt", "jwt_key_file": str(key), "jwt_cert_file": str(crt)}
        given |= {"jwt_header": "x5t", "jwt_ttl_seconds": "120", "client_secret": ""}
        await sent(side, keys(idp, **{f"oauth2.{k}": v for k, v in given.items()}))
        assert (side.tokens, idp.wrong) == (["token-1"], [])
        thumbprint = hashlib.sha1(ssl.PEM_cert_to_DER_cert(crt.read_text())).digest()
        header = jwt.get_unverified_header(idp.asked[0]["client_assertion"])
        assert header == {
            "alg": "RS256",
            "typ": "JWT",
            "x5t": base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode(),
        }
        idp.audience = given["jwt_aud"] = "urn:tokens"
        await sent(side, keys(idp, **{f"oauth2.{k}": v for k, v in given.items()}))
        assert (side.tokens, idp.wrong) == (["token-1", "token-2"], [])


async def test_the_token_endpoint_is_trusted_by_the_outputs_authority_and_always_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost"))
    idp = Idp()
    await idp.start(context)
    try:
        async with Guarded() as side:
            given = keys(idp, **{"oauth2.token_url": idp.url.replace("http:", "https:")})
            await sent(side, {**given, "tls.ca_file": str(authority.certificate)})
            with pytest.raises(Retry, match="certificate verify failed"):
                await sent(side, {**given, "tls.verify": "off"})
            assert side.tokens == ["token-1"]
    finally:
        await idp.stop()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"token_type": "mac"}, "gives tokens of type 'mac'"),
        ({"expires_in": "soon"}, "what is no answer of OAuth 2.0"),
        ({"access_token": 7}, "what is no answer of OAuth 2.0"),
    ],
)
async def test_an_answer_that_is_no_token_holds_records_back(fault: dict[str, Any], said: str) -> None:
    async with Idp(**fault) as idp, Guarded() as side:
        with pytest.raises(Retry, match=said):
            await sent(side, keys(idp))
        assert side.tokens == []


async def test_a_token_endpoint_that_does_not_answer_is_waited_for_as_long_as_the_keys_say() -> None:
    async with Idp() as idp, Guarded() as side:
        idp.faults.append("slow")
        with pytest.raises(Retry, match="no answer in time"):
            await sent(side, keys(idp, **{"oauth2.timeout": "100ms", "oauth2.connect_timeout": "50ms"}))
        await idp.stop()
        with pytest.raises(Retry, match=r"oauth2.token_url http://127.0.0.1:\d+/token: "):
            await sent(side, keys(idp))
        assert side.tokens == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("oauth2.token_url", "'oauth2.token_url' is not an address"),
        ("oauth2.client_id", "needs 'oauth2.client_id'"),
        ("oauth2.client_secret", "needs 'oauth2.client_secret'"),
    ],
)
def test_what_is_missing_is_said_at_start(missing: str, said: str) -> None:
    given = keys(Idp())
    with pytest.raises(UsageError, match=said):
        HttpOutput({k: v for k, v in given.items() if k != missing})


def test_a_token_and_a_user_cannot_both_be_given() -> None:
    with pytest.raises(UsageError, match=r"'oauth2.enable' and 'http_user' are both given"):
        HttpOutput({**keys(Idp()), "http_user": "alice"})
