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
from kubewitness.questions.model import TimelineRow


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


def object_text(kind: str | None, namespace: str | None, name: str | None) -> str:
    return "/".join(part for part in (kind, namespace, name) if part)


def _audit(v: Mapping[str, Any]) -> TimelineRow:
    resource, sub = v["resource"] or "", v["subresource"] or ""
    kind = kind_of_resource(resource, v["api_group"] or "") if resource else ""
    action = f"{v['verb']} {resource}/{sub}" if sub else v["verb"] or ""
    namespace = "" if resource == "namespaces" else v["namespace"]
    target = object_text(kind, namespace, v["name"]) or v["uri"] or ""
    actor = v["user"] or None
    acting = v["impersonated_user"]
    code = v["code"]
    outcome = f"{code or ''} {v['reason'] or ''}".strip() or v["stage"] or ""
    said = f"{actor or 'anonymous'}{f' (acting as {acting})' if acting else ''} {action} {target}"
    if code and code >= 400:
        said += f": refused, {outcome}" + (f" ({v['message']})" if v["message"] else "")
    if v["dry_run"]:
        said += " (dry run)"
    if "audit-id-reused" in (v["flags"] or ""):
        said += " (auditID reused)"
    ident = f"audit:{v['cluster']}/{v['audit_id']}/{v['stage']}"
    return TimelineRow(format_us(v["ts"]), "audit", actor, action, target, outcome, 1, said, ident)


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
    target = object_text(v["kind"], v["namespace"], v["name"])
    action = (v["operation"] or "").lower()
    said = f"{v['user'] or 'anonymous'} {action} {target} (seen at admission)"
    ident = f"admission:{v['cluster']}/{v['review_uid']}"
    return TimelineRow(format_us(v["ts"]), "admission", v["user"] or None, action, target, "", 1, said, ident)


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
            (
                "ts",
                "cluster",
                "audit_id",
                "stage",
                "verb",
                "user",
                "impersonated_user",
                "api_group",
                "resource",
                "subresource",
                "namespace",
                "name",
                "uri",
                "dry_run",
                "code",
                "reason",
                "message",
                "flags",
            ),
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
            ("ts", "cluster", "review_uid", "operation", "user", "kind", "namespace", "name"),
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
