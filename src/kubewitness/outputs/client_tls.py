"""TLS towards a far side: verified unless switched off by name; files are read again when they change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError

_log = logging.getLogger(__name__)

_STORE = "certificates come from files"

TLS_KEYS = (
    Key("tls", "bool", "off", "speaks TLS"),
    Key("tls.verify", "bool", "on", "checks the far side's certificate"),
    Key("tls.verify_hostname", "bool", "on", "and that it is for this host (Fluent Bit: off)"),
    Key("tls.ca_file", doc="certificates to trust; empty: the system's"),
    Key("tls.ca_path", doc="directory of certificates to trust"),
    Key("tls.crt_file", doc="certificate to show"),
    Key("tls.key_file", doc="its key"),
    Key("tls.key_passwd", doc="what the key is locked with"),
    Key("tls.vhost", doc="name that the certificate must be for, and that is asked for (SNI); empty: `host`"),
    Key("tls.min_version", doc="lowest version", choices=("tlsv1.2", "tlsv1.3")),
    Key("tls.max_version", doc="highest version", choices=("tlsv1.2", "tlsv1.3")),
    Key("tls.ciphers", doc="ciphers of TLS 1.2, as OpenSSL names them"),
    Key("tls.debug", "int", "1", "accepted, without effect: errors of TLS are always told"),
    Key("tls.windows.certstore_name", doc="only empty", refused=_STORE),
    Key("tls.windows.use_enterprise_store", doc="only empty", refused=_STORE),
    Key("tls.windows.client_thumbprints", doc="only empty", refused=_STORE),
)
_VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}


class ClientTls:
    """The context for new connections. Made from an output's keys; UsageError when the files cannot be used."""

    def __init__(self, what: str, opts: Options) -> None:
        self._what = what
        self._opts = opts
        self.on = opts.flag("tls")
        self.server_name = opts.text("tls.vhost") or None
        self._stamp: tuple[object, ...] = ()
        self._tried: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None
        if self.on:
            self.context()

    def context(self) -> ssl.SSLContext | None:
        """None without TLS. A change of the files that does not fit together yet is waited out."""
        if not self.on:
            return None
        stamp = self._look()
        if self._context is None or stamp not in (self._stamp, self._tried):
            try:
                self._context, self._stamp = self._load(), stamp
            except UsageError as e:
                if self._context is None:
                    raise
                self._tried = stamp
                _log.warning("%s; the ones read before are used until these fit", e)
        return self._context

    def _load(self) -> ssl.SSLContext:
        opts = self._opts
        try:
            folder = opts.text("tls.ca_path") or None
            if folder:
                next(Path(folder).iterdir(), None)  # OpenSSL says nothing of a folder that is not there
            context = ssl.create_default_context(cafile=opts.text("tls.ca_file") or None, capath=folder)
            context.minimum_version = _VERSIONS[opts.choice("tls.min_version") or "tlsv1.2"]
            if opts.choice("tls.max_version"):
                context.maximum_version = _VERSIONS[opts.choice("tls.max_version")]
            if opts.text("tls.ciphers"):
                context.set_ciphers(opts.text("tls.ciphers"))
            if opts.text("tls.crt_file"):
                key, password = opts.text("tls.key_file") or None, opts.text("tls.key_passwd")
                context.load_cert_chain(opts.text("tls.crt_file"), key, password)
        except (OSError, ValueError) as e:
            raise UsageError(f"{self._what}: tls.ca_file, tls.ca_path, tls.crt_file, tls.key_file: {e}") from e
        verify = opts.flag("tls.verify")
        context.check_hostname = verify and opts.flag("tls.verify_hostname")
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
        return context

    def _look(self) -> tuple[object, ...]:
        stamps: list[object] = []
        for key in ("tls.ca_file", "tls.crt_file", "tls.key_file"):
            if name := self._opts.text(key):
                try:
                    stat = Path(name).stat()
                    stamps.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
                except OSError as e:
                    stamps.append(e.errno)
        return tuple(stamps)
