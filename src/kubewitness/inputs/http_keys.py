"""The keys of input `http`: all of Fluent Bit's (same name, type, default), and ours.

`KEYS` is the documentation, too: one entry for every key that is accepted.
"""

from __future__ import annotations

from kubewitness.config.keys import Key
from kubewitness.inputs.server_keys import NET_KEYS, TLS_KEYS, place

_NOTHING = "accepted, without effect: "
_HTTP2 = _NOTHING + "HTTP/1.1 is spoken; a client that speaks nothing but HTTP/2 (prior knowledge) is not understood"
_CHUNK = _NOTHING + "a body is read as it comes"
_WORKERS = _NOTHING + "one event loop serves all connections"
_INGRESS = _NOTHING + "bodies in flight share `buffer_total_size`, then who comes is told to come again (503)"
_ALIAS = "another name of `{}`"
_OAUTH = "tokens are not validated; use `token_file`, client certificates, or a proxy in front"

KEYS = (
    *place(9880),
    Key("tag_key", doc="key (or record accessor) whose text is the record's tag; letters, digits, `_` and `.` of it"),
    Key("successful_response_code", "int", "201", "200, 201 or 204, said when the records are durable"),
    Key("success_header", doc="a header of this answer and its value (`X-Shop toys`); several by repeating the key",
        multi=True),
    Key("add_remote_addr", "bool", "false", "puts the sender's address into each record: the first one of "
        "X-Forwarded-For, which a client may write as it likes, else the connection's"),
    Key("remote_addr_key", default="REMOTE_ADDR", doc="and under this key, whatever the sender put there"),
    Key("buffer_max_size", "size", "4M", "one body, unpacked; a larger one is refused (413)"),
    Key("http_server.buffer_max_size", "size", "4M", _ALIAS.format("buffer_max_size")),
    Key("buffer_chunk_size", "size", "512K", _CHUNK),
    Key("http_server.buffer_chunk_size", "size", "512K", _CHUNK),
    Key("http_server.max_connections", "int", "0", _ALIAS.format("max_connections")),
    Key("http_server.idle_timeout", "seconds", "10s", "a connection without a request is kept so long"),
    Key("enable_health_endpoint", "bool", "false", "`GET /health` is answered 200"),
    Key("http2", "bool", "true", _HTTP2),
    Key("http_server.http2", "bool", "true", _HTTP2),
    Key("workers", "int", "1", _WORKERS),
    Key("http_server.workers", "int", "1", _WORKERS),
    Key("http_server.ingress_queue_event_limit", "size", "8192", _INGRESS),
    Key("http_server.ingress_queue_byte_limit", "size", "256M", _INGRESS),
    Key("oauth2.validate", "bool", "false", "only false", refused=_OAUTH),
    Key("oauth2.issuer", doc=_NOTHING + "see `oauth2.validate`"),
    Key("oauth2.jwks_url", doc=_NOTHING + "see `oauth2.validate`"),
    Key("oauth2.allowed_audience", doc=_NOTHING + "see `oauth2.validate`"),
    Key("oauth2.allowed_clients", doc=_NOTHING + "see `oauth2.validate`", multi=True),
    Key("oauth2.jwks_refresh_interval", "int", "300", _NOTHING + "see `oauth2.validate`"),
    Key("net.keepalive", "bool", "on", "off: a connection ends with its first answer"),
    *(key for key in NET_KEYS if key.name != "net.keepalive"), *TLS_KEYS,
    # ours
    Key("buffer_total_size", "size", "64M", "all bodies in flight together (not in Fluent Bit)"),
    Key("token_file", doc="bearer token that clients must show, read at each request (not in Fluent Bit)"),
    Key("cluster", "text", "default", "name in the store (not in Fluent Bit)"),
)  # fmt: skip
