"""Keys of outputs `es` and `opensearch`, which speak the same bulk protocol."""

from __future__ import annotations

from kubewitness.config.keys import Key
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.credentials import secret_keys
from kubewitness.outputs.http_keys import http_keys, place
from kubewitness.outputs.upstreams import UPSTREAM_KEY

_NOTHING = "accepted, without effect: "
WRITES = ("create", "index", "update", "upsert")

_COMMON = (
    *place(9200),
    Key("path", doc="what stands before `/_bulk`, behind a proxy"),
    Key("index", default="fluent-bit", doc="where to; may hold accessors such as `$kubernetes['namespace_name']`"),
    Key("logstash_format", "bool", "off", "an index a day: `logstash_prefix`, separator, date of the record"),
    Key("logstash_prefix", default="logstash", doc="what its name begins with"),
    Key("logstash_prefix_separator", default="-", doc="between prefix and date"),
    Key("logstash_prefix_key", doc="accessor of the prefix in the record; where there is none, `logstash_prefix`"),
    Key("logstash_dateformat", default="%Y.%m.%d", doc="the date, as strftime writes it (UTC)"),
    Key("current_time_index", "bool", "off", "the date is today's, not the record's"),
    Key("time_key", default="@timestamp", doc="name under which the record's time is put first; a key of that name is "
        "replaced"),
    Key("time_key_format", default="%Y-%m-%dT%H:%M:%S", doc="the time up to its seconds"),
    Key("time_key_nanos", "bool", "off", "nine digits after them, not three"),
    Key("include_tag_key", "bool", "off", "the tag is put into the record"),
    Key("tag_key", default="flb-key", doc="under this name"),
    Key("generate_id", "bool", "off", "the id of a document follows from its record, so that what comes twice is there "
        "once; needs `write_operation` create or index"),
    Key("id_key", doc="accessor of the id in the record"),
    Key("write_operation", default="create", doc="update and upsert need an id", choices=WRITES),
    Key("replace_dots", "bool", "off", "dots in keys become underscores"),
    Key("trace_error", "bool", "off", "what the far side refuses is logged for each record, not once an incident"),
    Key("trace_output", "bool", "off", "only off", refused="records do not go into logs"),
    Key("buffer_size", "size", "512k", _NOTHING + "answers are read whole"),
    Key("pipeline", doc="ingest pipeline to go through"),
    UPSTREAM_KEY,
    *http_keys(aws_service_name="es"),
)  # fmt: skip

ES_KEYS = (
    *_COMMON,
    Key("type", default="_doc", doc="type of the documents, for Elasticsearch before 8"),
    Key("suppress_type_name", "bool", "off", "leaves the type out; Elasticsearch 8 and later want that"),
    compress_key("gzip"),
    *secret_keys("http_api_key", "sent as `Authorization: ApiKey`"),
    Key("cloud_id", doc="`NAME:...` of Elastic Cloud, in place of host, port and tls"),
    *secret_keys("cloud_auth", "`user:password` for it"),
)  # fmt: skip

OPENSEARCH_KEYS = (
    *_COMMON,
    Key("type", default="_doc", doc="type of the documents, for versions before 2"),
    Key("suppress_type_name", "bool", "off", "leaves the type out; OpenSearch 2 and later want that"),
    compress_key("gzip"),
)
