"""The questions over HTTP: one row of `ENDPOINTS` each, the same question objects as the command line.

A row says which parameters a question takes, and makes the question from them. /api/openapi.json is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubewitness.errors import UsageError
from kubewitness.questions.coverage import cluster_of, find_target
from kubewitness.questions.facts import Facts, Session
from kubewitness.questions.targets import Ref
from kubewitness.questions.times import parse_time

#: the parameters of one request, by name; a repeated parameter's values in order
Params = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """GET /api/v1/<name>."""

    name: str
    summary: str
    #: (name, what it means); "object" is required where it is listed
    parameters: tuple[tuple[str, str], ...]
    ask: Callable[[Session, Params], Any]


#: rows that one answer may hold
MOST_ROWS = 50_000

_CLUSTER = ("cluster", "only this cluster, where several are recorded")
_UID = ("uid", "one object of several of that name")
_LIMIT = ("limit", "rows at most")
_OBJECT = (
    ("object", "KIND/NAME as kubectl takes it: pod/web-1, deploy/web, widgets.example.com/w"),
    ("namespace", "namespace (default: default)"),
    ("cluster", "cluster (default: default)"),
)
_TIMES = (("since", "RFC 3339, or an age such as 15m, 2h, 3d"), ("until", "as since"))


def one(params: Params, name: str, default: str = "") -> str:
    """A parameter that may be given once. Raises `UsageError` when it is repeated."""
    values = params.get(name, [])
    if len(values) > 1:
        raise UsageError(f"parameter {name!r} is given {len(values)} times; give it once")
    return values[0] if values else default


def moment(params: Params, name: str) -> int | None:
    """A time parameter, microseconds UTC; None when it is not given."""
    text = one(params, name)
    return parse_time(text, option=name) if text else None


def count(params: Params, name: str, default: int, most: int) -> int:
    """A number from 1 to `most`."""
    text = one(params, name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise UsageError(f"{name}: {text!r} is not a number from 1 to {most}")
    return int(text)


def flag(params: Params, name: str) -> bool:
    """A yes or no; no when it is not given."""
    text = one(params, name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise UsageError(f"{name}: {text!r} is neither true nor false")
    return text in ("true", "1")


def target(session: Session, params: Params) -> Ref:
    """The object that `object`, `namespace` and `cluster` name."""
    if not one(params, "object"):
        raise UsageError("parameter 'object' is missing: KIND/NAME, for instance object=pod/web-1&namespace=shop")
    words = [one(params, "object")]
    return find_target(session, words, one(params, "namespace") or None, one(params, "cluster") or None)


def _who(session: Session, params: Params) -> Any:
    from kubewitness.questions import who

    return who.ask(
        session,
        who.WhoQuestion(
            target(session, params),
            verb=one(params, "verb"),
            uid=one(params, "uid") or None,
            at=moment(params, "at"),
            since=moment(params, "since"),
            until=moment(params, "until"),
        ),
    )


def _timeline(session: Session, params: Params) -> Any:
    from kubewitness.questions import timeline

    question = timeline.TimelineQuestion(
        target(session, params),
        related=flag(params, "related"),
        uid=one(params, "uid") or None,
        since=moment(params, "since"),
        until=moment(params, "until"),
        reads=flag(params, "reads"),
        limit=count(params, "limit", 5000, MOST_ROWS),
    )
    return timeline.ask(session, question).rows


def _show(session: Session, params: Params) -> Any:
    from kubewitness.questions import show

    uid = one(params, "uid") or None
    return show.ask(session, show.ShowQuestion(target(session, params), at=moment(params, "at"), uid=uid))


def _granted(session: Session, params: Params) -> Any:
    from kubewitness.questions import granted

    for name in ("user", "verb", "resource"):
        if not one(params, name):
            raise UsageError(f"parameter {name!r} is missing, for instance user=bob&verb=delete&resource=pods")
    cluster = cluster_of(session, one(params, "cluster") or None)
    space = one(params, "namespace") or None
    right = granted.right_of(Facts(session, cluster), one(params, "verb"), one(params, "resource"), space)
    groups = list(params.get("group", []))
    question = granted.GrantedQuestion(cluster, one(params, "user"), right, moment(params, "at"), groups)
    return granted.ask(session, question)


def _diff(session: Session, params: Params) -> Any:
    from kubewitness.questions import diff

    question = diff.DiffQuestion(
        target(session, params),
        moment(params, "from"),
        moment(params, "to"),
        one(params, "uid") or None,
        flag(params, "all"),
    )
    return diff.ask(session, question)


def _trace(session: Session, params: Params) -> Any:
    from kubewitness.questions import trace

    if not one(params, "id"):
        raise UsageError("parameter 'id' is missing: a request's auditID")
    question = trace.TraceQuestion(
        one(params, "id"),
        one(params, "cluster") or None,
        moment(params, "until"),
        count(params, "limit", trace.MOST_NODES, MOST_ROWS),
        count(params, "depth", trace.DEEPEST, 100),
        flag(params, "events") if one(params, "events") else True,
    )
    return trace.ask(session, question)


def _filter(params: Params) -> Any:
    from kubewitness.questions import filters

    conditions, text = filters.parse_words(params.get("q", []))
    return filters.Filter(
        conditions, text, moment(params, "since"), moment(params, "until"), one(params, "cluster") or None
    )


def _search(session: Session, params: Params) -> Any:
    from kubewitness.questions import search

    return search.ask(
        session, search.SearchQuestion(_filter(params), limit=count(params, "limit", 100, MOST_ROWS))
    ).rows


def _findings(session: Session, params: Params) -> Any:
    return _search(session, {**params, "q": [*params.get("q", []), "source=finding"]})


def _top(session: Session, params: Params) -> Any:
    from kubewitness.questions import top

    field = one(params, "field")
    if not field:
        raise UsageError("parameter 'field' is missing, for instance field=user")
    return top.ask(session, top.TopQuestion(field, _filter(params), limit=count(params, "limit", 20, 1000)))


_FILTER = (("q", "field=value, or text; may be repeated, all must hold"), _CLUSTER, *_TIMES)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "who",
        "Who or what did it: the cause chain of an effect",
        (
            *_OBJECT,
            ("verb", "deleted, evicted, killed, created, changed, scaled, read, exec, ..."),
            _UID,
            ("at", "the effect nearest to that time"),
            *_TIMES,
        ),
        _who,
    ),
    Endpoint(
        "timeline",
        "Everything known about one object, in order",
        (
            *_OBJECT,
            _UID,
            ("related", "true: its owners, what it owns, and its node too"),
            ("reads", "true: requests that only read it too"),
            _LIMIT,
            *_TIMES,
        ),
        _timeline,
    ),
    Endpoint("show", "An object as it was", (*_OBJECT, _UID, ("at", "when (default: the latest known)")), _show),
    Endpoint(
        "granted",
        "Which binding gave a user a right, and who made it",
        (
            ("user", "the user, or system:serviceaccount:NAMESPACE:NAME"),
            ("verb", "get, list, create, delete, ..."),
            ("resource", "pods, pods/log, deploy/web, /healthz"),
            ("namespace", "namespace (default: default)"),
            _CLUSTER,
            ("group", "a group that the user is in; may be repeated"),
            ("at", "when (default: now)"),
        ),
        _granted,
    ),
    Endpoint(
        "diff",
        "What changed in an object between two times, and who changed each field",
        (
            *_OBJECT,
            _UID,
            ("from", "RFC 3339, or an age (default: its first known version)"),
            ("to", "as from (default: its last known version)"),
            ("all", "true: with status and what the API server moves by itself"),
        ),
        _diff,
    ),
    Endpoint(
        "trace",
        "What followed: everything that one request set off, as a tree",
        (
            ("id", "the request's auditID, or its id as answers give it"),
            _CLUSTER,
            ("until", "look no further than then (default: an hour after the request)"),
            ("limit", "nodes at most"),
            ("depth", "steps at most"),
            ("events", "false: without Events about the objects"),
        ),
        _trace,
    ),
    Endpoint("search", "Records by any field and text, newest first", (*_FILTER, _LIMIT), _search),
    Endpoint("findings", "What the rules found, newest first", (*_FILTER, _LIMIT), _findings),
    Endpoint("top", "The most frequent values of a field", (("field", "which field"), *_FILTER, _LIMIT), _top),
)
