"""Where a webhook listens, and its limits: the keys that all webhooks share."""

from __future__ import annotations

from dataclasses import dataclass, field

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.inputs.server_tls import TlsFiles
from kubewitness.inputs.sockets import Address

LISTEN_KEYS = (
    Key("listen", "text", "127.0.0.1", "address of the webhook"),
    Key("port", "int", "0", "and port; 0: any"),
    Key("buffer_max_size", "size", "32M", "one body"),
    Key("buffer_total_size", "size", "64M", "all bodies in flight together"),
    Key("max_connections", "int", "256", "connections at once"),
    Key("header_timeout", "seconds", "10", "for TLS handshake and first header"),
    Key("idle_timeout", "seconds", "10", "between two parts of a body"),
    Key("body_timeout", "seconds", "60", "for a whole body"),
    Key("token_file", doc="bearer token that clients must show"),
    Key("tls", "bool", "off", "needs `tls.crt_file` and `tls.key_file`"),
    Key("tls.crt_file", doc="server certificate"),
    Key("tls.key_file", doc="and its key"),
    Key("tls.ca_file", doc="CA that clients must show a certificate of"),
    Key("tls.client_names", "list", doc="common or DNS names that these may have"),
)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where and how to listen. Files are read again when they change."""

    host: str
    port: int
    path: str = "/audit"
    #: one body, and all bodies in flight together (bytes)
    body_limit: int = 32 * 1024 * 1024
    total_limit: int = 64 * 1024 * 1024
    tls: TlsFiles = field(default_factory=TlsFiles)
    #: client certificates must carry one of these names, if there are any (common or DNS name)
    client_names: frozenset[str] = frozenset()
    #: a bearer token that each request must carry
    token_file: str = ""
    connections: int = 256
    #: a client has so long (seconds) for its TLS handshake and first header, to send something, and for a whole body
    header_seconds: float = 10.0
    idle_seconds: float = 10.0
    body_seconds: float = 60.0
    #: and a body waits so long for memory that others hold before it is refused
    room_seconds: float = 5.0
    #: an idle connection is kept so long between two requests
    keep_seconds: float = 75.0
    backlog: int = 128
    share_port: bool = False

    @property
    def address(self) -> Address:
        return Address(self.host, self.port, backlog=self.backlog, share_port=self.share_port)


def listener_of(plugin: str, opts: Options) -> Listener:
    """The listener of a section. Raises UsageError for what does not fit together."""
    tls = opts.flag("tls") or bool(opts.text("tls.crt_file"))
    if tls and not opts.text("tls.crt_file"):
        raise UsageError(f"{plugin}: tls is on; set tls.crt_file and tls.key_file")
    names = frozenset(opts.items("tls.client_names"))
    for key in ("tls.key_file", "tls.ca_file"):
        if opts.text(key) and not tls:
            raise UsageError(f"{plugin}: {key} is set but TLS is off; set tls.crt_file, too")
    if names and not opts.text("tls.ca_file"):
        raise UsageError(f"{plugin}: tls.client_names is set; tls.ca_file must say who vouches for them")
    if not opts.text("path").startswith("/"):
        raise UsageError(f"{plugin}: path is {opts.text('path')!r}; it begins with /")
    if opts.number("port") > 65535:
        raise UsageError(f"{plugin}: port is {opts.number('port')}; it ends at 65535")
    return Listener(
        host=opts.text("listen"),
        port=opts.number("port"),
        path=opts.text("path"),
        body_limit=opts.number("buffer_max_size"),
        total_limit=opts.number("buffer_total_size"),
        tls=TlsFiles(opts.text("tls.crt_file"), opts.text("tls.key_file"), opts.text("tls.ca_file")),
        client_names=names,
        token_file=opts.text("token_file"),
        connections=opts.number("max_connections"),
        header_seconds=opts.seconds("header_timeout"),
        idle_seconds=opts.seconds("idle_timeout"),
        body_seconds=opts.seconds("body_timeout"),
    )


def url_of(listener: Listener) -> str:
    """For people."""
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{'https' if listener.tls.crt_file else 'http'}://{host}:{listener.port}{listener.path}"
