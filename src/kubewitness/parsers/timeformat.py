"""Times by a format of strptime(3), as Fluent Bit's parsers take them.

`%L` is a fraction of a second of any length, and may be missing together with the point before it; `%z` takes `Z`,
`+hh`, `+hhmm`, `+hh:mm` and the names `%Z` takes. White space stands for any white space, none included; what follows
the format is ignored. A time without a year has the latest one that is not more than a day ahead (Fluent Bit: always
the current one, so December's lines read in January are a year early). A time without a zone is UTC, unless
`time_offset` or `time_system_timezone` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from kubewitness.errors import UsageError

_DAY = 86_400
#: characters of a text that are looked at: white space in a format must not be tried at each place of a long line
_LONGEST = 100
#: seconds that are remembered
_CACHED = 4096
_EPOCH = datetime(1970, 1, 1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0,
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip
_DAYS = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?"
)
_ZONE = rf"[+-]\d\d:?(?:\d\d)?|(?:{'|'.join(sorted(_ZONES, key=len, reverse=True))})\b"
#: directive -> (what is captured, its pattern); "" captures nothing
_DIRECTIVES = {
    "Y": ("year", r"\d{4}"), "y": ("short", r"\d{1,2}"), "m": ("month", r"\d{1,2}"), "b": ("name", _MONTH),
    "d": ("day", r"\s?\d{1,2}"), "j": ("yearday", r"\d{1,3}"), "H": ("hour", r"\s?\d{1,2}"),
    "I": ("twelve", r"\s?\d{1,2}"), "M": ("minute", r"\d{1,2}"), "S": ("second", r"\d{1,2}"), "p": ("half", "[ap]m"),
    "L": ("fraction", r"\d+"), "s": ("epoch", r"\d{1,10}"), "z": ("zone", _ZONE), "Z": ("zone", _ZONE),
    "a": ("", _DAYS), "u": ("", r"\d"), "w": ("", r"\d"), "U": ("", r"\d\d?"), "W": ("", r"\d\d?"),
    "V": ("", r"\d\d?"), "%": ("", "%"),
}  # fmt: skip
_SAME = {"B": "b", "h": "b", "e": "d", "A": "a", "k": "H", "l": "I"}
_SHORTHANDS = {
    "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y", "F": "%Y-%m-%d", "r": "%I:%M:%S %p", "c": "%a %b %e %H:%M:%S %Y",
    "x": "%m/%d/%y", "X": "%H:%M:%S",
}  # fmt: skip
_OFFSET = re.compile(r"Z|([+-])(\d\d):?(\d\d)")


class TimeFormat:
    """One `time_format`. Raises UsageError for a directive that does not exist and for a wrong offset."""

    def __init__(
        self, text: str, clock: Callable[[], float], *, offset: str = "", local: bool = False, strict: bool = True
    ) -> None:
        self._clock = clock
        self._local = local
        self._offset = _offset(offset)
        self._strict = strict
        # `Z` as a letter means UTC there, too, whatever the offset for times without a zone is
        self._is_utc = "%SZ" in text or "%LZ" in text
        self._pattern = re.compile(_pattern(text, strict), re.IGNORECASE | re.ASCII)
        groups = self._pattern.groupindex
        self._has_fraction = "fraction" in groups
        self._has_year = bool({"year", "short", "epoch"} & groups.keys()) and strict
        self._known: dict[str, int] = {}

    def parse(self, text: str) -> int | None:
        """Nanoseconds since 1970 UTC, None when the text is no such time. Leading white space does not matter."""
        text = text[:_LONGEST]
        found = self._pattern.match(text)
        if found is None:
            return None
        begin, end = found.span("fraction") if self._has_fraction else (-1, -1)
        # records come in order, so that few seconds are live at once
        rest = text[:begin] + text[end : found.end()] if begin >= 0 else text[: found.end()]
        seconds = self._known.get(rest)
        if seconds is None or not self._has_year:
            seconds = self._read(found)
            if seconds is None:
                return None
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[rest] = seconds
        return seconds * 1_000_000_000 + (int(text[begin:end][:9].ljust(9, "0")) if begin >= 0 else 0)

    def _read(self, found: re.Match[str]) -> int | None:
        """Seconds since 1970."""
        parts = {name: value for name, value in found.groupdict().items() if value is not None}
        if not parts.keys() - {"fraction"}:
            return None
        try:
            seconds = int(parts["epoch"]) if "epoch" in parts else self._seconds(parts)
        except (ValueError, OverflowError, OSError):
            return None  # 30 February, or a year that no calendar has
        # what does not fit 64 bits of nanoseconds is no time of a record
        return seconds if -(2**33) < seconds < 2**33 else None

    def _seconds(self, parts: dict[str, str]) -> int:
        if "year" not in parts and "short" not in parts:
            return self._without_year(parts)
        year = int(parts["year"]) if "year" in parts else _century(int(parts["short"]))
        return self._in(year, parts)

    def _without_year(self, parts: dict[str, str]) -> int:
        now = self._clock()
        today = _EPOCH + timedelta(seconds=now)
        if not {"month", "name", "day", "yearday"} & parts.keys():
            parts |= {"month": str(today.month), "day": str(today.day)}
        for year in range(today.year + 1, today.year - 5, -1):
            try:  # 29 February exists in some years only
                seconds = self._in(year, parts)
            except ValueError:
                continue
            if seconds <= now + _DAY:
                return seconds
        raise ValueError("no year has such a day")

    def _in(self, year: int, parts: dict[str, str]) -> int:
        moment = datetime(year, _month(parts), int(parts.get("day", "1")))
        if "yearday" in parts:
            moment = datetime(year, 1, 1) + timedelta(days=int(parts["yearday"]) - 1)
        # a leap second is the first of the next minute
        hour, minute, second = _hour(parts), int(parts.get("minute", "0")), int(parts.get("second", "0"))
        if hour > 23 or minute > 59 or second > 60:
            raise ValueError("no such time of day")
        moment += timedelta(hours=hour, minutes=minute, seconds=second)
        if "zone" in parts:
            return _between(moment) - _zone(parts["zone"].lower())
        if self._is_utc:
            return _between(moment)
        if self._local:
            return int(moment.timestamp())
        return _between(moment) - self._offset


def _pattern(text: str, strict: bool) -> str:
    """The format as a regular expression. When it need not fit whole, each piece may be the last."""
    pieces = _pieces(text, set())
    return r"\s*" + ("".join(pieces) if strict else "(?:".join(pieces) + ")?" * (len(pieces) - 1))


def _pieces(text: str, seen: set[str]) -> list[str]:
    pieces: list[str] = []
    i = 0
    while i < len(text):
        char = text[i]
        i += 1
        blank = char == "%" and text[i : i + 1] in ("n", "t")
        if char.isspace() or blank:
            i += blank
            if pieces[-1:] != [r"\s*"]:
                pieces.append(r"\s*")
            continue
        if char != "%":
            pieces.append(re.escape(char))
            continue
        letter = text[i : i + 1]
        i += 1
        if letter in ("E", "O"):  # another calendar's, or another script's digits: not here
            letter = text[i : i + 1]
            i += 1
        if letter in _SHORTHANDS:
            pieces += _pieces(_SHORTHANDS[letter], seen)
            continue
        letter = _SAME.get(letter, letter)
        if letter not in _DIRECTIVES:
            raise UsageError(f"'time_format' {text!r}: there is no directive {'%' + letter!r}")
        name, pattern = _DIRECTIVES[letter]
        if letter == "L" and pieces and pieces[-1] in (r"\.", ","):  # a whole second may have neither
            mark, fraction = pieces.pop(), f"(?P<{name}>{pattern})" if name not in seen else pattern
            pieces.append(f"(?:{mark}{fraction})?")
            seen.add(name)
            continue
        # of what is there twice the first counts
        pieces.append(f"(?P<{name}>{pattern})" if name and name not in seen else f"(?:{pattern})")
        seen.add(name)
    return pieces


def _offset(text: str) -> int:
    """Seconds east of Greenwich."""
    found = _OFFSET.fullmatch(text.strip())
    if text.strip() and found is None:
        raise UsageError(f"'time_offset' is {text!r}; it takes an offset such as +0200")
    return _zone(text.strip().lower()) if text.strip() else 0


def _zone(text: str) -> int:
    if text in _ZONES:
        return _ZONES[text] * 3600
    digits = text[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if text[0] == "-" else seconds


def _month(parts: dict[str, str]) -> int:
    return _MONTHS.index(parts["name"][:3].lower()) + 1 if "name" in parts else int(parts.get("month", "1"))


def _hour(parts: dict[str, str]) -> int:
    if "twelve" not in parts:
        return int(parts.get("hour", "0"))
    hour = int(parts["twelve"])
    if not 1 <= hour <= 12:
        raise ValueError("no such hour")
    return hour % 12 + (12 if parts.get("half", "am").lower() == "pm" else 0)


def _century(year: int) -> int:
    return year + (1900 if year > 68 else 2000)


def _between(moment: datetime) -> int:
    """Seconds since 1970 of a wall clock in UTC."""
    days = moment.toordinal() - 719_163
    return days * _DAY + moment.hour * 3600 + moment.minute * 60 + moment.second
