"""What may come next in the box that questions are typed into: verbs, objects, users, fields and their values."""

from __future__ import annotations

import msgspec

from kubewitness.formats.names import RESOURCES
from kubewitness.formats.times import format_us
from kubewitness.questions import named
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import check_field, field_names
from kubewitness.questions.views import VIEWS
from kubewitness.questions.who import NODE_VERBS, VERBS

MOST_ITEMS = 100
_LISTS = frozenset({"groups", "claimed_ips"})
#: columns that hold one value for each record, or numbers that nobody types
_NOT_COMPLETED = frozenset({"ts", "message", "uri", "annotations", "offset", "count", "resource_version"})
#: names of kinds that people ask for
_KINDS = tuple(dict.fromkeys(r.kind.lower() for r in RESOURCES if not r.kind.endswith("Review")))
#: what the verbs of `who` that fit one kind only are about
_KIND_OF_VERB = {**dict.fromkeys(NODE_VERBS, "node"), "evicted": "pod", "exec": "pod", "killed": "pod"}
_COMMANDS = ("who", "timeline", "search", "trace", "show", "diff", "top")


class Completion(msgspec.Struct):
    """`text` takes the place of what is typed from `from` on. `kind`: verb, command, kind, object, user, namespace,
    field or value."""

    text: str
    kind: str
    hint: str = ""
    count: int = 0


class CompleteAnswer(msgspec.Struct):
    #: where in the text the replacement begins
    begins: int = msgspec.field(name="from")
    items: list[Completion] = msgspec.field(default_factory=list)


def values(
    session: Session,
    field: str,
    prefix: str = "",
    *,
    namespace: str = "",
    cluster: str = "",
    limit: int = 20,
) -> list[Completion]:
    """Recorded values of a field that begin with `prefix` (case ignored), the most frequent first. Raises `UsageError`
    for an unknown field."""
    check_field(field)
    if field == "kind":
        return [Completion(k, "value") for k in _KINDS if k.startswith(prefix.lower())][:limit]
    if field == "source":
        return [Completion(t, "value") for t in VIEWS if t.startswith(prefix.lower())][:limit]
    each, params = [], []
    for view in VIEWS.values():
        column = view.fields.get(field)
        if column is None or column in _NOT_COMPLETED or view.table == "rejects":
            continue
        value = f'unnest("{column}")' if column in _LISTS else f'CAST("{column}" AS VARCHAR)'
        conditions = ["true"]
        if namespace and "namespace" in view.fields:
            conditions.append("namespace = ?")
            params.append(namespace)
        if cluster:
            conditions.append("cluster = ?")
            params.append(cluster)
        each.append(f"SELECT {value} AS v FROM {view.table} WHERE {' AND '.join(conditions)}")  # noqa: S608
    if not each:
        return []
    sql = (
        f"SELECT v, count(*) FROM ({' UNION ALL '.join(each)}) WHERE v <> '' AND starts_with(lower(v), ?) "  # noqa: S608
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {int(limit)}"
    )
    found = session.query(sql, [*params, prefix.lower()])
    return [Completion(str(v), "value", f"{n} records", int(n)) for v, n in found]


def ask(session: Session, text: str, limit: int = 12) -> CompleteAnswer:
    """What may come in the place of the text's last word; it is empty after a blank."""
    before, _, word = text.rpartition(" ")
    begins = len(text) - len(word)
    words = before.split()
    space = _option(words, "-n", "--namespace")
    if words and words[-1] in ("-n", "--namespace", "in"):
        items = [msgspec.structs.replace(c, kind="namespace") for c in values(session, "namespace", word, limit=limit)]
    elif "=" in word:
        field, _, prefix = word.partition("=")
        found = values(session, field, prefix, limit=limit) if field in field_names() else []
        items = [msgspec.structs.replace(c, text=f"{field}={_quoted(c.text)}") for c in found]
    elif "/" in word:
        kind, _, name = word.partition("/")
        items = _objects(session, name, kind=kind, namespace=space, limit=limit)
    else:
        items = _anything(session, words, word, space, limit)
    return CompleteAnswer(begins, items[:limit])


def _anything(session: Session, words: list[str], word: str, space: str, limit: int) -> list[Completion]:
    low = word.lower()
    items: list[Completion] = []
    verb = next((w for w in words if w in _KIND_OF_VERB), "")
    if not words and word:
        items += [Completion(f"{c} ", "command") for c in _COMMANDS if c.startswith(low)]
    if not words or words == ["who"]:
        items += [Completion(f"{v} ", "verb") for v in (*VERBS, *NODE_VERBS) if v.startswith(low) and (words or word)]
    objects = _objects(session, word, kind=_KIND_OF_VERB.get(verb, ""), namespace=space, limit=limit)
    if not word:
        return items + objects
    items += [Completion(f"{k}/", "kind") for k in _KINDS if k.startswith(low)]
    users = values(session, "user", word, limit=limit) if not words or words[0] in ("search", "top") else []
    prefix = "user=" if words else ""
    users = [msgspec.structs.replace(c, kind="user", text=f"{prefix}{c.text}") for c in users]
    fields = [
        Completion(f"{f}=", "field") for f in field_names() if f.startswith(low) and (not words or words[0] != "who")
    ]
    # a share for each: one that has much must not hide the others
    share = max(2, limit // 3)
    picked = [*items[:share], *objects[:share], *users[:share], *fields[:share]]
    rest = [*objects[share:], *users[share:], *items[share:], *fields[share:]]
    return picked + rest


def _objects(session: Session, name: str, *, kind: str = "", namespace: str = "", limit: int) -> list[Completion]:
    found = named.objects(session, name, kind=kind, namespace=namespace, limit=limit)
    return [
        Completion(
            n.words.partition(" -n ")[0] if namespace else n.words,
            "object",
            f"{n.count} records, last {format_us(n.last)[:19]}Z",
            n.count,
        )
        for n in found
    ]


def _option(words: list[str], *names: str) -> str:
    for i, word in enumerate(words[:-1]):
        if word in names:
            return words[i + 1]
    return ""


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value
