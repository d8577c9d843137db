"""Queries for what admission webhooks saw, narrowed by object or time as all queries of facts are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubewitness.questions.factrows import ADMISSION, OPERATIONS, Request, Session, pointer_of
from kubewitness.questions.reviews import SELECT, Review, join, review_of
from kubewitness.questions.times import Window

_MOST = 20_000
_POINTER = "raw_seg, raw_frame, raw_off, raw_len"


def recorded(session: Session, cluster: str) -> bool:
    """Whether admission reviews of this cluster are recorded at all."""
    return bool(session.query("SELECT 1 FROM admission WHERE cluster = ? LIMIT 1", [cluster]))


def fetch(session: Session, where: Sequence[str], params: Sequence[Any], window: Window) -> list[Review]:
    """The reviews that fulfil the conditions, oldest first."""
    return [review_of(row) for row in _rows(session, SELECT, where, params, window)]


def _rows(
    session: Session, select: str, where: Sequence[str], params: Sequence[Any], window: Window
) -> list[tuple[Any, ...]]:
    where, params = [*where], [*params]
    window.conditions(where, params)
    sql = f"SELECT {select} FROM admission WHERE {' AND '.join(where)} ORDER BY ts LIMIT {_MOST}"  # noqa: S608
    return session.query(sql, params)


def fetch_keys(session: Session, cluster: str, keys: Sequence[int], window: Window) -> list[Review]:
    """The reviews of some objects, by their keys."""
    if not keys:
        return []
    return fetch(session, ["cluster = ?", f"object_key IN ({', '.join('?' * len(keys))})"], [cluster, *keys], window)


def writes(
    session: Session, where: Sequence[str], params: Sequence[Any], window: Window, audited: Sequence[Request] = ()
) -> list[Request]:
    """The writes among them as requests, where no audit record tells of them: those that fit none of `audited`.

    The code is 200 by assumption: a later webhook, or the storage, may have refused it.
    """
    rows = _rows(session, f"{SELECT}, {_POINTER}", where, params, window)
    pointers = {v: row[-4:] for row in rows if (v := review_of(row)).operation in OPERATIONS}
    return [_request(v, pointers[v]) for v, fitting in join(audited, pointers).alone if not fitting]


def _request(v: Review, pointer: Sequence[Any]) -> Request:
    return Request(
        ts=v.ts,
        received=v.ts,
        cluster=v.cluster,
        audit_id=v.review_uid,
        stage="ResponseComplete",
        level=ADMISSION,
        verb=OPERATIONS[v.operation],
        user=v.user,
        user_kind=v.user_kind,
        groups=list(v.groups),
        acting_as="",
        peer_ip="",
        claimed_ips=[],
        user_agent="",
        group=v.group,
        resource=v.resource,
        subresource=v.subresource,
        namespace=v.namespace,
        name=v.name,
        uid=v.uid,
        owner_kind=v.owner_kind,
        owner_name=v.owner_name,
        owner_uid=v.owner_uid,
        resource_version="",
        uri="",
        dry_run=v.dry_run,
        code=200,
        reason="",
        message="",
        annotations="",
        form="",
        flags="",
        pointer=pointer_of(pointer),
    )
