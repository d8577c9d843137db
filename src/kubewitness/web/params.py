"""The parameters of a request: what there are, and reading them with their limits. Every error says how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.questions.coverage import find_target
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.paging import Place, place_of
from kubewitness.questions.targets import Ref
from kubewitness.questions.times import parse_time

#: the parameters of one request, by name; a repeated parameter's values in order
Params = Mapping[str, list[str]]

#: rows that one answer may hold
MOST_ROWS = 50_000
#: letters of one value, and values of one parameter
_LONGEST = 20_000
_MOST_VALUES = 500


class NotRecorded(KubewitnessError):
    """What was asked for by its id is not there."""


class Param(NamedTuple):
    """`many`: may be repeated. `most`: a number from 1 (or `least`) to that. `words`: one of these."""

    name: str
    text: str
    required: bool = False
    many: bool = False
    most: int = 0
    least: int = 1
    words: tuple[str, ...] = ()
    flag: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        value: dict[str, Any] = {"type": "string", "maxLength": _LONGEST}
        if self.most:
            value = {"type": "integer", "minimum": self.least, "maximum": self.most}
        elif self.flag:
            value = {"type": "boolean"}
        elif self.words:
            value = {"type": "string", "enum": list(self.words)}
        elif self.required:
            value["minLength"] = 1
        return {"type": "array", "items": value, "maxItems": _MOST_VALUES} if self.many else value


CLUSTER = Param("cluster", "only this cluster, where several are recorded")
UID = Param("uid", "one object of several of that name")
LIMIT = Param("limit", "rows at most", most=MOST_ROWS)
CURSOR = Param("cursor", "where the page before ended: its header X-Kubewitness-Next")
READS = Param("reads", "with requests that only read, and with heartbeats", flag=True)
TIMES = (Param("since", "RFC 3339, or an age such as 15m, 2h, 3d"), Param("until", "as since"))
OBJECT = (
    Param("object", "KIND/NAME as kubectl takes it: pod/web-1, deploy/web, widgets.example.com/w", required=True),
    Param("namespace", "namespace (default: default)"),
    Param("cluster", "cluster (default: the only one)"),
)
FILTER = (Param("q", "field=value, or text; may be repeated, all must hold", many=True), CLUSTER, *TIMES)


def check(known: Sequence[Param], given: Params) -> None:
    """Raises `UsageError` for parameters that there are not, and for such as nobody types."""
    names = {p.name: p for p in known}
    for name, values in given.items():
        if name not in names:
            raise UsageError(f"unknown parameter {name!r}; known: {', '.join(sorted(names)) or 'none'}")
        if len(values) > _MOST_VALUES or any(len(v) > _LONGEST for v in values):
            raise UsageError(f"{name}: too long; at most {_MOST_VALUES} values of {_LONGEST} letters")
        if any("\0" in v or not _is_text(v) for v in values):
            raise UsageError(f"{name}: not text")


def _is_text(value: str) -> bool:
    """Whether it is Unicode text; a query string may hold bytes that are none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def one(params: Params, name: str, default: str = "") -> str:
    """A parameter that may be given once. Raises `UsageError` when it is repeated."""
    values = params.get(name, [])
    if len(values) > 1:
        raise UsageError(f"parameter {name!r} is given {len(values)} times; give it once")
    return values[0] if values else default


def needed(params: Params, name: str, example: str) -> str:
    """A parameter that must be given."""
    value = one(params, name)
    if not value:
        raise UsageError(f"parameter {name!r} is missing: {example}")
    return value


def moment(params: Params, name: str) -> int | None:
    """A time parameter, microseconds UTC; None when it is not given."""
    text = one(params, name)
    return parse_time(text, option=name) if text else None


def count(params: Params, name: str, default: int, most: int, least: int = 1) -> int:
    """A number from `least` to `most`."""
    text = one(params, name) or str(default)
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or not least <= int(text) <= most:
        raise UsageError(f"{name}: {text!r} is not a number from {least} to {most}")
    return int(text)


def flag(params: Params, name: str, *, default: bool = False) -> bool:
    """A yes or no; `default` when it is not given."""
    text = one(params, name, str(default)).lower()
    if text not in ("true", "false", "1", "0"):
        raise UsageError(f"{name}: {text!r} is neither true nor false")
    return text in ("true", "1")


def word(params: Params, name: str, words: Sequence[str]) -> str:
    """One of some words; the first when it is not given."""
    text = one(params, name) or words[0]
    if text not in words:
        raise UsageError(f"{name}: {text!r} is none of {', '.join(words)}")
    return text


def target(session: Session, params: Params) -> Ref:
    """The object that `object`, `namespace` and `cluster` name."""
    words = [needed(params, "object", "KIND/NAME, for instance object=pod/web-1&namespace=shop")]
    return find_target(session, words, one(params, "namespace") or None, one(params, "cluster") or None)


def filter_of(params: Params) -> Filter:
    """What `q`, `since`, `until` and `cluster` ask for."""
    conditions, text = parse_words(params.get("q", []))
    return Filter(conditions, text, moment(params, "since"), moment(params, "until"), one(params, "cluster") or None)


def place(params: Params) -> Place | None:
    """Where the page begins that `cursor` asks for."""
    return place_of(one(params, "cursor"))
