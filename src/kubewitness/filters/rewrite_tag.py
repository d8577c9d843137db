"""Filter `rewrite_tag`: gives records that match another tag, for other filters and outputs. Source: Fluent Bit's
manual, "Rewrite tag"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE, fields_of
from kubewitness.filters.patterns import Pattern
from kubewitness.filters.section import Given, located, options_of, words_of
from kubewitness.formats.accessor import Path, Reader, Template
from kubewitness.formats.recordform import objects, retagged
from kubewitness.record import KEY_BYTES, Chunk

_NOTHING = "accepted, without effect: records with a new tag go on in the same batch"

KEYS = (
    Key("rule", doc="`$KEY REGEX NEW_TAG KEEP`: the first that matches counts. NEW_TAG may have `$TAG`, `$TAG[n]`, "
        "`$0` to `$9` and keys of the record; KEEP true: the record also stays as it is", multi=True),
    Key("emitter_name", doc=_NOTHING),
    Key("emitter_storage.type", "text", "memory", _NOTHING),
    Key("emitter_mem_buf_limit", "size", "10M", _NOTHING),
)  # fmt: skip


class _Rule(NamedTuple):
    path: Path
    pattern: Pattern
    tag: Template
    keep: bool


class RewriteTag:
    """Records keep their bytes. With a new tag they go through all filters from the first one, but never again through
    one that retagged them. A copy has an identity of its own, the same whenever the record is captured again."""

    def __init__(self, keys: Given, name: str = "rewrite_tag") -> None:
        options = options_of(keys, KEYS, name)
        self.name = name
        self._rules = [_rule(line, f"filter {name}") for line in options.lines("rule")]
        if not self._rules:
            raise UsageError(f"filter {name}: it needs 'rule'")
        self._reader = Reader([rule.path for rule in self._rules])
        self._unread = 0

    def health(self) -> Mapping[str, object]:
        return {"unread": self._unread}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        stay: list[int] = []
        moved: dict[str, list[int]] = {}
        copies: dict[str, list[int]] = {}
        for i, raw in enumerate(objects(chunk)):
            tag, keep = self._new(raw, chunk.tag)
            if keep or tag == chunk.tag:
                stay.append(i)
            if tag != chunk.tag:
                (copies if keep else moved).setdefault(tag, []).append(i)
        left = [chunk.select(stay)] if stay else []
        left += [retagged(chunk.select(indexes), tag) for tag, indexes in moved.items()]
        return left + [_copy(chunk.select(indexes), tag) for tag, indexes in copies.items()]

    def _new(self, raw: bytes, tag: str) -> tuple[str, bool]:
        """(its tag from now on, whether it keeps the old one as well)."""
        try:
            values = self._reader.read(raw)
            for rule, value in zip(self._rules, values, strict=True):
                match = rule.pattern.search(value) if isinstance(value, str) else None
                if match is not None:
                    fields = fields_of(raw) if rule.tag.paths else {}
                    return rule.tag.render(fields, tag, (match[0], *match.groups())) or tag, rule.keep
        except UNREADABLE:
            self._unread += 1
        return tag, False


def _copy(chunk: Chunk, tag: str) -> Chunk:
    made = retagged(chunk, tag)
    salt = tag.encode()
    made.keys = b"".join(
        hashlib.blake2b(chunk.key(i) + salt, digest_size=KEY_BYTES, person=b"rewrite_tag").digest()
        for i in range(len(chunk) if chunk.keys else 0)
    )
    return made


def _rule(line: str, what: str) -> _Rule:
    words = words_of(line, 4)
    if len(words) != 4 or words[3].lower() not in ("true", "false", "on", "off", "yes", "no", "1", "0"):
        raise UsageError(f"{what}: 'rule' is {line!r}; it is `$KEY REGEX NEW_TAG KEEP`, KEEP true or false")
    keep = words[3].lower() in ("true", "on", "yes", "1")
    return _Rule(located(words[0], what), Pattern(words[1], f"{what}: 'rule'"), Template(words[2]), keep)
