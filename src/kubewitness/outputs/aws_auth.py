"""Requests signed for AWS: key `aws_auth`. Source: AWS' manual, "Signature Version 4"; the signature is botocore's.

The body is signed as it is sent, compressed or not. A far side whose clock differs from ours is believed after it has
refused a request for that.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.outputs.aws_credentials import AwsCredentials, Frozen, Source, sts_address

if TYPE_CHECKING:
    from multidict import CIMultiDict

#: AWS takes signatures that are younger and older than this (seconds); half of what it says, for the way there
_SKEW = 150.0
_SERVICES = ("aws_service", "aws_service_name")


_AUTH = Key("aws_auth", "bool", "off", "requests are signed for AWS (Signature Version 4)")
_WHO = (
    Key("aws_region", doc="its region; empty: AWS_REGION"),
    Key("aws_profile", doc="profile of the shared files; empty: AWS_PROFILE, else `default`"),
    Key("aws_role_arn", doc="role to assume with the credentials that are found"),
    Key("aws_external_id", doc="external id that this role asks for"),
    Key("aws_sts_endpoint", doc="address of STS, for roles and web identities; empty: the region's"),
)


def aws_keys(service: str = "", service_name: str = "") -> tuple[Key, ...]:
    """`service`, `service_name`: the defaults of `aws_service` and `aws_service_name`."""
    return (
        _AUTH,
        Key("aws_service", default=service, doc="service that they are signed for: `es`, `aoss`, `aps`, `logs` ..."),
        Key("aws_service_name", default=service_name, doc="the same, by its other name"),
        *_WHO,
    )


class AwsAuth:
    """Signs requests. UsageError when region, service or library are missing."""

    def __init__(self, what: str, opts: Options, clock: Callable[[], float] = time.time) -> None:
        self._service = next((opts.text(n) for n in _SERVICES if opts.given(n)), "") or next(
            (opts.text(n) for n in _SERVICES if opts.text(n)), "")  # fmt: skip
        self._region = opts.text("aws_region") or os.environ.get("AWS_REGION") or os.environ.get(
            "AWS_DEFAULT_REGION", "")  # fmt: skip
        for name, value in (("aws_region", self._region), ("aws_service", self._service)):
            if not value:
                raise UsageError(f"{what}: 'aws_auth' needs {name!r}")
        self._credentials = AwsCredentials(
            what,
            Source(
                self._region,
                opts.text("aws_profile"),
                opts.text("aws_role_arn"),
                opts.text("aws_external_id"),
                sts_address(opts.text("aws_sts_endpoint")),
            ),
        )
        self._clock = clock
        #: what is to be added to our clock (seconds)
        self._skew = 0.0
        self._used: Frozen | None = None

    async def authorize(self, method: str, url: str, headers: CIMultiDict[str], body: bytes) -> None:
        """Adds what proves who sends this. `url` and `body` are such as they go out. Retry without credentials."""
        await asyncio.to_thread(self._sign, method, url, headers, body)

    async def renew(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether a request that was refused is worth another try at once: with other credentials, or another time."""
        if status not in (400, 401, 403):
            return False
        skewed = self._looked_at_clock(headers)
        used = self._used
        if status != 400:
            self._credentials.forget()
            if await asyncio.to_thread(self._credentials.now) != used:
                return True
        return skewed

    def secrets(self) -> list[str]:
        return [text for text in (self._used.secret_key, self._used.token) if text] if self._used else []

    def _looked_at_clock(self, headers: Mapping[str, str]) -> bool:
        try:
            theirs = parsedate_to_datetime(headers.get("Date", "")).timestamp()
        except ValueError:
            return False
        skew = theirs - self._clock()
        differs = abs(skew - self._skew) > _SKEW
        if differs:
            self._skew = skew
        return differs

    def _sign(self, method: str, url: str, headers: CIMultiDict[str], body: bytes) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        self._used = self._credentials.now()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock() + self._skew))
        headers.popall("Authorization", None)
        # some services ask for it (OpenSearch Serverless); none minds
        headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
        headers["X-Amz-Date"] = stamp
        if self._used.token:
            headers["X-Amz-Security-Token"] = self._used.token
        signer = SigV4Auth(self._used, self._service, self._region)
        request = AWSRequest(method=method, url=url, headers=headers)
        request.context["timestamp"] = stamp
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
            f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}, Signature={signature}"
        )
