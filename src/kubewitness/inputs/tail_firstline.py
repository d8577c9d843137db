"""Records of several lines in tail's older way: `multiline on`, `parser_firstline`, `parser_N`.

A record begins with a line that `parser_firstline` fits. Of the lines behind it, the first of `parser_1`, `parser_2`
and so on that fits adds its fields; what none fits is put behind the record's last text, on a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from kubewitness.contracts import Parsed, Parser
from kubewitness.parsers.joined import LIMIT, Joined

T = TypeVar("T")


class FirstLine(Generic[T]):
    """As `parsers.multiline.Multiline`, for one file."""

    def __init__(self, first: Parser, others: Sequence[Parser], *, wait: float, limit: int = LIMIT) -> None:
        self._first = first
        self._others = others
        self._wait = wait
        self._limit = limit
        self._fields: dict[str, Any] = {}
        self._time_ns: int | None = None
        self._items: list[T] = []
        self._size = 0
        self._at = 0.0

    def add(self, text: str, item: T, *, fields: Mapping[str, Any] | None = None, now: float = 0.0) -> list[Joined[T]]:
        raw = text.encode("utf-8", "surrogateescape")
        parsed = self._first.parse(raw)
        self._at = now
        if parsed is not None:
            done = self.flush()
            self._fields, self._time_ns = dict(parsed.fields), parsed.time_ns
            self._items, self._size = [item], len(text)
            return done
        if not self._items:
            return [Joined(text, [item], None, None)]
        done = self.flush(cut=True) if self._size + len(text) > self._limit else []
        if done:
            return [*done, Joined(text, [item], None, None)]
        self._go_on(text, self._other(raw))
        self._items.append(item)
        self._size += len(text) + 1
        return []

    def _other(self, raw: bytes) -> Parsed | None:
        return next((parsed for parser in self._others if (parsed := parser.parse(raw)) is not None), None)

    def _go_on(self, text: str, parsed: Parsed | None) -> None:
        if parsed is not None:
            self._fields |= parsed.fields
            return
        last = next((name for name in reversed(self._fields) if isinstance(self._fields[name], str)), "log")
        before = self._fields.get(last)
        self._fields[last] = f"{before}\n{text}" if before is not None else text

    def expired(self, now: float) -> list[Joined[T]]:
        return self.flush() if self._items and now - self._at >= self._wait else []

    def flush(self, cut: bool = False) -> list[Joined[T]]:
        if not self._items:
            return []
        done = [Joined("", self._items, self._fields, self._time_ns, cut)]
        self._fields, self._items, self._size = {}, [], 0
        return done

    @property
    def waiting(self) -> list[T]:
        return list(self._items)
