"""Filter `expect`: says so, ends the pipeline, or marks the record, when one is not as expected. Source: Fluent Bit's
manual, "Expect" and "Validating your data and structure"."""

from __future__ import annotations

import logging
from collections.abc import Callable

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields
from kubewitness.filters.section import Given, located, options_of, pairs_of, words_of
from kubewitness.formats.accessor import MISSING, Path, text_of, value_at

log = logging.getLogger("kubewitness.filters")

KEYS = (
    Key("key_exists", doc="`KEY`", multi=True),
    Key("key_not_exists", doc="`KEY`", multi=True),
    Key("key_val_is_null", doc="`KEY`", multi=True),
    Key("key_val_is_not_null", doc="`KEY`", multi=True),
    Key("key_val_eq", doc="`KEY VALUE`", multi=True),
    Key("action", "text", "warn", "`warn`: a line in the log; `exit`: the pipeline ends with status 255; `result_key`: "
        "true or false is put into the record", choices=("warn", "exit", "result_key")),
    Key("result_key", "text", "matched", "the key for it"),
)  # fmt: skip

_CHECKS: dict[str, Callable[[object, str], bool]] = {
    "key_exists": lambda value, _: value is not MISSING,
    "key_not_exists": lambda value, _: value is MISSING,
    "key_val_is_null": lambda value, _: value is None,
    "key_val_is_not_null": lambda value, _: value is not None and value is not MISSING,
    "key_val_eq": lambda value, wanted: value is not MISSING and text_of(value) == wanted,
}


class NotAsExpected(UsageError):
    """The user asked for an end of everything when a record is not as expected."""

    exit_code = 255


class Expect(Changing):
    """All rules are checked; the first that does not hold is told. Never what the record holds."""

    def __init__(self, keys: Given, name: str = "expect") -> None:
        super().__init__(name)
        options = options_of(keys, KEYS, name)
        self._rules = [_rule(key, value, f"filter {name}") for key, value in pairs_of(keys) if key in _CHECKS]
        self._action = options.choice("action")
        self._key = options.text("result_key").strip()
        self._failed = 0

    def health(self) -> dict[str, object]:
        return {**super().health(), "failed": self._failed}

    def change(self, fields: Fields, tag: str) -> Fields | None:
        wrong = next((r for r in self._rules if not _CHECKS[r[0]](value_at(fields, r[1]), r[2])), None)
        self._failed += wrong is not None
        if self._action == "result_key":
            return {**{k: v for k, v in fields.items() if k != self._key}, self._key: wrong is None}
        if wrong is not None:
            says = f"filter {self.name}: a record of tag {tag} fails {wrong[0]} {wrong[1]} {wrong[2]}".rstrip()
            if self._action == "exit":
                raise NotAsExpected(says)
            log.warning("%s", says)
        return None


def _rule(key: str, value: str, what: str) -> tuple[str, Path, str]:
    words = words_of(value, 2)
    if len(words) != (2 if key == "key_val_eq" else 1):
        raise UsageError(f"{what}: {key!r} is {value!r}; it takes a key{' and a value' * (key == 'key_val_eq')}")
    return key, located(words[0], what), words[1] if len(words) > 1 else ""
