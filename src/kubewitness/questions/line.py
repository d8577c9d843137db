"""A line as people type it into a box, turned into a question: `who evicted web-7`, `pod/web-7 -n shop`, an auditID,
a user, `code>=400 ns=shop`, free text.

Words decide where they can; where they cannot, what is recorded does (whether `alice` is a user or a pod).
"""

from __future__ import annotations

import re
import shlex

import msgspec

from kubewitness.errors import UsageError
from kubewitness.questions import asked, named
from kubewitness.questions.asked import Question
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import field_names
from kubewitness.questions.named import Named
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import NODE_VERBS, VERBS

#: other words for the verbs of `who`
_SYNONYMS = {
    "deleted": "delete removed remove",
    "evicted": "evict",
    "killed": "kill restarted crashed",
    "created": "create made",
    "changed": "change edited updated patched modified",
    "scaled": "scale",
    "read": "viewed",
    "exec": "exec'd execed entered",
    "drained": "drain",
    "cordoned": "cordon",
    "tainted": "taint",
}
_VERB_WORDS = {word: verb for verb in (*VERBS, *NODE_VERBS) for word in (verb, *_SYNONYMS.get(verb, "").split())}
#: words that carry nothing
_FILLERS = frozenset({"did", "has", "have", "was", "is", "the", "a", "an", "my", "into", "on", "to", "object", "by"})
_OPTIONS = {
    "-n": "namespace",
    "in": "namespace",
    "since": "since",
    "until": "until",
    "at": "at",
    **{f"--{name}": name for name in ("namespace", "cluster", "since", "until", "at", "uid")},
}
_COMMANDS = ("who", "timeline", "show", "diff", "search", "trace")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_ID = re.compile(r"(audit|event|object|admission|log|finding|reject):.+", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(!=|!~|>=|<=|=|~|>|<)")
LONGEST = 2000
_OTHERS = 5


class Understood(msgspec.Struct):
    """`understood` false: nothing fits but a search for the words. `others`: what it may mean, too."""

    understood: bool
    question: str
    path: str
    params: dict[str, str | list[str]]
    command: str
    said: str
    others: list[Question] = msgspec.field(default_factory=list)


class _Words(msgspec.Struct):
    """The line's words without its options."""

    words: list[str]
    options: dict[str, str]


def understand(session: Session, text: str) -> Understood:
    """The most likely question of a line, and others. Raises `UsageError` for an empty or endless line."""
    line = _split(text)
    found = _by_words(session, line) or _by_records(session, line)
    if found:
        first, *others = found
        return _answer(True, first, others[:_OTHERS])
    return _answer(False, asked.search(line.words, line.options), [])


def _answer(understood: bool, q: Question, others: list[Question]) -> Understood:
    return Understood(understood, q.question, q.path, q.params, q.command, q.said, others)


def _split(text: str) -> _Words:
    text = text.strip().rstrip("?").strip()
    if not text or len(text) > LONGEST:
        raise UsageError(f"text: write a question of at most {LONGEST} letters, for instance: who evicted pod/web-1")
    try:
        words = shlex.split(text)
    except ValueError:  # an open quote
        words = text.split()
    words[-1] = words[-1].rstrip("?") or words[-1]
    if words[:1] == ["kubewitness"]:
        words = words[1:]
    elif words[:2] == ["kubectl", "witness"]:
        words = words[2:]
    rest, options = [], {}
    it = iter(words)
    for word in it:
        name, _, value = word.partition("=")
        if word in _OPTIONS and (following := next(it, "")):
            options[_OPTIONS[word]] = following
        elif name.startswith("--") and name in _OPTIONS and value:
            options[_OPTIONS[name]] = value
        elif not word.startswith("-"):
            rest.append(word)
    return _Words(rest, options)


# --- what the words say by themselves ---------------------------------------------------------------------------------


def _by_words(session: Session, line: _Words) -> list[Question]:
    words = line.words
    if not words:
        return []
    if words[0] == "search":
        return [asked.search(words[1:], line.options)]
    if any(_FIELD.match(w) and _FIELD.match(w)[1] in field_names() for w in words):  # type: ignore[index]
        return [asked.search([w for w in words if w != "who"], line.options)]
    if _ID.fullmatch(words[-1]) or _UUID.fullmatch(words[-1]):
        return _ident(session, words[-1])
    if words[0] == "trace" and len(words) > 1:
        return [asked.trace(words[1])]
    if words[:2] == ["who", "granted"] and len(words) >= 5:
        return [asked.granted(words[2:], line.options)]
    command = words[0] if words[0] in _COMMANDS else ""
    rest = [w for w in (words[1:] if command else words) if w.lower() not in _FILLERS]
    verb = _VERB_WORDS.get(rest[0].lower(), "") if rest else ""
    rest = rest[1:] if verb else rest
    if not rest or len(rest) > 2 or not (verb or command or "/" in rest[0]):
        return []
    return _about(session, command or ("who" if verb else ""), verb, rest, line.options)


def _about(session: Session, command: str, verb: str, rest: list[str], options: dict[str, str]) -> list[Question]:
    """Questions about the object that one or two words name: with its kind, or by its name alone."""
    kind, name = rest if len(rest) == 2 else (rest[0].partition("/")[0], rest[0].partition("/")[2])
    if not name:
        kind, name = ("nodes" if verb in NODE_VERBS else ""), rest[0]
    if kind in ("", "pod") and verb in NODE_VERBS:
        kind = "nodes"
    space, cluster = options.get("namespace", ""), options.get("cluster", "")
    found = named.objects(session, name, exact=True, kind=kind, namespace=space, cluster=cluster, limit=_OTHERS + 1)
    if not found and not kind:
        found = named.objects(session, name, namespace=space, cluster=cluster, limit=_OTHERS + 1)
    if found:
        return [q for n in found for q in _of(n, command, verb, options)][: _OTHERS + 1]
    if not kind:
        return []
    typed = Ref(cluster, "", kind, space, name)
    return [asked.about(command or "timeline", verb, f"{kind}/{name}", typed.namespace, options, f"{kind} {name}")]


def _of(n: Named, command: str, verb: str, options: dict[str, str]) -> list[Question]:
    target = n.words.partition(" -n ")[0]
    given = {**options, "cluster": n.ref.cluster} if n.ref.cluster != "default" or "cluster" in options else options
    if command:
        return [asked.about(command, verb, target, n.ref.namespace, given, n.ref.said())]
    return [
        asked.about(c, "", target, n.ref.namespace, given, n.ref.said()) for c in ("timeline", "who", "diff", "show")
    ]


# --- what the records say ---------------------------------------------------------------------------------------------


def _ident(session: Session, ident: str) -> list[Question]:
    """An auditID, the uid of an object, or an evidence id."""
    if match := _ID.fullmatch(ident):
        found = [asked.search([f"id={ident}"], {})]
        return [asked.trace(ident), *found] if match[1] == "audit" else found
    uid = asked.search([f"uid={ident}"], {})
    if session.query("SELECT 1 FROM audit WHERE audit_id = ? LIMIT 1", [ident]):
        return [asked.trace(ident), asked.search([f"audit_id={ident}"], {})]
    return [uid, asked.search([f"audit_id={ident}"], {})]


def _by_records(session: Session, line: _Words) -> list[Question]:
    """One word (or two: what somebody did): a user, an object, a namespace."""
    words = [w for w in line.words if w.lower() not in _FILLERS and w.lower() not in ("who", "what", "do")]
    if len(words) != 1:
        return []
    word = words[0]
    found: list[Question] = []
    if session.query('SELECT 1 FROM audit WHERE "user" = ? LIMIT 1', [word]):
        found.append(asked.search([f"user={word}"], line.options))
    objects = _about(session, "", "", [word], line.options) if "/" not in word else []
    if session.query("SELECT 1 FROM audit WHERE namespace = ? LIMIT 1", [word]):
        found.append(asked.search([], {**line.options, "namespace": word}))
    return [*found, *objects]
