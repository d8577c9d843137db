"""Credentials of AWS, found where all of AWS' tools look for them, by AWS' own library (`kubewitness[aws]`).

In this order: the environment (AWS_ACCESS_KEY_ID), a web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN: a pod's
service account), the shared files (AWS_PROFILE), the container's role (AWS_CONTAINER_CREDENTIALS_FULL_URI: ECS, a pod's
identity of EKS), the machine's role; and, where a role is named, that role with these. What ends is renewed before it
does; what does not is looked for again every five minutes.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kubewitness.errors import Retry
from kubewitness.outputs.extras import need

#: seconds after which credentials without an end are looked for again
_LOOK_AGAIN = 300.0
_SESSION_NAME = "kubewitness"


class Source(NamedTuple):
    """Whose credentials. All but the region may be "": then the standard chain says."""

    region: str
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    sts_endpoint: str = ""


class Frozen(NamedTuple):
    """One set of credentials, as of now."""

    access_key: str
    secret_key: str
    #: "" for those of a user
    token: str

    def __repr__(self) -> str:
        return "<credentials>"


class AwsCredentials:
    """Any thread may ask. UsageError when the library is not there."""

    def __init__(self, what: str, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        need(what, "botocore", "aws")
        # it writes what STS answers into the log; what fails is told by the engine
        logging.getLogger("botocore").setLevel(logging.CRITICAL)
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._found: Any = None
        self._since = 0.0

    def now(self) -> Frozen:
        """Waits for the network where it must. Retry when there are none, or they cannot be renewed."""
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            try:
                if self._found is None or self._is_old():
                    self._found, self._since = self._find(), self._clock()
                frozen = self._found.get_frozen_credentials()
            except (BotoCoreError, ClientError, OSError, ValueError) as e:
                self._found = None
                raise Retry(f"AWS credentials: {' '.join(str(e).split())[:300]}") from e
        return Frozen(frozen.access_key, frozen.secret_key, frozen.token or "")

    def forget(self) -> None:
        """They were refused: the next ones are looked for anew."""
        with self._lock:
            self._found = None

    def for_obstore(self) -> dict[str, Any]:
        """As the library of object stores wants them from its `credential_provider`."""
        found = self.now()
        return {
            "access_key_id": found.access_key,
            "secret_access_key": found.secret_key,
            "token": found.token or None,
            # it asks again then; renewing is done here
            "expires_at": datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=_LOOK_AGAIN),
        }

    def _is_old(self) -> bool:
        ends = hasattr(self._found, "refresh_needed")
        return not ends and self._clock() - self._since >= _LOOK_AGAIN

    def _find(self) -> Any:
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

        session = self._session()
        found = session.get_credentials()
        if found is None:
            raise Retry("AWS credentials: none in the environment, the shared files, or the machine's metadata")
        if not self._source.role_arn:
            return found
        more = {"RoleSessionName": _SESSION_NAME}
        if self._source.external_id:
            more["ExternalId"] = self._source.external_id
        role = AssumeRoleCredentialFetcher(session.create_client, found, self._source.role_arn, extra_args=more)
        return DeferredRefreshableCredentials(role.fetch_credentials, "assume-role")

    def _session(self) -> Any:
        import botocore.session

        source = self._source
        session = botocore.session.Session(profile=source.profile or None)
        session.set_config_variable("region", source.region)
        create = session.create_client

        def create_client(service: str, *args: Any, **more: Any) -> Any:
            """The library's own, which its providers call, too; STS where the user says that it is."""
            if service == "sts" and source.sts_endpoint:
                more["endpoint_url"] = source.sts_endpoint
            return create(service, *args, **more)

        session.create_client = create_client
        return session


def sts_address(text: str) -> str:
    """`aws_sts_endpoint`, which may be a host alone."""
    return text if not text or "://" in text else f"https://{text}"
