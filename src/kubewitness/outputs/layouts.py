"""Templates as users of kubernetes-event-exporter write them: `{{ .InvolvedObject.Namespace }}/{{ .Reason | upper }}`.

The part of Go's templates that such files use. A name is that of the record's key, whatever its capitals, and of
`metadata` where the record itself has none such (`.Name`, `.Namespace`); a path that leads nowhere is "". Functions, by
a pipe or in front: `toJson`, `upper`, `lower`, `trim`, `quote`, `default "x"`, `trunc 80`, `index .Labels "app"`.
`.ClusterName`, `.Tag`, `.GetTimestampMs` and `.GetTimestampISO8601` are of the record's way here. There are no loops
and no conditions: what a file asks for and is not there is an error at start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.accessor import text_of
from kubewitness.formats.times import format_us

_ACTION = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_TOKEN = re.compile(r'\s*(?:(\|)|("(?:[^"\\]|\\.)*")|(`[^`]*`)|(-?\d+)|(\.[\w.\-]*)|(\w+))')


class Said(NamedTuple):
    """A record, and what is known of it beside its bytes."""

    fields: Mapping[str, Any]
    tag: str
    cluster: str
    #: microseconds UTC
    us: int


_Get = Callable[[Said], Any]


def _default(fallback: Any, value: Any = "") -> Any:
    return value or fallback


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            return ""
    return value


def _trunc(length: int, value: Any) -> str:
    return text_of(value)[:length] if length >= 0 else text_of(value)[length:]


#: name -> (function, fewest arguments, most)
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "toJson": (lambda value: msgspec.json.encode(value).decode(), 1, 1),
    "upper": (lambda value: text_of(value).upper(), 1, 1),
    "lower": (lambda value: text_of(value).lower(), 1, 1),
    "trim": (lambda value: text_of(value).strip(), 1, 1),
    "quote": (lambda value: msgspec.json.encode(text_of(value)).decode(), 1, 1),
    "default": (_default, 1, 2),
    "trunc": (_trunc, 2, 2),
    "index": (_index, 1, 9),
}
_OWN: dict[str, _Get] = {
    "clustername": lambda said: said.cluster,
    "tag": lambda said: said.tag,
    "gettimestampms": lambda said: said.us // 1000,
    "gettimestampiso8601": lambda said: format_us(said.us // 1000 * 1000),
}


class Layout:
    """One text. UsageError, with what it cannot do, when it is made."""

    def __init__(self, text: str) -> None:
        self._parts: list[str | _Get] = []
        at = 0
        for found in _ACTION.finditer(text):
            self._parts += [text[at : found.start()], _pipeline(found[1])]
            at = found.end()
        if "{{" in text[at:]:
            raise UsageError(f"template {text!r} has a '{{{{' that is not closed")
        self._parts.append(text[at:])

    def render(self, said: Said) -> str:
        return "".join(part if isinstance(part, str) else text_of(part(said)) for part in self._parts)


def shaped(layout: Any) -> Callable[[Said], Any]:
    """Of an object whose texts are templates: that object, with what they give."""
    if isinstance(layout, Mapping):
        inner = {str(key): shaped(value) for key, value in layout.items()}
        return lambda said: {key: make(said) for key, make in inner.items()}
    if isinstance(layout, list):
        items = [shaped(value) for value in layout]
        return lambda said: [make(said) for make in items]
    if isinstance(layout, str):
        return Layout(layout).render
    return lambda said: layout


def _pipeline(text: str) -> _Get:
    """Commands by `|`; each one's value is the last argument of the next."""
    value: _Get | None = None
    for command in _commands(text):
        value = _command(command, value, text)
    if value is None:
        raise UsageError(f"template {{{{{text}}}}} is empty")
    return value


def _commands(text: str) -> Iterator[list[re.Match[str]]]:
    command: list[re.Match[str]] = []
    at = 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None:
            raise UsageError(f"template {{{{{text}}}}}: {text[at:].strip()!r} is not understood; see docs/outputs.md")
        if token[1]:
            yield command
            command = []
        else:
            command.append(token)
        at = token.end()
    if command:
        yield command


def _command(tokens: list[re.Match[str]], before: _Get | None, text: str) -> _Get:
    piped = [] if before is None else [before]
    if tokens and tokens[0][6]:
        arguments = [_operand(token, text) for token in tokens[1:]] + piped
        known = _FUNCTIONS.get(tokens[0][6])
        if known is None:
            names = ", ".join(_FUNCTIONS)
            raise UsageError(f"template {{{{{text}}}}}: there is no {tokens[0][6]!r} here; there is {names}")
        call, fewest, most = known
        if not fewest <= len(arguments) <= most:
            raise UsageError(f"template {{{{{text}}}}}: {tokens[0][6]} takes {fewest} to {most} values")
        return lambda said: call(*(argument(said) for argument in arguments))
    if len(tokens) != 1 or piped:
        raise UsageError(f"template {{{{{text}}}}}: a value stands where a function is needed")
    return _operand(tokens[0], text)


def _operand(token: re.Match[str], text: str) -> _Get:
    if token[2] or token[3]:
        word = json.loads(token[2]) if token[2] else token[3][1:-1]
        return lambda said: word
    if token[4]:
        number = int(token[4])
        return lambda said: number
    if token[6]:
        raise UsageError(f"template {{{{{text}}}}}: {token[6]!r} is not understood; see docs/outputs.md")
    names = [name.lower() for name in token[5].split(".") if name]
    if not names:
        return lambda said: said.fields
    return lambda said: _found(said, names)


def _found(said: Said, names: list[str]) -> Any:
    value = _walk(said.fields, names)
    if value is None and len(names) == 1 and names[0] in _OWN:
        return _OWN[names[0]](said)
    if value is None:
        value = _walk(said.fields.get("metadata"), names)
    return "" if value is None else value


def _walk(value: Any, names: list[str]) -> Any:
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name) if name in value else next((v for k, v in value.items() if k.lower() == name), None)
    return value
