"""Times: RFC 3339 text (metav1.Time, metav1.MicroTime, any offset) to microseconds since 1970 UTC and back."""

from __future__ import annotations

from datetime import UTC, datetime

from kubewitness.errors import Malformed

# Seconds prefix -> microseconds. Records come in order, so few prefixes are live at once.
_seconds: dict[str, int] = {}
_CACHE_LIMIT = 4096


def parse_us(text: str) -> int:
    """Microseconds since 1970 UTC of an RFC 3339 time; digits beyond microseconds are cut.

    Raises `Malformed` for anything else.
    """
    prefix = text[:19]
    base = _seconds.get(prefix)
    if base is None:
        base = _parse_seconds(prefix, text)
    rest = text[19:]
    if rest == "Z":
        return base
    if rest[:1] == "." and rest[-1:] == "Z":
        digits = rest[1:-1]
        if digits.isdecimal():
            return base + int((digits + "000000")[:6])
    return base + _parse_rest(rest, text)


def _parse_seconds(prefix: str, text: str) -> int:
    try:
        moment = datetime.strptime(prefix.upper().replace(" ", "T"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as e:
        raise Malformed(f"not an RFC 3339 time: {text[:40]!r}") from e
    if len(_seconds) >= _CACHE_LIMIT:
        _seconds.clear()
    base = _seconds[prefix] = int(moment.timestamp()) * 1_000_000
    return base


def _parse_rest(rest: str, text: str) -> int:
    """Fraction and offset, the rare forms."""
    fraction = 0
    if rest[:1] == ".":
        digits = rest[1:]
        cut = next((i for i, c in enumerate(digits) if not c.isdecimal()), len(digits))
        if cut == 0:
            raise Malformed(f"not an RFC 3339 time: {text[:40]!r}")
        fraction = int((digits[:cut] + "000000")[:6])
        rest = digits[cut:]
    if rest in ("Z", "z"):
        return fraction
    sign = {"+": 1, "-": -1}.get(rest[:1], 0)
    hours, colon, minutes = rest[1:].partition(":")
    if not sign or not colon or len(hours) != 2 or len(minutes) != 2 or not (hours + minutes).isdecimal():
        raise Malformed(f"not an RFC 3339 time with an offset: {text[:40]!r}")
    return fraction - sign * (int(hours) * 3600 + int(minutes) * 60) * 1_000_000


def format_us(us: int) -> str:
    """RFC 3339 in UTC with six digits, as the answers print it."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{us % 1_000_000:06d}Z"


def us_or_zero(text: str | None) -> int:
    """Like `parse_us`, but 0 for nothing, for Go's zero time (year 1), and for text that is no time."""
    if not text or text.startswith("0001-"):
        return 0
    base = _seconds.get(text[:19])
    # metav1.MicroTime, and what container runtimes write: nearly all
    if base is not None and len(text) in (27, 30) and text[19] == "." and text[-1] == "Z":
        digits = text[20:-1]
        if digits.isdecimal():
            us = base + int(digits[:6])
            return us if us > 0 else 0
    try:
        return max(0, parse_us(text))
    except Malformed:
        return 0
