"""The columns of every table: the one place that says what a row holds.

Times are microseconds UTC. `raw_*` point to the record's bytes: segment number, byte offset of the
compressed frame in the segment, byte offset and length of the record in the decompressed frame.
A negative `raw_seg` is the journal's chunk of that (negated) sequence, not yet committed.
"""

from __future__ import annotations

from typing import Literal

ColumnType = Literal["time", "text", "texts", "int32", "int64", "bool", "bytes", "date"]

#: Version of this schema, kept in each table's properties (`kubewitness.schema`). Columns are only ever added.
SCHEMA_VERSION = 1

PARTITIONS = ("day", "cluster")

_HEAD: tuple[tuple[str, ColumnType], ...] = (("day", "date"), ("cluster", "text"), ("ts", "time"))
_TAIL: tuple[tuple[str, ColumnType], ...] = (
    ("arrived_ts", "time"),
    ("source", "text"),
    ("form", "text"),
    ("flags", "text"),
    ("redacted", "bool"),
    ("digest", "text"),
    ("record_key", "bytes"),
    ("object_key", "int64"),
    ("raw_seg", "int64"),
    ("raw_frame", "int64"),
    ("raw_off", "int32"),
    ("raw_len", "int32"),
)
_USER: tuple[tuple[str, ColumnType], ...] = (
    ("user", "text"),
    ("user_kind", "text"),
    ("groups", "texts"),
)
_OBJECT: tuple[tuple[str, ColumnType], ...] = (
    ("api_group", "text"),
    ("api_version", "text"),
    ("resource", "text"),
    ("subresource", "text"),
    ("namespace", "text"),
    ("name", "text"),
    ("uid", "text"),
)
#: the controller in the body's ownerReferences
_OWNER: tuple[tuple[str, ColumnType], ...] = (("owner_kind", "text"), ("owner_name", "text"), ("owner_uid", "text"))

TABLE_COLUMNS: dict[str, tuple[tuple[str, ColumnType], ...]] = {
    "audit": (
        *_HEAD,
        ("received_ts", "time"),
        ("audit_id", "text"),
        ("stage", "text"),
        ("level", "text"),
        ("verb", "text"),
        *_USER,
        ("impersonated_user", "text"),
        ("peer_ip", "text"),
        ("claimed_ips", "texts"),
        ("user_agent", "text"),
        *_OBJECT,
        *_OWNER,
        ("resource_version", "text"),
        ("uri", "text"),
        ("dry_run", "bool"),
        ("code", "int32"),
        ("reason", "text"),
        ("message", "text"),
        ("decision", "text"),
        ("decision_reason", "text"),
        ("annotations", "text"),
        *_TAIL,
    ),
    "events": (
        *_HEAD,
        ("ts_source", "text"),
        ("first_ts", "time"),
        ("last_ts", "time"),
        ("count", "int64"),
        ("count_delta", "int64"),
        ("uid", "text"),
        ("event_namespace", "text"),
        ("event_name", "text"),
        ("resource_version", "text"),
        ("type", "text"),
        ("reason", "text"),
        ("action", "text"),
        ("message", "text"),
        ("api_group", "text"),
        ("resource", "text"),
        ("kind", "text"),
        ("namespace", "text"),
        ("object_name", "text"),
        ("object_uid", "text"),
        ("field_path", "text"),
        ("related_kind", "text"),
        ("related_namespace", "text"),
        ("related_name", "text"),
        ("related_uid", "text"),
        ("component", "text"),
        ("instance", "text"),
        ("change", "text"),
        *_TAIL,
    ),
    "objects": (
        *_HEAD,
        ("change", "text"),
        ("kind", "text"),
        *_OBJECT,
        *_OWNER,
        ("resource_version", "text"),
        ("generation", "int64"),
        ("deletion_ts", "time"),
        *_TAIL,
    ),
    "admission": (
        *_HEAD,
        ("review_uid", "text"),
        ("operation", "text"),
        *_USER,
        ("kind", "text"),
        *_OBJECT,
        *_OWNER,
        ("resource_version", "text"),
        ("dry_run", "bool"),
        *_TAIL,
    ),
    "logs": (
        *_HEAD,
        ("namespace", "text"),
        ("pod", "text"),
        ("container", "text"),
        ("container_id", "text"),
        ("pod_uid", "text"),
        ("node", "text"),
        ("stream", "text"),
        ("severity", "text"),
        ("message", "text"),
        ("fields", "text"),
        ("labels", "text"),
        ("owner_kind", "text"),
        ("owner_name", "text"),
        ("file", "text"),
        ("offset", "int64"),
        *_TAIL,
    ),
    "findings": (
        *_HEAD,
        ("rule", "text"),
        ("severity", "text"),
        ("title", "text"),
        ("actor", "text"),
        ("kind", "text"),
        ("namespace", "text"),
        ("name", "text"),
        ("evidence", "texts"),
        ("summary", "text"),
        *_TAIL,
    ),
    "rejects": (
        *_HEAD,
        ("file", "text"),
        ("offset", "int64"),
        ("reason", "text"),
        *_TAIL,
    ),
}
