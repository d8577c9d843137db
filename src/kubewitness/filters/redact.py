"""Filter `redact` (ours): replaces what must not be kept, by key or by what it looks like."""

from __future__ import annotations

import re
from typing import Any

import regex

from kubewitness.config.keys import Key, nearest
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields, encode, plain
from kubewitness.filters.section import Given, located, options_of
from kubewitness.formats.accessor import Path
from kubewitness.parsers.onigmo import compiled
from kubewitness.parsers.regex import TIMEOUT

KEYS = (
    Key("key", doc="`KEY`, also `$user['extra']`: its value is replaced, whatever it is", multi=True),
    Key("pattern", doc="a regular expression: what it finds in any text of the record is replaced", multi=True),
    Key("builtin", "list", doc="patterns by name: `bearer`, `jwt`, `email`, `ipv4`, `card`, `aws_key`, `private_key`"),
    Key("replacement", "text", "REDACTED", "what stands there instead"),
)

#: name -> what such texts look like
BUILTIN: dict[str, str] = {
    "bearer": r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    "email": r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
    "ipv4": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "card": r"\b\d(?:[ -]?\d){12,18}\b",
    "aws_key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "private_key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
}

_DIGIT = re.compile(r"\d")


class Redact(Changing):
    """Keys of objects are kept; texts within nested objects and arrays are looked at, too. A record that could not be
    looked through in time is replaced as a whole: it is never let through as it is."""

    redacts = True

    def __init__(self, keys: Given, name: str = "redact") -> None:
        super().__init__(name)
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self._paths = [located(line.strip(), what) for line in options.lines("key")]
        named = options.items("builtin")
        for word in named:
            if word not in BUILTIN:
                raise UsageError(f"{what}: 'builtin' has no {word!r}{nearest(word, BUILTIN)}")
        self._cards = "card" in named
        self._patterns = [
            compiled(text) for text in (*options.lines("pattern"), *(BUILTIN[w] for w in named if w != "card"))
        ]
        if not self._paths and not self._patterns and not self._cards:
            raise UsageError(f"{what}: it needs 'key', 'pattern' or 'builtin'")
        self._card = compiled(BUILTIN["card"])
        self._with = options.text("replacement")

    def change(self, fields: Fields, tag: str) -> Fields | None:
        made = dict(fields)
        for path in self._paths:
            self._replace(made, path)
        if self._patterns or self._cards:
            for name, value in made.items():
                before = plain(value)
                after = self._cleaned(before)
                if after != before:
                    made[name] = after
        return made if made != fields else None

    def instead(self) -> bytes:
        return encode({"redacted": self._with})

    def _replace(self, fields: Fields, path: Path) -> None:
        """Puts the replacement at the path; what lies around it is decoded, and copied."""
        steps = path.steps
        if steps[0] not in fields:
            return
        top = str(steps[0])
        if len(steps) == 1:
            fields[top] = self._with
            return
        value = plain(fields[top])
        inner = value
        for step in steps[1:-1]:
            inner = _at(inner, step)
        if _at(inner, steps[-1]) is not None:
            inner[steps[-1]] = self._with
            fields[top] = value

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            for pattern in self._patterns:
                value = pattern.sub(lambda _: self._with, value, timeout=TIMEOUT)
            return self._card.sub(self._card_number, value, timeout=TIMEOUT) if self._cards else value
        if isinstance(value, list):
            return [self._cleaned(item) for item in value]
        if isinstance(value, dict):
            return {k: self._cleaned(item) for k, item in value.items()}
        return value

    def _card_number(self, match: regex.Match[str]) -> str:
        return self._with if luhn(match[0]) else match[0]


def luhn(text: str) -> bool:
    """Whether the digits of a text are those of a card: their check digit is right."""
    digits = [int(d) for d in _DIGIT.findall(text)][::-1]
    total = sum(digits[::2]) + sum(2 * d - 9 * (d > 4) for d in digits[1::2])
    return 13 <= len(digits) <= 19 and total % 10 == 0


def _at(value: Any, step: str | int) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None
