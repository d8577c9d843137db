"""What the page draws: many objects at once, counts over time, states, and help with asking."""

from __future__ import annotations

from typing import Any

from kubewitness.errors import UsageError
from kubewitness.questions.coverage import cluster_of, find_target
from kubewitness.questions.facts import Session
from kubewitness.questions.targets import Ref
from kubewitness.web.params import NotRecorded, Params, count, filter_of, flag, moment, needed, one, target, word

GROUPS = ("owner", "node", "user")
SERIES = ("outcome", "source")


def board(session: Session, params: Params) -> Any:
    from kubewitness.questions import board

    question = board.BoardQuestion(
        filter_of(params),
        rows=count(params, "rows", 500, board.MOST_ROWS),
        marks=count(params, "marks", 20_000, board.MOST_MARKS),
        bins=count(params, "bins", 400, board.MOST_BINS),
        group=word(params, "group", GROUPS),  # type: ignore[arg-type]
        reads=flag(params, "reads"),
        skip=count(params, "cursor", 0, 10_000_000, least=0),
    )
    return board.ask(session, question)


def histogram(session: Session, params: Params) -> Any:
    from kubewitness.questions import histogram

    bins = count(params, "bins", 200, histogram.MOST_BINS)
    by = word(params, "by", SERIES)
    question = histogram.HistogramQuestion(filter_of(params), bins=bins, by=by, reads=flag(params, "reads"))
    return histogram.ask(session, question)


def states(session: Session, params: Params) -> Any:
    from kubewitness.questions import states

    keys = params.get("key", [])
    if len(keys) > states.MOST_OBJECTS:
        raise UsageError(f"key: at most {states.MOST_OBJECTS} objects at once")
    refs = [_ref(session, key) for key in keys]
    if one(params, "object") or not keys:
        refs.append(target(session, params))
    return states.ask(session, states.StatesQuestion(refs, moment(params, "since"), moment(params, "until")))


def _ref(session: Session, key: str) -> Ref:
    """The object of a row of `board`."""
    parts = key.split("/", 3)
    if len(parts) != 4 or not parts[1]:
        raise UsageError(f"key: {key!r} is not cluster/Kind/namespace/name, as `board` gives it")
    cluster, kind, namespace, name = parts
    if kind == "User":
        raise UsageError("key: users have no states")
    return find_target(session, [kind, name], namespace or None, cluster)


def complete(session: Session, params: Params) -> Any:
    from kubewitness.questions import complete

    limit = count(params, "limit", 12, complete.MOST_ITEMS)
    field = one(params, "field")
    if not field:
        return complete.ask(session, one(params, "text"), limit)
    found = complete.values(
        session,
        field,
        one(params, "prefix"),
        namespace=one(params, "namespace"),
        cluster=one(params, "cluster"),
        limit=limit,
    )
    return complete.CompleteAnswer(0, found)


def line(session: Session, params: Params) -> Any:
    from kubewitness.questions import line

    return line.understand(session, needed(params, "text", "for instance text=who evicted pod/web-1"))


def examples(session: Session, _params: Params) -> Any:
    from kubewitness.questions import examples

    return examples.ask(session)


def facets(session: Session, params: Params) -> Any:
    from kubewitness.questions import facets

    fields = [f for value in params.get("fields", []) for f in value.split(",") if f] or list(facets.FIELDS)
    if len(fields) > facets.MOST_FIELDS:
        raise UsageError(f"fields: at most {facets.MOST_FIELDS} at once")
    question = facets.FacetsQuestion(
        filter_of(params),
        list(dict.fromkeys(fields)),
        count(params, "limit", 10, facets.MOST_VALUES),
        flag(params, "reads", default=True),
    )
    return facets.ask(session, question)


def record(session: Session, params: Params) -> Any:
    from kubewitness.questions import single

    ident = needed(params, "id", "an evidence id, for instance audit:default/<auditID>/<stage>")
    answer = single.ask(session, ident)
    if not answer.found:
        raise NotRecorded(f"no record with the id {ident} is kept")
    return answer


def revisions(session: Session, params: Params) -> Any:
    from kubewitness.questions import revisions

    uid = one(params, "uid") or None
    return revisions.ask(session, revisions.RevisionsQuestion(target(session, params), uid, flag(params, "status")))


def policy(session: Session, params: Params) -> Any:
    from kubewitness.questions import policy

    cluster = cluster_of(session, one(params, "cluster") or None)
    return policy.ask(session, policy.PolicyQuestion(cluster, moment(params, "since"), moment(params, "until")))


def logs(session: Session, params: Params) -> Any:
    from kubewitness.questions import logs

    older, newer = logs.edge_of(one(params, "older")), logs.edge_of(one(params, "newer"))
    if older is not None and newer is not None:
        raise UsageError("older, newer: one of them, please")
    question = logs.LogsQuestion(
        target(session, params),
        filter_of({"q": params.get("q", [])}),
        moment(params, "at"),
        older,
        newer,
        count(params, "limit", 200, logs.MOST_LINES),
    )
    return logs.ask(session, question)
