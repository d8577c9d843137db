"""Filter `nest`: puts keys into an object under another key, or takes them out. Source: Fluent Bit's manual, "Nest"."""

from __future__ import annotations

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields, fields_of, plain
from kubewitness.filters.section import Given, options_of

KEYS = (
    Key("operation", doc="`nest` or `lift`", choices=("nest", "lift")),
    Key("wildcard", doc="nest: `KEY`, or `BEGIN*` for all keys that begin so", multi=True),
    Key("nest_under", doc="nest: the key of the object"),
    Key("nested_under", doc="lift: the key of the object"),
    Key("add_prefix", doc="before the keys that are moved"),
    Key("remove_prefix", doc="from the keys that are moved, if they begin so. Not together with `add_prefix`"),
)


class Nest(Changing):
    """Moved keys go behind the others. A value that is in the way of an object is never replaced by one."""

    def __init__(self, keys: Given, name: str = "nest") -> None:
        super().__init__(name)
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self._lifts = options.choice("operation") == "lift"
        needed = "nested_under" if self._lifts else "nest_under"
        self._under = options.text(needed)
        if not options.given("operation") or not self._under:
            raise UsageError(f"{what}: it needs 'operation' (nest or lift), and {needed!r} with it")
        self._add, self._remove = options.text("add_prefix"), options.text("remove_prefix")
        if self._add and self._remove:
            raise UsageError(f"{what}: 'add_prefix' and 'remove_prefix' exclude each other")
        words = [line.strip() for line in options.lines("wildcard")]
        self._exact = {word for word in words if not word.endswith("*")}
        self._begins = tuple(word[:-1] for word in words if word.endswith("*"))

    def change(self, fields: Fields, tag: str) -> Fields | None:
        return self._lift(fields) if self._lifts else self._nest(fields)

    def _nest(self, fields: Fields) -> Fields | None:
        chosen = {k: v for k, v in fields.items() if k in self._exact or k.startswith(self._begins)}
        others = {k: v for k, v in fields.items() if k not in chosen}
        there = self._object(others) if self._under in others else {}
        if not chosen or there is None:
            return None
        others.pop(self._under, None)
        others[self._under] = {**there, **{self._named(k): v for k, v in chosen.items()}}
        return others

    def _lift(self, fields: Fields) -> Fields | None:
        there = self._object(fields) if self._under in fields else None
        if there is None:
            return None
        lifted = {self._named(k): v for k, v in there.items()}
        return {**{k: v for k, v in fields.items() if k != self._under and k not in lifted}, **lifted}

    def _object(self, fields: Fields) -> Fields | None:
        """The object under the key, its values undecoded; None for a value that is none."""
        value = fields[self._under]
        return fields_of(value) if isinstance(plain(value), dict) else None

    def _named(self, key: str) -> str:
        return self._add + (key.removeprefix(self._remove) if self._remove else key)
