"""Keys that all outputs over HTTP have: where to, how, and as whom."""

from __future__ import annotations

from kubewitness.config.keys import Key
from kubewitness.outputs.aws_auth import aws_keys
from kubewitness.outputs.client_tls import TLS_KEYS
from kubewitness.outputs.credentials import secret_keys
from kubewitness.outputs.oauth2 import OAUTH2_KEYS

_NOTHING = "accepted, without effect: "
_DNS = _NOTHING + "the system resolves names"
_KERNEL = _NOTHING + "the system's values"

#: of every output that connects to somewhere
NET_KEYS = (
    Key("net.connect_timeout", "seconds", "10s", "seconds to connect in, TLS included"),
    Key("net.io_timeout", "seconds", "0s", "seconds without a byte until the connection is given up; 0: see "
        "`http.response_timeout`"),
    Key("net.keepalive", "bool", "on", "connections are used again"),
    Key("net.keepalive_idle_timeout", "seconds", "30s", "an idle one for so long"),
    Key("net.source_address", doc="local address to connect from"),
    Key("net.proxy_env_ignore", "bool", "off", _NOTHING + "proxies are for HTTP alone"),
    Key("net.connect_timeout_log_error", "bool", "on", _NOTHING + "what fails is told once"),
    Key("net.keepalive_max_recycle", "int", "2000", _NOTHING + "connections are used until they end"),
    Key("net.max_worker_connections", "int", "0", _NOTHING + "one request at a time"),
    Key("net.dns.mode", doc=_DNS),
    Key("net.dns.resolver", doc=_DNS),
    Key("net.dns.prefer_ipv4", "bool", "off", _DNS),
    Key("net.dns.prefer_ipv6", "bool", "off", _DNS),
    Key("net.tcp_keepalive", "bool", "off", _KERNEL),
    Key("net.tcp_keepalive_time", doc=_KERNEL),
    Key("net.tcp_keepalive_interval", doc=_KERNEL),
    Key("net.tcp_keepalive_probes", doc=_KERNEL),
)  # fmt: skip

_PROXY = "HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment do not count"

_HTTP = (
    *secret_keys("http_passwd", "password of `http_user`"),
    Key("http_user", doc="user, for HTTP's basic authentication"),
    *secret_keys("bearer_token", "token, sent as `Authorization: Bearer`"),
    Key("header", doc="a header and its value (`X-Shop toys`); several by repeating the key", multi=True),
    Key("proxy", doc="http://host:port to go through; empty: the environment's"),
    Key("http.response_timeout", "seconds", "60s", "seconds until an answer begins, and between its parts"),
    Key("http.read_idle_timeout", "seconds", "0s", _NOTHING + "see `http.response_timeout`"),
    *OAUTH2_KEYS,
)  # fmt: skip

_HTTP_NET = tuple(key._replace(doc=_PROXY) if key.name == "net.proxy_env_ignore" else key for key in NET_KEYS)


def http_keys(*, aws_service: str = "", aws_service_name: str = "") -> tuple[Key, ...]:
    """Of every output over HTTP; `place` adds host and port with their defaults. The names are what AWS calls the far
    side, for the keys of these names."""
    return (*_HTTP, *aws_keys(aws_service, aws_service_name), *TLS_KEYS, *_HTTP_NET)


HTTP_KEYS = http_keys()


def place(port: int, host: str = "127.0.0.1") -> tuple[Key, Key]:
    return Key("host", default=host, doc="where to"), Key("port", "int", str(port), "and which port")
