"""Records of several lines: a state machine that is fed with lines and gives what belongs together.

Pure: no clock of its own, no I/O. Each line comes with an `item`, anything by which the caller knows it again (an
offset, a record); what comes out has the items of all its lines, so nothing can be lost between. A record that becomes
longer than the limit is given in pieces, and marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from kubewitness.parsers.joined import LIMIT, Joined
from kubewitness.parsers.multiline_rules import START, MultilineParser, Rule
from kubewitness.parsers.regex import TIMEOUT

T = TypeVar("T")


@dataclass(slots=True)
class _Open(Generic[T]):
    """A record whose end has not come yet."""

    fields: dict[str, Any] | None
    time_ns: int | None
    at: float
    state: str = ""
    parts: list[str] = field(default_factory=list)
    items: list[T] = field(default_factory=list)
    size: int = 0
    #: the last line brought its newline along
    ended: bool = False


class _Line(NamedTuple, Generic[T]):
    text: str
    item: T
    group: str
    pattern: str
    fields: dict[str, Any] | None
    time_ns: int | None
    now: float


class _One(Generic[T]):
    """One parser's open records, by group."""

    def __init__(self, parser: MultilineParser, key: str, limit: int) -> None:
        self.parser = parser
        self.open: dict[str, _Open[T]] = {}
        self._key = parser.key_content or key
        self._limit = limit
        #: the first and the last line of text end with a newline, too, as in Fluent Bit
        self.whole_lines = not self._key

    def line(self, text: str, item: T, fields: Mapping[str, Any] | None, now: float) -> _Line[T] | None:
        """A line as this parser sees it; None when it is not of its kind."""
        parser = self.parser
        own, time_ns = (None if fields is None else dict(fields)), None
        if own is not None:
            content = own.get(self._key)
            if not isinstance(content, str):
                return None
            text = content
        if parser.parser is not None:
            parsed = parser.parser.parse(text.encode("utf-8", "surrogateescape"))
            if parsed is None or not isinstance(parsed.fields.get(parser.key_content or self._key), str):
                return None
            own, time_ns = parsed
            text = own[parser.key_content or self._key]
        group = str((own or {}).get(parser.key_group, "")) if parser.key_group else ""
        pattern = (own or {}).get(parser.key_pattern, text) if parser.key_pattern else text
        return _Line(text, item, group, str(pattern), own, time_ns, now)

    def add(self, line: _Line[T]) -> tuple[list[Joined[T]], bool]:
        """(what is complete now, whether the line was taken)."""
        done: list[Joined[T]] = []
        if self.parser.type != "regex":
            self._append(line, done)
            if self._ends(line.pattern) != self.parser.negate:
                done += self.flush(line.group)
            return done, True
        open_ = self.open.get(line.group)
        rule = _fitting(self.parser.rules, open_.state, line.text) if open_ is not None else None
        if rule is None:
            done += self.flush(line.group)
            rule = _fitting(self.parser.rules, START, line.text)
            if rule is None:
                return done, False
        self._append(line, done)
        self.open[line.group].state = rule.to
        if rule.to in ("", START) or not any(rule.to in other.states for other in self.parser.rules):
            done += self.flush(line.group)
        return done, True

    def _ends(self, text: str) -> bool:
        wanted = self.parser.match_string
        return text.endswith(wanted) if self.parser.type == "endswith" else text == wanted

    def _append(self, line: _Line[T], done: list[Joined[T]]) -> None:
        open_ = self.open.get(line.group)
        if open_ is not None and open_.size + len(line.text) > self._limit:
            state = open_.state
            done += self.flush(line.group, cut=True)
            open_ = self.open[line.group] = _Open(line.fields, line.time_ns, line.now, state)
        if open_ is None:
            open_ = self.open[line.group] = _Open(line.fields, line.time_ns, line.now)
        between = "\n" if self._breaks(open_) else ""
        open_.parts.append(between + line.text)
        open_.items.append(line.item)
        open_.size += len(between) + len(line.text)
        open_.ended = line.text.endswith("\n")
        open_.at = line.now

    def _breaks(self, open_: _Open[T]) -> bool:
        """Whether a newline stands between: not where the parts are those of one line."""
        if not open_.parts or open_.ended:
            return False
        return self.parser.type == "regex" or self.whole_lines

    def flush(self, group: str, cut: bool = False) -> list[Joined[T]]:
        open_ = self.open.pop(group, None)
        if open_ is None:
            return []
        text = "".join(open_.parts) + ("\n" if self.whole_lines and not open_.ended else "")
        return [Joined(text, open_.items, _with_text(open_.fields, self._key, text), open_.time_ns, cut)]


class Multiline(Generic[T]):
    """Several multiline parsers for one source: a line goes to the one that has a record open that it continues, else
    to the first that it is the beginning of; what no parser knows is a record of its own.

    `key`: where in a record the content is, for lines that come as records; "" when they come as text, which then ends
    with a newline in what is given, as in Fluent Bit.
    """

    def __init__(self, parsers: Sequence[MultilineParser], *, key: str = "", limit: int = LIMIT) -> None:
        self._all: list[_One[T]] = [_One(parser, key, limit) for parser in parsers]
        self._key = key
        #: the parser of the last line, which is asked first
        self._last: _One[T] | None = None
        self._order = self._all

    def add(self, text: str, item: T, *, fields: Mapping[str, Any] | None = None, now: float = 0.0) -> list[Joined[T]]:
        """Feeds a line (or a record's `fields`, which hold it under `key`). Returns what is complete, in order.

        `now`: seconds of any clock that only goes forward; `expired` compares with it.
        """
        done: list[Joined[T]] = []
        for one in self._order:
            line = one.line(text, item, fields, now)
            if line is None:
                continue
            found, taken = one.add(line)
            done += found
            if taken:
                if self._last is not None and self._last is not one:
                    done = self._last_flushed() + done
                if self._last is not one:
                    self._last = one
                    self._order = [one, *(other for other in self._all if other is not one)]
                return done
        done += self._last_flushed()
        own = None if fields is None else dict(fields)
        if own is not None:
            text = str(own.get(self._key, ""))
        elif all(one.whole_lines for one in self._all) and not text.endswith("\n"):
            text += "\n"
        done.append(Joined(text, [item], own, None))
        return done

    def _last_flushed(self) -> list[Joined[T]]:
        """What the parser before has open ends with the line of another kind, but for parts that wait for their end."""
        if self._last is None or self._last.parser.type != "regex":
            return []
        return [record for group in list(self._last.open) for record in self._last.flush(group)]

    def expired(self, now: float) -> list[Joined[T]]:
        """What waited too long for its next line."""
        done: list[Joined[T]] = []
        for one in self._all:
            wait = one.parser.wait
            if wait is not None:
                for group in [name for name, open_ in one.open.items() if now - open_.at >= wait]:
                    done += one.flush(group)
        return done

    def flush(self) -> list[Joined[T]]:
        """All that is open: the source has ended."""
        return [record for one in self._all for group in list(one.open) for record in one.flush(group)]

    @property
    def waiting(self) -> list[T]:
        """The items of what is open, of each record in order: a position must not pass them."""
        return [item for one in self._all for open_ in one.open.values() for item in open_.items]


def _with_text(fields: dict[str, Any] | None, key: str, text: str) -> dict[str, Any] | None:
    """The first line's fields with the text of all."""
    return fields | {key: text} if fields is not None and key in fields else fields


def _fitting(rules: Sequence[Rule], state: str, text: str) -> Rule | None:
    for rule in rules:
        if state in rule.states:
            try:
                if rule.pattern.search(text, timeout=TIMEOUT) is not None:
                    return rule
            except TimeoutError:
                continue
    return None
