"""The keys of a plugin: strings from a pipeline file, checked by whoever owns them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from kubewitness.errors import UsageError

_TRUE = frozenset({"on", "true", "yes", "1"})
_FALSE = frozenset({"off", "false", "no", "0"})


def nearest(word: str, known: Collection[str]) -> str:
    """ "; did you mean ...?" for error messages, or what there is, when nothing is near."""
    near = difflib.get_close_matches(word, known, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(sorted(known))}" if known else "; it takes none"


def check_keys(keys: Mapping[str, str], known: Collection[str], what: str) -> None:
    """UsageError for a key that is not in `known`. `what` is whom the keys are for, e.g. "output file"."""
    for key in keys:
        if key not in known:
            raise UsageError(f"{what}: unknown key {key!r}{nearest(key, known)}")


def choice(keys: Mapping[str, str], key: str, allowed: Collection[str], default: str, what: str) -> str:
    """The value of a key that takes one of a few words."""
    value = keys.get(key, default).lower()
    if value not in allowed:
        raise UsageError(f"{what}: {key!r} cannot be {value!r}{nearest(value, allowed)}")
    return value


def boolean(keys: Mapping[str, str], key: str, default: bool, what: str) -> bool:
    """on/off, true/false, yes/no, 1/0."""
    value = keys.get(key, "on" if default else "off").lower()
    if value not in _TRUE | _FALSE:
        raise UsageError(f"{what}: {key!r} is on or off, not {value!r}")
    return value in _TRUE


def seconds(keys: Mapping[str, str], key: str, default: float, what: str) -> float:
    """A number of seconds, not negative."""
    value = keys.get(key)
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UsageError(f"{what}: {key!r} is a number of seconds, not {value!r}")
    return number


def size(keys: Mapping[str, str], key: str, default: int, what: str) -> int:
    """Bytes; the suffixes K, M, G (KB, MB, GB) are powers of 1000, as in Fluent Bit."""
    value = keys.get(key)
    if value is None:
        return default
    text = value.strip().upper().removesuffix("B")
    factor = {"K": 1000, "M": 1000**2, "G": 1000**3}.get(text[-1:], 1)
    digits = text.rstrip("KMG") if factor > 1 else text
    if not digits.isdecimal():
        raise UsageError(f"{what}: {key!r} is a size such as 5M, not {value!r}")
    return int(digits) * factor
