"""Credential plugins of kubeconfig (`users[].user.exec`): a program prints an ExecCredential.

Source: client.authentication.k8s.io (k8s.io/client-go/pkg/apis/clientauthentication): v1, v1beta1, v1alpha1.
lightkube runs only the two old versions and takes only tokens, hence this.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.times import parse_us
from kubewitness.kube.failures import KubeFailure
from kubewitness.kube.secrets import Secrets

if TYPE_CHECKING:
    from lightkube.config.models import UserExec

_VERSIONS = ("v1", "v1beta1", "v1alpha1")
_GROUP = "client.authentication.k8s.io/"
_TIMEOUT = 60.0
#: names of a plugin's environment whose values nobody shall read
_HIDDEN = re.compile("secret|token|passw|key|credential", re.IGNORECASE)
#: credentials are renewed this long before they end
_EARLY = 60.0


class _Status(msgspec.Struct):
    token: str | None = None
    clientCertificateData: str | None = None
    clientKeyData: str | None = None
    expirationTimestamp: str | None = None


class _Credential(msgspec.Struct):
    status: _Status | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What the program gave. `until`: seconds since 1970 after which to ask again (0: only after a 401)."""

    token: str | None
    certificate: str | None
    key: str | None
    until: float

    def stale(self) -> bool:
        return bool(self.until) and time.time() > self.until - _EARLY


async def run(plugin: UserExec, folder: Path | None, secrets: Secrets) -> Credential:
    """Runs the program. Raises KubeFailure, which never holds what it printed to stdout (on stderr neither)."""
    version = plugin.apiVersion.removeprefix(_GROUP)
    if version not in _VERSIONS:
        raise KubeFailure(f"credential plugin {plugin.command}: apiVersion {plugin.apiVersion!r} is unknown")
    command = plugin.command
    if folder is not None and os.sep in command and not Path(command).is_absolute():
        command = str(folder / command)
    info = {"apiVersion": _GROUP + version, "kind": "ExecCredential", "spec": {"interactive": False}}
    env = dict(os.environ) | {v.name: v.value for v in plugin.env or ()} | {"KUBERNETES_EXEC_INFO": json.dumps(info)}
    secrets.add(*(v.value for v in plugin.env or () if _HIDDEN.search(v.name)))
    out = await _output(command, plugin.args or [], env, plugin.installHint, secrets)
    try:
        status = msgspec.json.decode(out, type=_Credential).status or _Status()
        until = parse_us(status.expirationTimestamp) / 1e6 if status.expirationTimestamp else 0.0
    except (msgspec.MsgspecError, UnicodeDecodeError, Malformed):
        raise KubeFailure(f"credential plugin {plugin.command} printed no ExecCredential") from None
    if not status.token and not status.clientCertificateData:
        raise KubeFailure(f"credential plugin {plugin.command} gave neither a token nor a certificate")
    secrets.add(status.token, status.clientKeyData)
    return Credential(status.token, status.clientCertificateData, status.clientKeyData, until)


async def token_of(command: str, ttl: float, secrets: Secrets) -> Credential:
    """The token that a shell command prints, good for `ttl` seconds. Raises KubeFailure, without what it printed."""
    out = await _output("/bin/sh", ["-c", command], dict(os.environ), None, secrets)
    try:
        token = out.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable():
        raise KubeFailure("kube_token_command printed no token")
    secrets.add(token)
    return Credential(token, None, None, time.time() + max(ttl, 1.0) + _EARLY)


async def _output(command: str, args: list[str], env: dict[str, str], hint: str | None, secrets: Secrets) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            *args,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as e:
        mend = f"; {' '.join(hint.split())[:200]}" if hint else ""
        raise KubeFailure(f"credential plugin {command}: {e.strerror}{mend}") from e
    try:
        out, err = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except BaseException as e:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(e, TimeoutError):
            raise KubeFailure(f"credential plugin {command} gave no answer within {_TIMEOUT:.0f} s") from e
        raise
    if process.returncode:
        said = " ".join(secrets.mask_output(err.decode("utf-8", "replace"), out).split())[:200]
        raise KubeFailure(f"credential plugin {command} failed ({process.returncode}): {said}")
    return out


def load_certificate(context: ssl.SSLContext, credential: Credential) -> None:
    """Puts the plugin's client certificate into a TLS context (the library takes only files)."""
    if not credential.certificate or not credential.key:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:
        both.write(credential.certificate.rstrip() + "\n" + credential.key)
        both.flush()
        context.load_cert_chain(both.name)
