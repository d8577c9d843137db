"""Questions that this store can answer, made from the latest of what people ask about."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.times import format_us
from kubewitness.questions import asked
from kubewitness.questions.asked import Question
from kubewitness.questions.facts import Session
from kubewitness.questions.named import Named
from kubewitness.questions.targets import Ref

MOST = 6

#: (sort, condition on audit); the first that fits a record counts. People's deeds before machines'.
_PEOPLE = "user_kind IN ('human', 'serviceaccount') AND NOT starts_with(\"user\", 'system:serviceaccount:kube-system:')"
_SORTS = (
    ("evicted", "resource = 'pods' AND subresource = 'eviction' AND verb = 'create' AND code = 201"),
    ("exec", "resource = 'pods' AND subresource = 'exec' AND code < 400"),
    ("read", f"resource = 'secrets' AND verb = 'get' AND code = 200 AND {_PEOPLE}"),
    ("scaled", f"subresource = 'scale' AND verb IN ('update', 'patch') AND code = 200 AND {_PEOPLE}"),
    (
        "deleted",
        "verb = 'delete' AND coalesce(subresource, '') = '' AND code = 200 AND user_kind = 'human' "
        "AND resource IN ('pods', 'deployments', 'statefulsets', 'daemonsets', 'jobs', 'services', 'configmaps')",
    ),
    ("refused", f"code = 403 AND {_PEOPLE}"),
)
_WHY = {
    "evicted": "the last eviction recorded",
    "exec": "somebody ran something in a container",
    "read": "a Secret was read",
    "scaled": "the last scaling by hand",
    "deleted": "the last deletion by a person",
    "refused": "what this user was refused",
    "warning": "the Warning that came most often",
}


class Example(msgspec.Struct):
    """`question` is the line as it is typed into the box; `at`: when what it asks about was last seen."""

    question: str
    why: str
    at: str
    path: str
    params: dict[str, str | list[str]]
    command: str


def ask(session: Session) -> list[Example]:
    """At most `MOST`, of different sorts; none of an empty store. One pass over the audit trail, one over Events."""
    found: dict[str, tuple[Any, ...]] = {str(row[0]): row[1:] for row in session.query(_sql())}
    examples = []
    for sort, _ in _SORTS:
        if sort not in found:
            continue
        cluster, group, resource, namespace, name, user, ts = found[sort]
        when = int(ts)
        if sort == "refused":
            question = asked.search([f"user={user}", "code=403"], {})
            examples.append(
                _example(f'"user={user}" code=403' if " " in user else f"user={user} code=403", sort, question, when)
            )
            continue
        ref = Ref(cluster, group or "", resource, namespace or "", name, kind_of_resource(resource, group or ""))
        words = Named(ref, int(ts), 1).words
        options = {"cluster": cluster} if cluster != "default" else {}
        question = asked.about("who", sort, words.partition(" -n ")[0], ref.namespace, options, ref.said())
        examples.append(_example(f"who {sort} {words}", sort, question, when))
    return (examples + _warnings(session))[:MOST]


def _sql() -> str:
    sort = "CASE " + " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in _SORTS) + " END"
    columns = ("cluster", "api_group", "resource", "namespace", "name", '"user"', "epoch_us(ts)")
    latest = ", ".join(f"arg_max({c}, ts)" for c in columns)
    return (
        f"SELECT sort, {latest} FROM (SELECT *, {sort} AS sort FROM audit "  # noqa: S608
        "WHERE stage IN ('ResponseComplete', 'ResponseStarted') AND name <> '') WHERE sort IS NOT NULL GROUP BY sort"
    )


def _warnings(session: Session) -> list[Example]:
    sql = (
        "SELECT cluster, api_group, resource, kind, namespace, object_name, reason, epoch_us(max(ts)) FROM events "
        "WHERE type = 'Warning' AND resource <> '' AND object_name <> '' "
        "GROUP BY ALL ORDER BY sum(coalesce(count_delta, 1)) DESC, 6 LIMIT 1"
    )
    found = []
    for cluster, group, resource, kind, namespace, name, reason, ts in session.query(sql):
        ref = Ref(cluster, group or "", resource, namespace or "", name, kind or "")
        words = Named(ref, int(ts), 1).words
        options = {"cluster": cluster} if cluster != "default" else {}
        question = asked.about("timeline", "", words.partition(" -n ")[0], ref.namespace, options, ref.said())
        example = _example(words, "warning", question, int(ts))
        example.why = f"{example.why}: {reason}"
        found.append(example)
    return found


def _example(line: str, sort: str, question: Question, when: int) -> Example:
    return Example(line, _WHY[sort], format_us(when), question.path, question.params, question.command)
