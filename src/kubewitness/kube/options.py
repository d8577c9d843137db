"""Keys by which inputs and filters say which cluster they mean, and how it is reached."""

from __future__ import annotations

from pathlib import Path

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.kube import kubeconfig as configs
from kubewitness.kube.access import TLS_VERSIONS, KubeAccess, TlsChoices
from kubewitness.kube.client import Network

_NOTHING = "accepted, without effect: "
_FAMILY = _NOTHING + "IPv4 and IPv6 addresses are tried side by side (RFC 8305)"
_RESOLVER = _NOTHING + "the system resolves names"
_KERNEL = _NOTHING + "a watch that says nothing is found out by `watch_idle`"
_WINDOWS = _NOTHING + "of Windows only"
_PROXY_TLS = _NOTHING + "proxies with TLS of their own are not supported"

TLS_KEYS = (
    Key("tls", "bool", "off", _NOTHING + "the scheme of the address decides"),
    Key("tls.verify", "bool", "on", "off: any certificate will do"),
    Key("tls.verify_hostname", "bool", "on", "off: the certificate may be for another name"),
    Key("tls.debug", "int", "0", _NOTHING + "failures of TLS are told in the log line of the failure"),
    Key("tls.ca_file", doc="as `kube_ca_file`"),
    Key("tls.ca_path", doc="as `kube_ca_path`"),
    Key("tls.crt_file", doc="client certificate, read again when it changes"),
    Key("tls.key_file", doc="and its key"),
    Key("tls.key_passwd", doc="the key's password"),
    Key("tls.vhost", doc="name in the handshake and in the check of the certificate, instead of the address's"),
    Key("tls.min_version", doc=f"one of {', '.join(TLS_VERSIONS)}; at least TLSv1.2 if empty"),
    Key("tls.max_version", doc="the same, at most"),
    Key("tls.ciphers", doc="OpenSSL's cipher list (TLS 1.2)"),
    Key("tls.proxy.ca_file", doc=_PROXY_TLS),
    Key("tls.proxy.ca_path", doc=_PROXY_TLS),
    Key("tls.proxy.verify", "bool", "on", _PROXY_TLS),
    Key("tls.proxy.verify_hostname", "bool", "on", _PROXY_TLS),
    Key("tls.windows.certstore_name", doc=_WINDOWS),
    Key("tls.windows.use_enterprise_store", "bool", "false", _WINDOWS),
    Key("tls.windows.client_thumbprints", doc=_WINDOWS),
)  # fmt: skip

NET_KEYS = (
    Key("net.connect_timeout", "seconds", "10s", "a connection is given up after so long"),
    Key("net.connect_timeout_log_error", "bool", "true", _NOTHING + "an incident is one line in the log"),
    Key("net.io_timeout", "seconds", "0s", _NOTHING + "`watch_idle` is for watches, 60 s for other answers"),
    Key("net.source_address", doc="our address for outgoing connections"),
    Key("net.keepalive", "bool", "true", "off: each request has a connection of its own"),
    Key("net.keepalive_idle_timeout", "seconds", "30s", "an unused connection is closed after so long"),
    Key("net.keepalive_max_recycle", "int", "2000", _NOTHING + "connections are used for as long as they last"),
    Key("net.proxy_env_ignore", "bool", "false", "on: HTTPS_PROXY, HTTP_PROXY and NO_PROXY are not looked at"),
    Key("net.max_worker_connections", "int", "0", _NOTHING + "a watch holds one connection"),
    Key("net.tcp_keepalive", "bool", "off", _KERNEL),
    Key("net.tcp_keepalive_time", "text", "-1", _KERNEL),
    Key("net.tcp_keepalive_interval", "text", "-1", _KERNEL),
    Key("net.tcp_keepalive_probes", "text", "-1", _KERNEL),
    Key("net.dns.mode", doc=_RESOLVER),
    Key("net.dns.resolver", doc=_RESOLVER),
    Key("net.dns.prefer_ipv4", "bool", "false", _FAMILY),
    Key("net.dns.prefer_ipv6", "bool", "false", _FAMILY),
    Key("dns.mode", doc=_RESOLVER),
    Key("dns.resolver", doc=_RESOLVER),
    Key("dns.prefer_ipv4", "bool", "false", _FAMILY),
    Key("dns.prefer_ipv6", "bool", "false", _FAMILY),
)  # fmt: skip


def access_of(opts: Options, what: str = "kubernetes_events") -> KubeAccess:
    """Which cluster, and as whom; `what` the keys are for. Raises UsageError for what contradicts itself."""
    url = opts.text("kube_url")
    for name in ("tls.min_version", "tls.max_version"):
        if opts.text(name) and opts.text(name).lower() not in TLS_VERSIONS:
            raise UsageError(f"{what}: {name} is {opts.text(name)!r}; it takes {', '.join(TLS_VERSIONS)}")
    if opts.text("tls.key_file") and not opts.text("tls.crt_file"):
        raise UsageError(f"{what}: 'tls.key_file' is given without 'tls.crt_file'")
    ca_file = opts.text("kube_ca_file") or opts.text("tls.ca_file")
    token_file = opts.text("kube_token_file")
    if url and not opts.text("kubeconfig"):
        ca_path = opts.text("kube_ca_path") or opts.text("tls.ca_path")
        if not ca_file and not ca_path and not opts.given("kube_ca_file"):
            ca_file = _mounted("ca.crt")
        # never in the clear, unless someone names it: an address without TLS is a local proxy, which needs none
        if url.startswith("https://") and not opts.given("kube_token_file") and not opts.text("kube_token_command"):
            token_file = _mounted("token")
    return KubeAccess(
        kubeconfig=opts.text("kubeconfig") or None,
        context=opts.text("context") or None,
        url=url or None,
        token_file=token_file or None,
        ca_file=ca_file or None,
        insecure=not opts.flag("tls.verify"),
        token_command=opts.text("kube_token_command") or None,
        token_ttl=opts.seconds("kube_token_ttl"),
        tls=TlsChoices(
            ca_path=opts.text("kube_ca_path") or opts.text("tls.ca_path"),
            cert_file=opts.text("tls.crt_file"),
            key_file=opts.text("tls.key_file"),
            key_password=opts.text("tls.key_passwd"),
            server_name=opts.text("tls.vhost"),
            verify_hostname=opts.flag("tls.verify_hostname"),
            min_version=opts.text("tls.min_version"),
            max_version=opts.text("tls.max_version"),
            ciphers=opts.text("tls.ciphers"),
        ),
    )


def network_of(opts: Options) -> Network:
    """How connections are made."""
    return Network(
        connect_timeout=opts.seconds("net.connect_timeout") or 10.0,
        source_address=opts.text("net.source_address"),
        environment=not opts.flag("net.proxy_env_ignore"),
        keepalive=opts.flag("net.keepalive"),
        keepalive_idle=opts.seconds("net.keepalive_idle_timeout"),
    )


def _mounted(name: str) -> str:
    """A file of the pod's service account; "" outside of a pod."""
    path = Path(configs.SERVICE_ACCOUNT, name)
    return str(path) if path.is_file() else ""
