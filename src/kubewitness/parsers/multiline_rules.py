"""Multiline parsers: what a section (`[MULTILINE_PARSER]`, `multiline_parsers`) says, and the built-in ones.

Type `regex`: a record begins with a line that a rule of `start_state` fits, and goes on with lines that rules of the
state reached fit; `endswith` and `equal`: it ends with the line whose text (or `key_pattern`) ends with, or is,
`match_string` (with `negate`: is not). Source: Fluent Bit's manual ("Multiline parsing").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kubewitness.config.keys import Key, Options, nearest
from kubewitness.contracts import Parser
from kubewitness.errors import UsageError
from kubewitness.parsers import parser_of
from kubewitness.parsers.onigmo import compiled

KEYS = (
    Key("type", default="regex", doc="how lines belong together", choices=("regex", "endswith", "equal", "eq")),
    Key("rule", doc='`"STATE[, STATE]" "/REGEX/" "NEXT_STATE"`; in YAML `rules` with `state`, `regex`, `next_state`. '
        "The first state is `start_state`", multi=True),
    Key("match_string", doc="of types endswith and equal"),
    Key("negate", "bool", "off", "on: what does not end with it, or is not it"),
    Key("key_content", doc="key of a record that holds the lines; empty: the records are text"),
    Key("key_pattern", doc="key that is looked at in its place"),
    Key("key_group", doc="key that says which lines belong together, such as `stream`"),
    Key("parser", doc="parser that takes each line apart first; what does not fit is not of this multiline parser"),
    Key("flush_timeout", default="4000", doc="milliseconds that a record waits for its next line"),
)  # fmt: skip

START = "start_state"
_WORD = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_MILLISECONDS = re.compile(r"(\d+)\s*(ms|s|)", re.IGNORECASE)


class Rule(NamedTuple):
    """Of type regex."""

    states: frozenset[str]
    pattern: Any
    to: str


@dataclass(frozen=True, slots=True)
class MultilineParser:
    """What a record of several lines looks like."""

    name: str
    type: str = "regex"
    rules: tuple[Rule, ...] = ()
    match_string: str = ""
    negate: bool = False
    key_content: str = ""
    key_pattern: str = ""
    key_group: str = ""
    parser: Parser | None = None
    #: seconds that a record waits for its next line; None: as long as it takes
    wait: float | None = 4.0


def multiline_parser_of(section_keys: Mapping[str, str], find: Callable[[str], Parser]) -> MultilineParser:
    """From a section's keys (`name` among them). `find` gives the parser of a name. Raises UsageError."""
    name = section_keys.get("name", "").strip()
    what = f"multiline parser {name}"
    opts = Options(what, section_keys, KEYS)
    kind = "equal" if opts.choice("type") == "eq" else opts.choice("type")
    rules = tuple(_rule(line, what) for line in opts.lines("rule"))
    if kind == "regex":
        _check(rules, what)
    elif not opts.text("match_string"):
        raise UsageError(f"{what}: type {kind} needs 'match_string'")
    elif rules:
        raise UsageError(f"{what}: 'rule' is of type regex, not {kind}")
    wait = _MILLISECONDS.fullmatch(opts.text("flush_timeout").strip())
    if wait is None:
        raise UsageError(f"{what}: 'flush_timeout' is {opts.text('flush_timeout')!r}; it takes milliseconds")
    return MultilineParser(
        name,
        kind,
        rules,
        _unescaped(opts.text("match_string")),
        opts.flag("negate"),
        opts.text("key_content"),
        opts.text("key_pattern"),
        opts.text("key_group"),
        find(opts.text("parser")) if opts.text("parser") else None,
        int(wait[1]) * (1.0 if wait[2].lower() == "s" else 0.001),
    )


def _rule(line: str, what: str) -> Rule:
    words = _words(line)
    if len(words) not in (2, 3) or not words[0].strip():
        raise UsageError(f'{what}: \'rule\' is {line!r}; it takes "STATE" "/REGEX/" "NEXT_STATE"')
    states = frozenset(state.strip() for state in words[0].split(",") if state.strip())
    try:
        pattern = compiled(words[1])
    except UsageError as e:
        raise UsageError(f"{what}: 'rule': {e}") from e
    return Rule(states, pattern, words[2].strip() if len(words) == 3 else "")


def _words(line: str) -> list[str]:
    """Words in quotes, in which only a quote has a backslash before it; or a JSON list of them."""
    if line.lstrip().startswith("["):
        try:
            words = json.loads(line)
        except ValueError:
            return []
        return [str(word) for word in words] if isinstance(words, list) else []
    return [
        found[2] if found[2] is not None else found[1].replace('\\"', '"') for found in _WORD.finditer(line.strip())
    ]


def _check(rules: tuple[Rule, ...], what: str) -> None:
    """A record has to begin somehow, and each state to be left."""
    if not any(START in rule.states for rule in rules):
        raise UsageError(f"{what}: no 'rule' is of {START}")
    known = frozenset().union(*(rule.states for rule in rules))
    for rule in rules:
        if rule.to and rule.to not in known:
            raise UsageError(f"{what}: 'rule': there is no state {rule.to!r}{nearest(rule.to, known)}")


def _unescaped(text: str) -> str:
    """A configuration cannot hold a newline in another way."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _built(name: str, *rules: tuple[str, str, str]) -> MultilineParser:
    made = tuple(
        Rule(frozenset(part.strip() for part in states.split(",")), compiled(text), to) for states, text, to in rules
    )
    _check(made, name)
    return MultilineParser(name, rules=made)


def _go() -> MultilineParser:
    """Panics with the goroutines' traces."""
    return _built(
        "go",
        (START, r"\bpanic: ", "panic"),
        (START, r"http: panic serving", "traces"),
        (START, r"^fatal error: ", "panic"),
        ("panic", r"^\[signal ", "panic"),
        ("panic", r"^\t?panic: ", "panic"),
        ("panic, traces, call", r"^goroutine \d+ \[[^\]]+\]:$", "call"),
        ("panic, traces, call", r"^\s*$", "traces"),
        ("call", r"^(?:[^\s.:]+\.)*[^\s.():]+\(|^created by |^\.\.\.additional frames elided", "place"),
        ("place", r"^\s", "call"),
    )


def _python() -> MultilineParser:
    """Tracebacks. The lines of `~~~^^^` that newer versions write belong to them; a file's line may have no source."""
    exception = r"^(?:[^\s.():]+\.)*[^\s.():]+(?::|$)"
    return _built(
        "python",
        (START, r"^Traceback \(most recent call last\):$", "frame"),
        ("frame, source", r"^[\t ]+File ", "source"),
        ("source", exception, START),
        ("source", r"[^\t ]", "frame"),
        ("frame", r"^[\t ]+[~^]+[\t ~^]*$", "frame"),
        ("frame", r"^[\t ]+\[Previous line repeated ", "frame"),
        ("frame", exception, START),
    )


def _java() -> MultilineParser:
    """Stack traces of Java, and of what writes alike (Kotlin, Scala, C#, V8)."""
    return _built(
        "java",
        (f"{START}, nested", r".(?:Exception|Error|Throwable|V8 errors stack trace)(?:[:\r\n]|$)", "thrown"),
        ("thrown", r"^[\t ]*nested exception is:[\t ]*", "nested"),
        ("thrown", r"^[\r\n]*$", "thrown"),
        ("thrown, trace", r"^[\t ]+(?:eval )?at ", "trace"),
        ("thrown, trace", r"^[\t ]+--- End of inner exception stack trace ---$", "trace"),
        ("thrown, trace", r"^--- End of stack trace from previous location where exception was thrown ---$", "trace"),
        ("thrown, trace", r"^[\t ]*(?:Caused by|Suppressed):", "thrown"),
        ("thrown, trace", r"^[\t ]*\.\.\. \d+ (?:more|common frames omitted)", "trace"),
    )


def _ruby() -> MultilineParser:
    """Backtraces, the innermost call first."""
    return _built(
        "ruby",
        (START, r"^.+:\d+:in\s+.*", "call"),
        ("call", r"^\s+from\s+.*:\d+:in\s+.*", "call"),
    )


def _docker() -> MultilineParser:
    """The json-file driver's parts: `log` ends with a newline when the line is complete."""
    return MultilineParser(
        "docker",
        "endswith",
        match_string="\n",
        key_content="log",
        key_group="stream",
        parser=parser_of({"name": "docker", "format": "docker"}),
        wait=None,
    )


def _cri() -> MultilineParser:
    """The CRI's parts: tag F when the line is complete. Fields are called as Fluent Bit's parser of this kind does."""
    section = {"name": "cri", "format": "cri", "time_keep": "on", "cri_fields": "time,stream,_p,log"}
    return MultilineParser(
        "cri",
        "equal",
        match_string="F",
        key_content="log",
        key_pattern="_p",
        key_group="stream",
        parser=parser_of(section),
        wait=None,
    )


#: name -> what makes it
BUILT_IN: dict[str, Callable[[], MultilineParser]] = {
    "docker": _docker,
    "cri": _cri,
    "go": _go,
    "python": _python,
    "java": _java,
    "ruby": _ruby,
}
