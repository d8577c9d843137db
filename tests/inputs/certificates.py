"""Certificates for tests of TLS, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Authority:
    """A CA in a folder. `issue` gives the paths of a certificate and its key."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        subject = ("-subj", f"/CN={name}", "-days", "30")
        self._openssl("req", "-x509", *_NEW_KEY, "-keyout", str(self._key), "-out", str(self.certificate), *subject)

    def issue(self, name: str, *, file: str = "", addresses: Sequence[str] = ("127.0.0.1",)) -> tuple[Path, Path]:
        crt, key = self.folder / f"{file or name}.crt", self.folder / f"{file or name}.key"
        extensions = self.folder / f"{file or name}.ext"
        extensions.write_text(f"subjectAltName={''.join(f'IP:{a},' for a in addresses)}DNS:{name}\n")
        request = self.folder / f"{file or name}.csr"
        self._openssl("req", "-new", *_NEW_KEY, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", "30", "-extfile", str(extensions), "-out", str(crt)),
        )
        return crt, key

    def client_context(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Trusts this authority; shows a certificate if there is one."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if pair is not None:
            context.load_cert_chain(*map(str, pair))
        return context

    def _openssl(self, *args: str) -> None:
        subprocess.run(["openssl", *args], check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
