"""A server's certificate, key and client CA, read again when their files change (as cert-manager and kubelet do it)."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewitness.errors import UsageError

_log = logging.getLogger(__name__)

VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a server's TLS is made of. Without `crt_file` there is none."""

    crt_file: str = ""
    key_file: str = ""
    #: client certificates must be signed by it, if there is one
    ca_file: str = ""
    ca_path: str = ""
    key_password: str = ""
    #: of VERSIONS; "": TLS 1.2, and no highest
    lowest: str = ""
    highest: str = ""
    ciphers: str = ""
    #: what the user calls the files
    said: str = "tls.crt_file, tls.key_file or tls.ca_file"


class ServerTls:
    """TLS 1.2 or newer. Without a certificate file: none."""

    def __init__(self, what: str, files: TlsFiles) -> None:
        self._what = what
        self._files = files
        self._stamp: tuple[object, ...] = ()
        self._tried: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """The context for connections from now on. Raises UsageError when the files cannot be used."""
        if not self._files.crt_file:
            return None
        if self._context is None:
            stamp = self._look()
            self._context = self._load()
            self._stamp = stamp
        return self._context

    def changed(self) -> bool:
        """Whether the files changed and fit together: `context` is then a new one. Half a change is waited out."""
        if self._context is None:
            return False
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            self._context = self._load()
        except UsageError as e:
            if stamp != self._tried:
                _log.warning("%s; the ones read before are used until these fit", e)
            self._tried = stamp
            return False
        self._stamp = stamp
        _log.info("%s: the certificate was read again", self._what)
        return True

    def _load(self) -> ssl.SSLContext:
        files = self._files
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = VERSIONS[files.lowest or "tlsv1.2"]
            if files.highest:
                context.maximum_version = VERSIONS[files.highest]
            if files.ciphers:
                context.set_ciphers(files.ciphers)
            context.load_cert_chain(files.crt_file, files.key_file or None, files.key_password)
            if files.ca_path:
                next(Path(files.ca_path).iterdir(), None)  # OpenSSL says nothing of a folder that is not there
            if files.ca_file or files.ca_path:
                context.load_verify_locations(files.ca_file or None, files.ca_path or None)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as e:
            raise UsageError(f"{self._what}: {files.said}: {e}") from e
        return context

    def _look(self) -> tuple[object, ...]:
        stamps: list[object] = []
        for name in filter(None, (self._files.crt_file, self._files.key_file, self._files.ca_file)):
            try:
                stat = Path(name).stat()
                stamps.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
            except OSError as e:
                stamps.append(e.errno)
        return tuple(stamps)


def names_of(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Common name and DNS names of a client's certificate, which was checked against the CA."""
    names = {value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"}
    names |= {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return frozenset(names)
