"""What comes out of lines that belong together."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
#: characters of a record (Fluent Bit's multiline_buffer_limit)
LIMIT = 2_000_000


class Joined(NamedTuple, Generic[T]):
    """One record."""

    text: str
    #: of its lines, in their order
    items: list[T]
    #: the first line's fields, with all of the text in the content's place; None when lines are text
    fields: dict[str, Any] | None
    #: of the first line, when its parser found one
    time_ns: int | None
    #: a piece of a record that is longer than the limit
    cut: bool = False
