"""Text for people: colours only on a terminal (NO_COLOR obeyed), local times with their offset, ages, columns."""

from __future__ import annotations

import csv
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

import msgspec

from kubewitness.formats.times import parse_us
from kubewitness.questions.times import now_us, whole_span

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


class Style:
    """Colours, or none."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, *names: str) -> str:
        if not self.on or not names or not text:
            return text
        return f"\x1b[{';'.join(_CODES[n] for n in names)}m{text}\x1b[0m"


def style_for(stream: TextIO | None = None) -> Style:
    """Colours when the stream is a terminal that wants them (no-color.org; TERM=dumb)."""
    stream = stream or sys.stdout
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(wanted and stream.isatty())


def clean(text: str) -> str:
    """One line without control characters: what a cluster says must not drive the reader's terminal."""
    return "".join(" " if c in "\n\r\t" else c for c in text if c in "\n\r\t" or unicodedata.category(c)[0] != "C")


def local_time(when: str, *, day: bool = True, digits: int = 3) -> str:
    """An answer's RFC 3339 time in the local zone, with its offset: 2026-11-22 20:26:05.038+01:00."""
    us = parse_us(when)
    moment = datetime.fromtimestamp(us // 1_000_000).astimezone()
    fraction = f".{us % 1_000_000:06d}"[: digits + 1] if digits else ""
    offset = moment.strftime("%z")
    form = "%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S"
    return f"{moment.strftime(form)}{fraction}{offset[:3]}:{offset[3:5]}"


def age(when: str, now: int | None = None) -> str:
    """How long ago, in at most two units: `3 d 4 h ago`, `12 s ago`; the future is `in 5 s`."""
    seconds = ((now_us() if now is None else now) - parse_us(when)) // 1_000_000
    text = whole_span(abs(seconds))
    return f"in {text}" if seconds < 0 else f"{text} ago"


def table(rows: Iterable[Sequence[str]], headers: Sequence[str], style: Style, *, last_free: bool = True) -> list[str]:
    """Lines of an aligned table; the last column is as long as it is."""
    cells = [[clean(c) for c in row] for row in rows]
    widths = [len(h) for h in headers]
    for row in cells:
        for i, cell in enumerate(row):
            widths[i] = max(widths[i], len(cell))
    if last_free:
        widths[-1] = 0
    lines = [style("  ".join(h.ljust(w) for h, w in zip(headers, widths, strict=True)).rstrip(), "bold")]
    lines += ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return lines


def print_json(value: Any) -> None:
    """Indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_jsonl(values: Iterable[Any]) -> None:
    """One JSON document a line."""
    for value in values:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_csv(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> None:
    """RFC 4180 with a header line."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(rows)


def note(text: str) -> None:
    """A remark beside the answer, on stderr."""
    print(text, file=sys.stderr)
