"""Times as people type them: RFC 3339, ages (`15m`, `2h`), clock times (`10:42`), dates, `now`, `yesterday 10:42`."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

import msgspec

from kubewitness.errors import Malformed, UsageError
from kubewitness.formats.times import parse_us

_AGE = re.compile(r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d|w))+")
_AGE_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")
_UNIT_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_LOCAL_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_CLOCK_FORMS = ("%H:%M:%S", "%H:%M")


def now_us() -> int:
    """Now, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def span(us: int) -> str:
    """A duration in microseconds as people say it: `2.3 s`, `12 min 3 s`, `3 d 4 h`."""
    if us < 60_000_000:
        return f"{us / 1e6:.1f} s"
    return whole_span(us // 1_000_000)


def whole_span(seconds: int) -> str:
    """A duration in at most two units: `12 s`, `3 d 4 h`."""
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts: list[str] = []
    rest = seconds
    for size, name in units:
        if rest >= size or (name == "s" and not parts):
            parts.append(f"{rest // size} {name}")
            rest %= size
    return " ".join(parts[:2])


def parse_time(text: str, *, now: int | None = None, option: str = "time") -> int:
    """Microseconds since 1970 UTC of what a user typed.

    Ages are counted back from `now` (`1h30m` too); times without an offset are local; a clock time alone is
    the last such time that has been. Raises `UsageError` that names `option`.
    """
    word = text.strip()
    at = now_us() if now is None else now
    if word.lower() == "now":
        return at
    if _AGE.fullmatch(word.removeprefix("-").removesuffix(" ago")):
        return at - age_us(word.removeprefix("-").removesuffix(" ago"))
    local = _local(word, at)
    if local is not None:
        return local
    try:
        return parse_us(word)
    except Malformed:
        raise UsageError(
            f"{option}: {text!r} is not a time; write RFC 3339 (2026-11-22T19:26:05Z), an age (15m, 2h, 3d), "
            "or a local time (10:42, 2026-11-22 10:42)"
        ) from None


def age_us(text: str) -> int:
    """Microseconds of `90s`, `1h30m`, `2d`. Raises `UsageError`."""
    if not _AGE.fullmatch(text):
        raise UsageError(f"{text!r} is not a duration; write 90s, 15m, 1h30m, 2d")
    return int(sum(float(number) * _UNIT_US[unit] for number, unit in _AGE_PART.findall(text)))


def _local(word: str, at: int) -> int | None:
    """A time without an offset, in the local zone."""
    day, _, clock = word.partition(" ")
    today = datetime.fromtimestamp(at / 1e6)
    if day.lower() in ("today", "yesterday"):
        base = today - timedelta(days=1 if day.lower() == "yesterday" else 0)
        word = f"{base:%Y-%m-%d} {clock or '00:00'}"
    word = word.replace("T", " ", 1) if "T" in word and not re.search(r"(Z|[+-]\d\d:?\d\d)$", word) else word
    whole, dot, fraction = word.partition(".")
    extra = int((fraction + "000000")[:6]) if dot and fraction.isdigit() else 0
    if dot and not fraction.isdigit():
        return None
    for form in _LOCAL_FORMS:
        try:
            return int(datetime.strptime(whole, form).timestamp()) * 1_000_000 + extra
        except ValueError:
            continue
    for form in _CLOCK_FORMS:
        try:
            clock_time = datetime.strptime(whole, form)
        except ValueError:
            continue
        moment = today.replace(hour=clock_time.hour, minute=clock_time.minute, second=clock_time.second, microsecond=0)
        us = int(moment.timestamp()) * 1_000_000 + extra
        if us > at:
            us = int((moment - timedelta(days=1)).timestamp()) * 1_000_000 + extra
        return us
    return None


class Window(msgspec.Struct, frozen=True):
    """A span of time, microseconds UTC, both ends included; None is open."""

    since: int | None = None
    until: int | None = None

    def clip(self, since: int | None, until: int | None) -> Window:
        """The part of this window that lies within the other."""
        lows = [t for t in (self.since, since) if t is not None]
        highs = [t for t in (self.until, until) if t is not None]
        return Window(max(lows) if lows else None, min(highs) if highs else None)

    def conditions(self, where: list[str], params: list[Any], column: str = "ts") -> None:
        if self.since is not None:
            where.append(f"{column} >= make_timestamp(?)")
            params.append(self.since)
        if self.until is not None:
            where.append(f"{column} <= make_timestamp(?)")
            params.append(self.until)
