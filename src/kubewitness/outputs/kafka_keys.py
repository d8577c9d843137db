"""Keys of output `kafka`, and what they are to the client library."""

from __future__ import annotations

from typing import Any

from kubewitness.config.keys import Key, Options, nearest
from kubewitness.errors import UsageError
from kubewitness.outputs.client_tls import TLS_KEYS
from kubewitness.outputs.credentials import secret_keys
from kubewitness.outputs.dates import DATE_FORMATS
from kubewitness.outputs.http_keys import NET_KEYS

_NOTHING = "accepted, without effect: "
_OF_SCHEMA = "accepted, without effect: see `schema_registry_url`"
_SCHEMA = "there is no schema registry; messages are JSON or MessagePack"
_MSK = "use SASL with `rdkafka.sasl.*`"
_IDLE = {
    "tls.vhost": _NOTHING + "each broker's certificate is checked for the name that the broker has",
    "net.source_address": _NOTHING + "the system chooses the address, as in Fluent Bit",
}

KEYS = (
    Key("brokers", "list", "", "host:port of some of the brokers"),
    Key("topics", "list", "", "topics; records go to the first, unless `topic_key` says otherwise"),
    Key("topic_key", doc="key of the topic in the record; taken if it is one of `topics`"),
    Key("dynamic_topic", "bool", "false", "and any other, too"),
    Key("format", default="json", doc="of a message: the record after its time, or an event of the forward protocol",
        choices=("json", "msgpack")),
    Key("message_key", doc="key of messages"),
    Key("message_key_field", doc="key in the record whose value is the message's key"),
    Key("timestamp_key", default="@timestamp", doc="name of the time in a message"),
    Key("timestamp_format", default="double", doc="how it is written", choices=DATE_FORMATS),
    Key("raw_log_key", doc="key in the record whose text alone is the message"),
    Key("client_id", default="kubewitness", doc="how brokers know us"),
    *secret_keys("sasl_password", "password of `rdkafka.sasl.username`"),
    Key("rdkafka.", "prefix", "", "librdkafka's `security.protocol`, `sasl.mechanism`, `sasl.username`, "
        "`sasl.password`, `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location`, `compression.codec`, "
        "`enable.ssl.certificate.verification`, `ssl.key.password`; `acks` is always all; what tunes its queue, its "
        "retries, its log and its sockets is accepted, without effect; others are refused"),
    Key("group_id", doc=_NOTHING + "groups are of consumers"),
    Key("queue_full_retries", "int", "10", _NOTHING + "there is no queue beside the journal"),
    Key("otlp_logs_partition_by_resource", "bool", "false", "only off", refused="messages are one record each"),
    *(Key(f"gelf_{n}_key", doc=_NOTHING + "there is no format gelf")
      for n in ("timestamp", "host", "short_message", "full_message", "level")),
    *(Key(n, doc="only empty", refused=_SCHEMA) for n in ("schema_str", "schema_id", "schema_registry_url",
        "schema.registry.url")),
    Key("schema_registry_", "prefix", doc=_OF_SCHEMA),
    Key("schema.registry.", "prefix", doc=_OF_SCHEMA),
    Key("serializer.framing", doc=_OF_SCHEMA),
    Key("aws_msk_iam", "bool", "false", "only off", refused=_MSK),
    Key("aws_msk_iam_cluster_arn", doc="only empty", refused=_MSK),
    *(key._replace(doc=_IDLE[key.name]) if key.name in _IDLE else key for key in (*TLS_KEYS, *NET_KEYS)),
)  # fmt: skip

_RDKAFKA = (
    "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password", "ssl.ca.location",
    "ssl.certificate.location", "ssl.key.location", "compression.codec", "compression.type", "acks",
    "request.required.acks", "enable.idempotence", "enable.ssl.certificate.verification", "ssl.key.password",
)  # fmt: skip
#: what librdkafka does by itself and we do elsewhere: the journal queues and tries again, `net.*` says how long a
#: connection may take, the log is ours
_TUNING = (
    "log.connection.close", "log_level", "log.queue", "log.thread.name", "debug", "statistics.interval.ms", "client.id",
    "queue.buffering.max.messages", "queue.buffering.max.kbytes", "queue.buffering.max.ms",
    "queue.buffering.backpressure.threshold", "linger.ms", "batch.size", "batch.num.messages", "message.max.bytes",
    "message.copy.max.bytes", "message.send.max.retries", "retries", "retry.backoff.ms", "retry.backoff.max.ms",
    "message.timeout.ms", "delivery.timeout.ms", "request.timeout.ms", "max.in.flight",
    "max.in.flight.requests.per.connection", "socket.keepalive.enable", "socket.timeout.ms", "socket.nagle.disable",
    "socket.send.buffer.bytes", "socket.receive.buffer.bytes", "socket.max.fails", "socket.connection.setup.timeout.ms",
    "connections.max.idle.ms", "broker.address.family", "broker.address.ttl", "reconnect.backoff.ms",
    "reconnect.backoff.max.ms", "metadata.max.age.ms", "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse", "api.version.request", "api.version.request.timeout.ms", "broker.version.fallback",
    "compression.level", "request.timeout", "enable.gapless.guarantee",
)  # fmt: skip


_TLS = {
    "ssl.ca.location": "tls.ca_file",
    "ssl.certificate.location": "tls.crt_file",
    "ssl.key.location": "tls.key_file",
    "ssl.key.password": "tls.key_passwd",
    "enable.ssl.certificate.verification": "tls.verify",
}


def client_options(what: str, opts: Options) -> tuple[dict[str, Any], dict[str, str]]:
    """(options of aiokafka's producer but for the password, what else of `tls.*` is given; empty: no TLS)."""
    given = opts.prefixed("rdkafka.")
    for name in given:
        if name not in _RDKAFKA and name not in _TUNING:
            raise UsageError(f"{what}: {'rdkafka.' + name!r} is not known{nearest(name, _RDKAFKA)}")
    protocol = given.get("security.protocol", "plaintext").upper()
    secure = "SSL" in protocol or opts.flag("tls")
    sasl = protocol.startswith("SASL") or "sasl.username" in given
    options: dict[str, Any] = {
        "client_id": opts.text("client_id"),
        "acks": "all",
        "enable_idempotence": True,
        "security_protocol": f"{'SASL_' if sasl else ''}{'SSL' if secure else 'PLAINTEXT'}",
    }
    compression = given.get("compression.codec", given.get("compression.type", "none")).lower()
    if compression == "gzip":
        options["compression_type"] = "gzip"
    elif compression != "none":
        raise UsageError(f"{what}: 'rdkafka.compression.codec' cannot be {compression!r}; there is gzip, none")
    if sasl:
        options |= {
            "sasl_mechanism": given.get("sasl.mechanism", given.get("sasl.mechanisms", "PLAIN")).upper(),
            "sasl_plain_username": given.get("sasl.username", ""),
        }
    return options, {
        "tls": "on",
        **{ours: given[name] for name, ours in _TLS.items() if name in given},
    } if secure else {}
