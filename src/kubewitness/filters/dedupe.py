"""Filter `dedupe` (ours): of records that say the same, the first in a while."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE, encode
from kubewitness.filters.section import Given, located, options_of
from kubewitness.formats.accessor import MISSING, Reader
from kubewitness.formats.recordform import objects
from kubewitness.record import Chunk

KEYS = (
    Key("key", doc="`KEY`: records are the same when these values are. None: when all their bytes are", multi=True),
    Key("window", "seconds", "60s", "for so long after the first one, the others are left out"),
    Key("max_keys", "int", "100000", "so many are remembered; then the oldest is forgotten, and its like passes again"),
)


class Dedupe:
    """What a restart forgets passes once more: nothing that is remembered only here is ever lost."""

    def __init__(self, keys: Given, name: str = "dedupe", clock: Callable[[], float] = time.monotonic) -> None:
        options = options_of(keys, KEYS, name)
        self.name = name
        what = f"filter {name}"
        paths = [located(line.strip(), what) for line in options.lines("key")]
        self._reader = Reader(paths) if paths else None
        self._window = options.seconds("window")
        self._limit = options.number("max_keys")
        if self._window <= 0 or self._limit < 1:
            raise UsageError(f"{what}: 'window' and 'max_keys' are more than 0")
        self._clock = clock
        #: digest -> when its like may pass again; oldest first
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._fresh: list[bytes] = []
        self._unread = 0

    def health(self) -> Mapping[str, object]:
        return {"remembered": len(self._seen), "unread": self._unread}

    def settle(self) -> Callable[[bool], None]:
        fresh, self._fresh = self._fresh, []

        def settled(durable: bool) -> None:
            # a batch that was refused comes again, and must pass then
            for digest in () if durable else fresh:
                self._seen.pop(digest, None)

        return settled

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        now = self._clock()
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        kept = [i for i, raw in enumerate(objects(chunk)) if self._is_first(raw, now)]
        return [chunk.select(kept)] if kept else []

    def _is_first(self, raw: bytes, now: float) -> bool:
        try:
            said = raw if self._reader is None else b"\0".join(_told(v) for v in self._reader.read(raw))
        except UNREADABLE:
            self._unread += 1
            return True
        digest = hashlib.blake2b(said, digest_size=16).digest()
        if digest in self._seen:
            return False
        self._seen[digest] = now + self._window
        self._fresh.append(digest)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return True


def _told(value: object) -> bytes:
    return b"" if value is MISSING else encode(value)
