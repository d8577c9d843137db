"""Keys that all of Fluent Bit's inputs that listen have in common: where, TLS, limits."""

from __future__ import annotations

import stat
from pathlib import Path

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.inputs.listener import Listener
from kubewitness.inputs.server_tls import VERSIONS, TlsFiles
from kubewitness.inputs.sockets import Address
from kubewitness.inputs.stream_server import Limits

_NOTHING = "accepted, without effect: "
_CLIENT = _NOTHING + "for the side that connects"

TLS_KEYS = (
    Key("tls", "bool", "off", "speaks TLS, 1.2 or newer; the files are read again when they change"),
    Key("tls.crt_file", doc="server certificate"),
    Key("tls.key_file", doc="and its key"),
    Key("tls.key_passwd", doc="what the key is locked with"),
    Key("tls.verify_client_cert", "bool", "off", "clients must show a certificate of `tls.ca_file` or `tls.ca_path`"),
    Key("tls.ca_file", doc="CA of the clients"),
    Key("tls.ca_path", doc="directory of such CAs"),
    Key("tls.client_names", "list", doc="common or DNS names that clients' certificates may have; empty: any "
        "(not in Fluent Bit)"),
    Key("tls.min_version", doc="lowest version", choices=tuple(VERSIONS)),
    Key("tls.max_version", doc="highest version", choices=tuple(VERSIONS)),
    Key("tls.ciphers", doc="ciphers of TLS 1.2, as OpenSSL names them"),
    Key("tls.verify", "bool", "on", _CLIENT),
    Key("tls.verify_hostname", "bool", "off", _CLIENT),
    Key("tls.vhost", doc=_CLIENT),
    Key("tls.debug", "int", "1", _NOTHING + "errors of TLS are always told"),
    *(Key(f"tls.windows.{name}", doc=_NOTHING + "certificates come from files")
      for name in ("certstore_name", "use_enterprise_store", "client_thumbprints")),
)  # fmt: skip

NET_KEYS = (
    Key("net.share_port", "bool", "off", "several processes may listen on the same port"),
    Key("net.backlog", "int", "128", "connections that wait to be taken up"),
    Key("net.accept_timeout", "seconds", "10s", "for a TLS handshake"),
    Key("net.accept_timeout_log_error", "bool", "on", _NOTHING + "what fails is told once"),
    Key("net.io_timeout", "seconds", "0s", "seconds without a byte until a client that has not said all of its message "
        "is given up; 0: 60"),
    Key("net.keepalive", "bool", "on", _NOTHING + "a connection lasts until its client ends it"),
    Key("max_connections", "int", "0", "connections at once; 0: 256"),
)  # fmt: skip

TOTAL_KEY = Key(
    "buffer_total_size", "size", "64M", "all messages in the making together, and one unpacked (not in Fluent Bit)"
)
SHARE_KEY = NET_KEYS[0]
RECEIVE_KEY = Key(
    "receive_buffer_size", "size", "", "the kernel's buffer for datagrams; empty: the system's. It gives at most what "
    "`net.core.rmem_max` says; `status` has what it gave"
)  # fmt: skip

#: of what `max_connections` and `net.io_timeout` say with 0
_CONNECTIONS, _IO_SECONDS = 256, 60.0


def place(port: int) -> tuple[Key, ...]:
    return (
        Key("listen", default="0.0.0.0", doc="address to listen on"),  # noqa: S104
        Key("port", "int", str(port), "and port; 0: any"),
        Key("host", doc="another name of `listen`"),
    )


def unix_keys(path: str, mode: str) -> tuple[Key, ...]:
    return (
        Key(path, doc="unix socket to listen on, in place of address and port"),
        Key("unix_perm", default=mode, doc="its permissions, in octal; empty: as the umask says"),
    )


def address_of(plugin: str, opts: Options, *, unix_path: str = "", datagrams: bool = False) -> Address:
    """Raises UsageError for a port or permissions that there cannot be, and a socket's folder that is missing."""
    if opts.number("port") > 65535:
        raise UsageError(f"{plugin}: 'port' is {opts.number('port')}; it ends at 65535")
    if unix_path and not Path(unix_path).absolute().parent.is_dir():
        raise UsageError(f"{plugin}: the folder of {unix_path} does not exist; create it")
    return Address(
        host=opts.text("host") or opts.text("listen"),
        port=opts.number("port"),
        unix_path=unix_path,
        unix_mode=_mode(plugin, opts.text("unix_perm")) if unix_path else None,
        backlog=1 if datagrams else max(1, opts.number("net.backlog")),
        share_port=opts.flag("net.share_port"),
    )


def _mode(plugin: str, text: str) -> int | None:
    if not text:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO:
        raise UsageError(f"{plugin}: 'unix_perm' is {text!r}; it takes permissions in octal, such as 0644")
    return mode


def tls_of(plugin: str, opts: Options) -> TlsFiles:
    """Raises UsageError for what does not fit together."""
    if not opts.flag("tls"):
        return TlsFiles()
    if not opts.text("tls.crt_file"):
        raise UsageError(f"{plugin}: 'tls' is on; set tls.crt_file and tls.key_file")
    demanded = opts.flag("tls.verify_client_cert")
    if demanded and not opts.text("tls.ca_file") and not opts.text("tls.ca_path"):
        raise UsageError(f"{plugin}: 'tls.verify_client_cert' is on; tls.ca_file must say who vouches for clients")
    if opts.items("tls.client_names") and not demanded:
        raise UsageError(f"{plugin}: 'tls.client_names' is set; set tls.verify_client_cert and tls.ca_file, too")
    return TlsFiles(
        crt_file=opts.text("tls.crt_file"),
        key_file=opts.text("tls.key_file"),
        ca_file=opts.text("tls.ca_file") if demanded else "",
        ca_path=opts.text("tls.ca_path") if demanded else "",
        key_password=opts.text("tls.key_passwd"),
        lowest=opts.choice("tls.min_version"),
        highest=opts.choice("tls.max_version"),
        ciphers=opts.text("tls.ciphers"),
    )


def listener_of(plugin: str, opts: Options, *, body_limit: int, keep_seconds: float, token_file: str = "") -> Listener:
    """Of an input over HTTP, on every path. `body_limit`: bytes of one body."""
    address, seconds = address_of(plugin, opts), opts.seconds("net.io_timeout") or _IO_SECONDS
    return Listener(
        host=address.host,
        port=address.port,
        path="/",
        body_limit=body_limit,
        tls=tls_of(plugin, opts),
        client_names=frozenset(opts.items("tls.client_names")),
        token_file=token_file,
        connections=opts.number("max_connections") or _CONNECTIONS,
        header_seconds=opts.seconds("net.accept_timeout") or 10.0,
        idle_seconds=seconds,
        body_seconds=max(60.0, seconds),
        keep_seconds=keep_seconds,
        backlog=address.backlog,
        share_port=address.share_port,
    )


def limits_of(opts: Options) -> Limits:
    """Of an input whose clients have connections of their own protocol."""
    return Limits(
        connections=opts.number("max_connections") or _CONNECTIONS,
        total_bytes=opts.number("buffer_total_size"),
        io_seconds=opts.seconds("net.io_timeout") or _IO_SECONDS,
        handshake_seconds=opts.seconds("net.accept_timeout") or 10.0,
        client_names=frozenset(opts.items("tls.client_names")),
    )
