"""Credentials for the API server, read from files, and read again whenever these change.

Nothing here is logged, and no error text holds a token, a key or a plugin's output. All that is read is known to
`secrets`, so that it is masked where somebody else repeats it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubewitness.errors import UsageError
from kubewitness.kube import execplugin
from kubewitness.kube import kubeconfig as configs
from kubewitness.kube.failures import KubeFailure
from kubewitness.kube.secrets import Secrets

#: at most so often are the files' stamps looked at (seconds)
_LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """All that a request needs. `tls` is None for plain HTTP."""

    server: str
    headers: dict[str, str] = field(repr=False)
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None


@dataclass(frozen=True, slots=True)
class TlsChoices:
    """What a pipeline file says of TLS beyond the cluster's CA. Empty text: not said.

    `server_name` stands in for the host's name in the handshake and in the check of the certificate.
    """

    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""
    key_password: str = field(default="", repr=False)
    server_name: str = ""
    verify_hostname: bool = True
    min_version: str = ""
    max_version: str = ""
    ciphers: str = ""

    def apply(self, context: ssl.SSLContext) -> None:
        """Raises OSError or ValueError when a file is not what it should be."""
        context.minimum_version = _VERSIONS[self.min_version.lower()] if self.min_version else ssl.TLSVersion.TLSv1_2
        if self.max_version:
            context.maximum_version = _VERSIONS[self.max_version.lower()]
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        if self.ca_path:
            next(Path(self.ca_path).iterdir(), None)  # OpenSSL says nothing of a folder that is not there
            context.load_verify_locations(capath=self.ca_path)
        if self.cert_file:
            # a password is always given, because without one the library would ask at the terminal
            context.load_cert_chain(self.cert_file, self.key_file or None, password=lambda: self.key_password)
        if not self.verify_hostname:
            context.check_hostname = False


_VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
#: what `TlsChoices` takes as versions
TLS_VERSIONS = tuple(_VERSIONS)


@dataclass(slots=True)
class KubeAccess:
    """How to reach one cluster. Fields are what the user said; nothing is read before `target()` or `describe()`."""

    kubeconfig: str | None = None
    context: str | None = None
    url: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    #: folder that Kubernetes mounts into a pod; None: the usual one
    service_account: str | None = None
    tls: TlsChoices = field(default_factory=TlsChoices)
    #: a shell command that prints a bearer token, run again after `token_ttl` seconds and after a 401
    token_command: str | None = None
    token_ttl: float = 600.0
    #: all credentials used so far, to be masked in what others say
    secrets: Secrets = field(default_factory=Secrets, init=False, repr=False)

    _target: Target | None = field(default=None, init=False, repr=False)
    _credential: execplugin.Credential | None = field(default=None, init=False, repr=False)
    _stamp: tuple[object, ...] = field(default=(), init=False, repr=False)
    _watched: tuple[Path, ...] = field(default=(), init=False, repr=False)
    _looked: float = field(default=0.0, init=False, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    def find(self) -> configs.Found:
        """The cluster and user meant, from the files as they are now. Raises UsageError."""
        if self.url:
            return configs.from_address(self.url, self.token_file, self.ca_file, insecure=self.insecure)
        found = configs.find(self.kubeconfig, self.context, self.service_account or configs.SERVICE_ACCOUNT)
        user = found.config.user
        if user is not None and user.auth_provider:
            raise UsageError(
                f"{found.origin}: `auth-provider` was removed from Kubernetes; use the provider's exec plugin"
            )
        if self.ca_file or self.token_file or self.insecure:
            found = self._overridden(found)
        return found

    def _overridden(self, found: configs.Found) -> configs.Found:
        from lightkube.config.models import User

        config = found.config
        cluster, user = config.cluster, config.user or User()
        if self.ca_file:
            cluster.certificate_auth, cluster.certificate_auth_data = self.ca_file, None
        if self.insecure:
            cluster.certificate_auth = cluster.certificate_auth_data = None
            cluster.insecure = True
        if self.token_file:
            user.token_file = self.token_file
        return replace(found, config=config._replace(cluster=cluster, user=user))

    def describe(self) -> str:
        """One line for people: the server and where we know it from. Raises UsageError when there is none."""
        found = self.find()
        return self.secrets.mask(f"{found.config.cluster.server}, from {found.origin}")

    async def target(self, *, renew: bool = False) -> Target:
        """What to send requests with now. `renew` after a 401: files and plugins are asked again at once.

        Raises UsageError for a configuration that cannot work, KubeFailure for what may mend itself (a file that is
        just being replaced, a plugin that failed).
        """
        async with self._lock:
            target = self._target
            if target is not None and not renew and not self._changed():
                return target
            if renew:
                self._credential = None
            target = self._target = await self._read()
            return target

    def _changed(self) -> bool:
        if self._credential is not None and self._credential.stale():
            self._credential = None
            return True
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return False
        self._looked = now
        return _stamp(self._watched) != self._stamp

    async def _read(self) -> Target:
        found = self.find()
        config, user = found.config, found.config.user
        watched = [*found.files]
        for name in (config.cluster.certificate_auth, *((user.client_cert, user.client_key) if user else ())):
            if name:
                watched.append(Path(config.abs_file(name)))
        if user is not None and user.token_file:
            watched.append(Path(config.abs_file(user.token_file)))
        watched += [Path(name) for name in (self.tls.cert_file, self.tls.key_file) if name]
        # The stamp is taken before reading: a file replaced in between is read once more, never missed.
        stamp = _stamp(tuple(watched))
        for address in (config.cluster.server, found.proxy, *urllib.request.getproxies().values()):
            self.secrets.add_address(address)
        headers = self._headers(found)
        if self.token_command:
            if self._credential is None:
                self._credential = await execplugin.token_of(self.token_command, self.token_ttl, self.secrets)
            headers["Authorization"] = f"Bearer {self._credential.token}"
        elif user is not None and user.exec and not headers:
            if self._credential is None:
                self._credential = await execplugin.run(user.exec, found.folder, self.secrets)
            if self._credential.token:
                headers["Authorization"] = f"Bearer {self._credential.token}"
        tls = None
        if config.cluster.server.startswith("https:"):
            tls = await asyncio.to_thread(self._tls, found)
        self._watched, self._stamp = tuple(watched), stamp
        name = self.tls.server_name or found.server_name
        return Target(config.cluster.server.rstrip("/"), headers, tls, name, found.proxy)

    def _headers(self, found: configs.Found) -> dict[str, str]:
        user = found.config.user
        if user is None:
            return {}
        if user.token_file:
            path = Path(found.config.abs_file(user.token_file))
            try:
                token = path.read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as e:
                raise KubeFailure(f"token file {path}: {getattr(e, 'strerror', None) or 'not text'}") from None
            if not token:
                raise KubeFailure(f"token file {path} is empty")
            self.secrets.add(token)
            return {"Authorization": f"Bearer {token}"}
        if user.token:
            self.secrets.add(user.token)
            return {"Authorization": f"Bearer {user.token}"}
        if user.username and user.password:
            return {"Authorization": f"Basic {self.secrets.add_basic(user.username, user.password)}"}
        return {}

    def _tls(self, found: configs.Found) -> ssl.SSLContext:
        from lightkube.config.client_adapter import verify_cluster
        from lightkube.config.models import User

        config = found.config
        try:
            context = verify_cluster(config.cluster, config.user or User(), config.abs_file)
            if self._credential is not None:
                execplugin.load_certificate(context, self._credential)
            self.tls.apply(context)
        except (OSError, ValueError) as e:
            # ssl.SSLError is an OSError too; a pair that is just being replaced does not fit for a moment
            raise KubeFailure(f"certificates of {found.origin}: {e}") from e
        return context


def _stamp(files: tuple[Path, ...]) -> tuple[object, ...]:
    """Changes whenever a file is written or replaced (a symlink swapped, too)."""
    stamps: list[object] = []
    for file in files:
        try:
            found = file.stat()
            stamps.append((found.st_mtime_ns, found.st_ino, found.st_size))
        except OSError as e:
            stamps.append(e.errno)
    return tuple(stamps)
