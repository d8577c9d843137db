"""Far sides as AWS runs them: a service that checks each signature over the body as it was sent, STS, and what gives a
pod, a container or a machine its credentials. The check is written after AWS' manual, "Signature Version 4", apart from
the library that signs; test_aws_auth holds it to AWS' published examples."""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

from aiohttp import web

from tests.outputs.far_side import FarSide
from tests.outputs.sides import HttpSide

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), "
    r"Signature=([0-9a-f]{64})"
)


class Request(NamedTuple):
    """What goes into a signature. `target` as on the wire; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def signature(request: Request, signed: str, secret: str, scope: tuple[str, str, str], stamp: str) -> str:
    """`scope`: date, region, service."""
    path, _, query = request.target.partition("?")
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    names = signed.split(";")
    canonical = [
        request.method,
        path if scope[2] == "s3" else quote(path, safe="/-_.~"),
        "&".join(f"{k}={v}" for k, v in pairs),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
        "",
        signed,
        request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest(),
    ]
    text = "\n".join(
        ["AWS4-HMAC-SHA256", stamp, "/".join((*scope, "aws4_request")),
         hashlib.sha256("\n".join(canonical).encode()).hexdigest()]
    )  # fmt: skip
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Keys:
    """Who is known: access key -> (secret, session token)."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, str]] = {"AKIDUSER": ("secret-of-the-user", "")}
        self.issued = 0

    def issue(self) -> tuple[str, str, str]:
        self.issued += 1
        name = f"ASIA{self.issued}"
        self.known[name] = (f"secret-{self.issued}", f"token/{self.issued}+=")
        return name, *self.known[name]


class Signed(FarSide):
    """Takes what is signed for its service and region, by one who is known, within five minutes of its clock."""

    service = "es"
    region = "eu-central-1"

    def __init__(self, keys: Keys | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.keys_known = keys or Keys()
        self.clock = clock
        #: access keys of the requests that were taken, and why others were not
        self.signers: list[str] = []
        self.refusals: list[str] = []
        self._sent = b""

    def unpacked(self, request: web.Request, body: bytes) -> bytes:
        self._sent = body
        return super().unpacked(request, body)

    def take(self, request: web.Request, body: bytes) -> web.Response:
        refusal = self._refusal(request)
        if refusal:
            self.refusals.append(refusal)
            return self.refuse(refusal)
        return self.accept(request, body)

    def refuse(self, why: str) -> web.Response:
        return web.json_response({"message": why}, status=403, headers={"Date": formatdate(self.clock())})

    def accept(self, request: web.Request, body: bytes) -> web.Response:
        return web.Response()

    def _refusal(self, request: web.Request) -> str:
        headers = {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
        found = _AUTHORIZATION.fullmatch(headers["authorization"])
        assert found, headers["authorization"]
        name, date, region, service, signed, theirs = found.groups()
        assert (region, service) == (self.region, self.service)
        assert {"host", "x-amz-date"} <= set(signed.split(";")), signed
        assert sorted(signed.split(";")) == signed.split(";")
        if "x-amz-content-sha256" in headers:
            assert headers["x-amz-content-sha256"] == hashlib.sha256(self._sent).hexdigest()
        stamp = headers["x-amz-date"]
        assert stamp[:8] == date
        if abs(calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - self.clock()) > 300:
            return f"Signature expired: {stamp} is not within 5 min. of our time"
        secret, token = self.keys_known.known.get(name, ("", ""))
        if not secret or headers.get("x-amz-security-token", "") != token:
            return f"The security token included in the request is expired: {headers.get('x-amz-security-token')}"
        sent = Request(request.method, request.raw_path, headers, self._sent)
        if signature(sent, signed, secret, (date, region, service), stamp) != theirs:
            return "The request signature we calculated does not match the signature you provided"
        self.signers.append(name)
        return ""


class SignedBodies(Signed):
    """Keeps bodies, unpacked."""

    def __init__(self, keys: Keys | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(keys, clock)
        self.bodies: list[bytes] = []

    def accept(self, request: web.Request, body: bytes) -> web.Response:
        self.bodies.append(body)
        return web.Response()


def signed(side: type[HttpSide]) -> Any:
    """A far side of a protocol that wants signatures, too."""

    class Both(Signed, side):  # type: ignore[misc, valid-type]
        def accept(self, request: web.Request, body: bytes) -> web.Response:
            return side.take(self, request, body)

    return Both


class Sts(Signed):
    """AssumeRole and AssumeRoleWithWebIdentity; `life`: seconds that what it gives is good for."""

    service = "sts"

    def __init__(self, keys: Keys, life: float = 3600) -> None:
        super().__init__(keys)
        self.life = life
        self.asked: list[dict[str, str]] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        asked = {k: v[0] for k, v in parse_qs(body.decode(), strict_parsing=True).items()}
        assert asked["Version"] == "2011-06-15"
        self._asked = asked
        if asked["Action"] == "AssumeRoleWithWebIdentity":
            assert "Authorization" not in request.headers
            return self.accept(request, body)
        return super().take(request, body)

    def refuse(self, why: str) -> web.Response:
        error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{why}</Message></Error>"
        xmlns = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        text = f"<ErrorResponse {xmlns}>{error}<RequestId>1</RequestId></ErrorResponse>"
        return web.Response(status=403, content_type="text/xml", text=text)

    def accept(self, request: web.Request, body: bytes) -> web.Response:
        self.asked.append(self._asked)
        action = self._asked["Action"]
        access, secret, token = self.keys_known.issue()
        return web.Response(
            content_type="text/xml",
            text=f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
            f"<AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken><Expiration>{_ends(self.life)}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId>"
            f"</AssumedRoleUser></{action}Result></{action}Response>",
        )


class Metadata(FarSide):
    """The agent of a container, and the machine's metadata (IMDSv2)."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self.keys_known = keys

    def take(self, request: web.Request, body: bytes) -> web.Response:
        if request.path == "/latest/api/token":
            assert request.method == "PUT"
            return web.Response(text="imds-token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if request.path == "/container":
            assert request.headers["Authorization"] == "container-token"
            return self._credentials()
        assert request.headers["X-aws-ec2-metadata-token"] == "imds-token"
        if request.path == "/latest/meta-data/iam/security-credentials/":
            return web.Response(text="node-role")
        assert request.path == "/latest/meta-data/iam/security-credentials/node-role", request.path
        return self._credentials()

    def _credentials(self) -> web.Response:
        access, secret, token = self.keys_known.issue()
        found = {"Code": "Success", "AccessKeyId": access, "SecretAccessKey": secret, "Token": token}
        return web.json_response({**found, "Type": "AWS-HMAC", "LastUpdated": _ends(0), "Expiration": _ends(3600)})


def _ends(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
