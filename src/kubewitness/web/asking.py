"""The questions of the command line, over HTTP: from the parameters to the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions.coverage import cluster_of
from kubewitness.questions.facts import Facts, Session
from kubewitness.questions.model import TimelineRow
from kubewitness.web.params import MOST_ROWS, Params, count, filter_of, flag, moment, needed, one, place, target


class Page(msgspec.Struct):
    """A list of which there may be more: `next` is the cursor of the page after it."""

    rows: list[Any]
    next: str | None = None


def who(session: Session, params: Params) -> Any:
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


def timeline(session: Session, params: Params) -> Page:
    from kubewitness.questions import timeline

    question = timeline.TimelineQuestion(
        target(session, params),
        related=flag(params, "related"),
        uid=one(params, "uid") or None,
        since=moment(params, "since"),
        until=moment(params, "until"),
        reads=flag(params, "reads"),
        limit=count(params, "limit", 5000, MOST_ROWS),
        place=place(params),
    )
    answer = timeline.ask(session, question)
    return Page(answer.rows, answer.next.text if answer.next else None)


def show(session: Session, params: Params) -> Any:
    from kubewitness.questions import show

    uid = one(params, "uid") or None
    return show.ask(session, show.ShowQuestion(target(session, params), at=moment(params, "at"), uid=uid))


def granted(session: Session, params: Params) -> Any:
    from kubewitness.questions import granted

    for name in ("user", "verb", "resource"):
        needed(params, name, "for instance user=bob&verb=delete&resource=pods")
    cluster = cluster_of(session, one(params, "cluster") or None)
    space = one(params, "namespace") or None
    right = granted.right_of(Facts(session, cluster), one(params, "verb"), one(params, "resource"), space)
    groups = list(params.get("group", []))
    question = granted.GrantedQuestion(cluster, one(params, "user"), right, moment(params, "at"), groups)
    return granted.ask(session, question)


def diff(session: Session, params: Params) -> Any:
    from kubewitness.questions import diff

    question = diff.DiffQuestion(
        target(session, params),
        moment(params, "from"),
        moment(params, "to"),
        one(params, "uid") or None,
        flag(params, "all"),
    )
    return diff.ask(session, question)


def trace(session: Session, params: Params) -> Any:
    from kubewitness.questions import trace

    question = trace.TraceQuestion(
        needed(params, "id", "a request's auditID"),
        one(params, "cluster") or None,
        moment(params, "until"),
        count(params, "limit", trace.MOST_NODES, MOST_ROWS),
        count(params, "depth", trace.DEEPEST, 100),
        flag(params, "events", default=True),
    )
    return trace.ask(session, question)


def search(session: Session, params: Params) -> Page:
    from kubewitness.questions import search

    limit = count(params, "limit", 100, MOST_ROWS)
    answer = search.ask(session, search.SearchQuestion(filter_of(params), limit=limit, place=place(params)))
    return Page(answer.rows, answer.next.text if answer.next else None)


def findings(session: Session, params: Params) -> Page:
    return search(session, {**params, "q": [*params.get("q", []), "source=finding"]})


def top(session: Session, params: Params) -> Any:
    from kubewitness.questions import top

    field = needed(params, "field", "for instance field=user")
    return top.ask(session, top.TopQuestion(field, filter_of(params), limit=count(params, "limit", 20, 1000)))


#: what a `Page` of records holds
Rows = list[TimelineRow]
