"""How the rows of every table read as one line each, and which of their columns can be asked for by name.

The names in `fields` are what `search`, `top` and `tail` take (docs/search.md lists them); a name means the same in
every table that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.times import format_us
from kubewitness.questions import auditrows
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.reviews import COLUMNS as REVIEW_COLUMNS
from kubewitness.questions.reviews import Review, review_of
from kubewitness.questions.targets import object_text


class View(msgspec.Struct, frozen=True):
    """One table as questions see it."""

    table: str
    #: SELECT list; `row` is given its values by name
    columns: tuple[str, ...]
    row: Callable[[Mapping[str, Any]], TimelineRow]
    #: what users ask for -> column
    fields: Mapping[str, str]
    #: columns that free text is looked for in
    text: tuple[str, ...]

    @property
    def select(self) -> str:
        return ", ".join(f"epoch_us({c})" if c in _TIMES else f'"{c}"' for c in self.columns)

    def rows(self, values: Sequence[Sequence[Any]]) -> list[TimelineRow]:
        return [self.row(dict(zip(self.columns, v, strict=True))) for v in values]


_TIMES = frozenset({"ts", "arrived_ts", "received_ts", "first_ts", "last_ts", "deletion_ts"})


def _audit(v: Mapping[str, Any]) -> TimelineRow:
    return auditrows.line(auditrows.row_of(list(v.values())))


def _event(v: Mapping[str, Any]) -> TimelineRow:
    target = object_text(v["kind"], v["namespace"], v["object_name"])
    ident = f"event:{v['cluster']}/{v['uid']}@{v['resource_version']}"
    summary = f"{v['reason'] or ''}: {v['message'] or ''}"
    return TimelineRow(
        format_us(v["ts"]),
        "event",
        v["component"] or None,
        v["reason"] or "",
        target,
        v["type"] or "",
        int(v["count"] or 1),
        summary,
        ident,
    )


def _object(v: Mapping[str, Any]) -> TimelineRow:
    kind = v["kind"] or kind_of_resource(v["resource"] or "", v["api_group"] or "")
    target = object_text(kind, v["namespace"], v["name"])
    ident = f"object:{v['cluster']}/{v['uid']}@{v['resource_version']}"
    going = ", terminating" if v["deletion_ts"] else ""
    summary = f"a watch saw version {v['resource_version']}{going}"
    return TimelineRow(format_us(v["ts"]), "object", None, v["change"] or "", target, "", 1, summary, ident)


def _admission(v: Mapping[str, Any]) -> TimelineRow:
    return review_line(review_of(list(v.values())))


def review_line(r: Review, fitting: int = 0) -> TimelineRow:
    """A review as one line. `fitting`: how many requests of the audit trail it may be of, where that is not clear."""
    said = f"{r.user or 'anonymous'} {r.action} {r.object} (seen at admission)"
    said += " (dry run)" if r.dry_run else ""
    said += f" ({fitting} audit records fit as well)" if fitting else ""
    return TimelineRow(format_us(r.ts), "admission", r.user or None, r.action, r.object, "", 1, said, r.id)


def _log(v: Mapping[str, Any]) -> TimelineRow:
    target = object_text("Pod" if v["pod"] else "", v["namespace"], v["pod"]) or v["file"] or ""
    ident = f"log:{v['cluster']}/{bytes(v['record_key'] or b'').hex()}:{v['offset']}"
    return TimelineRow(
        format_us(v["ts"]),
        "log",
        v["container"] or None,
        v["stream"] or "log",
        target,
        v["severity"] or "",
        1,
        v["message"] or "",
        ident,
    )


def _finding(v: Mapping[str, Any]) -> TimelineRow:
    target = object_text(v["kind"], v["namespace"], v["name"])
    ident = f"finding:{v['cluster']}/{bytes(v['record_key'] or b'').hex()}"
    return TimelineRow(
        format_us(v["ts"]),
        "finding",
        v["actor"] or None,
        v["rule"] or "",
        target,
        v["severity"] or "",
        1,
        v["summary"] or v["title"] or "",
        ident,
    )


def _reject(v: Mapping[str, Any]) -> TimelineRow:
    ident = f"reject:{v['cluster']}/{bytes(v['record_key'] or b'').hex()}"
    return TimelineRow(
        format_us(v["ts"]),
        "reject",
        None,
        "reject",
        f"{v['file'] or ''}:{v['offset']}",
        "",
        1,
        v["reason"] or "",
        ident,
    )


_COMMON = {"cluster": "cluster", "source_name": "source", "flags": "flags", "time": "ts"}
_WHO = {"user": "user", "actor": "user", "user_kind": "user_kind", "group": "groups"}
_WHAT = {
    "resource": "resource",
    "subresource": "subresource",
    "api_group": "api_group",
    "namespace": "namespace",
    "ns": "namespace",
    "name": "name",
    "uid": "uid",
    "owner_kind": "owner_kind",
    "owner": "owner_name",
    "owner_uid": "owner_uid",
}

VIEWS: dict[str, View] = {
    view.table: view
    for view in (
        View(
            "audit",
            auditrows.COLUMNS,
            _audit,
            {
                **_COMMON,
                **_WHO,
                **_WHAT,
                "verb": "verb",
                "action": "verb",
                "code": "code",
                "reason": "reason",
                "message": "message",
                "level": "level",
                "stage": "stage",
                "audit_id": "audit_id",
                "ip": "peer_ip",
                "peer_ip": "peer_ip",
                "claimed_ip": "claimed_ips",
                "agent": "user_agent",
                "user_agent": "user_agent",
                "as": "impersonated_user",
                "impersonated_user": "impersonated_user",
                "uri": "uri",
                "dry_run": "dry_run",
                "decision": "decision",
                "decision_reason": "decision_reason",
                "annotations": "annotations",
                "resource_version": "resource_version",
            },
            (
                "user",
                "impersonated_user",
                "verb",
                "resource",
                "namespace",
                "name",
                "uri",
                "message",
                "reason",
                "user_agent",
                "annotations",
            ),
        ),
        View(
            "events",
            (
                "ts",
                "cluster",
                "uid",
                "resource_version",
                "type",
                "reason",
                "message",
                "kind",
                "namespace",
                "object_name",
                "component",
                "count",
            ),
            _event,
            {
                **_COMMON,
                "reason": "reason",
                "action": "reason",
                "message": "message",
                "type": "type",
                "kind": "kind",
                "resource": "resource",
                "api_group": "api_group",
                "namespace": "namespace",
                "ns": "namespace",
                "name": "object_name",
                "uid": "object_uid",
                "event_uid": "uid",
                "component": "component",
                "actor": "component",
                "node": "instance",
                "instance": "instance",
                "count": "count",
                "change": "change",
                "resource_version": "resource_version",
            },
            ("reason", "message", "object_name", "namespace", "component"),
        ),
        View(
            "objects",
            (
                "ts",
                "cluster",
                "change",
                "kind",
                "api_group",
                "resource",
                "namespace",
                "name",
                "uid",
                "resource_version",
                "deletion_ts",
            ),
            _object,
            {
                **_COMMON,
                **_WHAT,
                "kind": "kind",
                "change": "change",
                "action": "change",
                "resource_version": "resource_version",
                "generation": "generation",
            },
            ("kind", "namespace", "name", "uid"),
        ),
        View(
            "admission",
            REVIEW_COLUMNS,
            _admission,
            {
                **_COMMON,
                **_WHO,
                **_WHAT,
                "kind": "kind",
                "operation": "operation",
                "action": "operation",
                "review_uid": "review_uid",
                "dry_run": "dry_run",
            },
            ("user", "operation", "kind", "namespace", "name"),
        ),
        View(
            "logs",
            (
                "ts",
                "cluster",
                "namespace",
                "pod",
                "container",
                "stream",
                "severity",
                "message",
                "file",
                "offset",
                "record_key",
            ),
            _log,
            {
                **_COMMON,
                "namespace": "namespace",
                "ns": "namespace",
                "pod": "pod",
                "name": "pod",
                "node": "node",
                "container": "container",
                "stream": "stream",
                "severity": "severity",
                "message": "message",
                "file": "file",
                "uid": "pod_uid",
                "owner": "owner_name",
                "owner_kind": "owner_kind",
            },
            ("message", "pod", "namespace"),
        ),
        View(
            "findings",
            (
                "ts",
                "cluster",
                "rule",
                "severity",
                "title",
                "actor",
                "kind",
                "namespace",
                "name",
                "summary",
                "record_key",
            ),
            _finding,
            {
                **_COMMON,
                "rule": "rule",
                "action": "rule",
                "severity": "severity",
                "actor": "actor",
                "user": "actor",
                "kind": "kind",
                "namespace": "namespace",
                "ns": "namespace",
                "name": "name",
            },
            ("rule", "title", "summary", "actor", "name"),
        ),
        View(
            "rejects",
            ("ts", "cluster", "file", "offset", "reason", "record_key"),
            _reject,
            {**_COMMON, "file": "file", "reason": "reason", "offset": "offset"},
            ("file", "reason"),
        ),
    )
}
