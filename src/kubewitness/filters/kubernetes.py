"""Filter `kubernetes`: says of which pod a log record is, and what is known of that pod. Source: Fluent Bit's manual,
"Kubernetes".

Metadata comes from one watch for all pods of the node (`kube.podmeta`). All lines of a file are of one container, so
what is said of them is said once, beside the chunk (`Chunk.also`): records that are not merged keep their bytes.
"""

from __future__ import annotations

import asyncio
import copy
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from kubewitness.filters.changing import UNREADABLE, encode, fields_of, plain
from kubewitness.filters.kubernetes_keys import KEYS, plan_of
from kubewitness.filters.kubernetes_log import STREAMS, Merging, PodParsers, Told, told_by
from kubewitness.filters.kubernetes_names import Named, Names
from kubewitness.filters.section import Given, options_of
from kubewitness.formats.record_times import times_ns
from kubewitness.formats.recordform import objects, rewritten
from kubewitness.kube.podmeta import PodMetadata
from kubewitness.kube.pods import Entry, rendered, rendered_namespace
from kubewitness.parsers.library import Library
from kubewitness.record import Chunk

__all__ = ["KEYS", "Kubernetes"]

_MEMBERS = b'"kubernetes'
#: forms of log lines whose keys are not the lines' own
_PLAIN = ("cri", "text", "klog", "")
#: containers whose metadata is kept as text
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of one container's records, and what it was made of."""

    also: bytes
    told: Told
    pod: Entry | None
    namespace: Entry | None

    @property
    def members(self) -> dict[str, msgspec.Raw]:
        return fields_of(b"{" + self.also + b"}")

    def excludes(self, stream: str | None) -> bool:
        exclude = self.told.exclude
        return exclude.get(stream, False) if stream else all(exclude.get(s, False) for s in STREAMS)

    def parser(self, stream: str | None) -> str:
        parser = self.told.parser
        if stream:
            return parser.get(stream, "")
        one, other = (parser.get(s, "") for s in STREAMS)
        return one if one == other else ""


class Kubernetes:
    """A record whose pod is not known goes on with the names that its tag has, and is counted as `missing`; one whose
    tag has none goes on as it is (`unnamed`)."""

    def __init__(self, keys: Given, name: str = "kubernetes", library: Library | None = None) -> None:
        """`library`: parsers by name; by default those that are bundled."""
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self.name = name
        library = library or Library()
        self._names = Names(options, library, what)
        self._merging = Merging(options, library, what)
        self._parsers = PodParsers(library)
        self._journal = options.flag("use_journal")
        self._dummy = options.flag("dummy_meta")
        self._may_exclude = options.flag("k8s-logging.exclude")
        self._may_parse = options.flag("k8s-logging.parser") and self._merging.on
        plan = plan_of(options, name)
        if options.flag("use_tag_for_meta"):
            plan = replace(plan, pods=None)
        self._asks = plan.pods is not None
        self._shows_pod = not options.flag("namespace_metadata_only")
        self._shows_namespace = plan.namespaces is not None
        nobody = self._dummy or (plan.pods is None and plan.namespaces is None)
        self._metadata = None if nobody else PodMetadata(plan)
        self._said: dict[Named, _Said] = {}
        self._counts = {"missing": 0, "unnamed": 0, "excluded": 0, "merged": 0, "unread": 0}

    # --- learning ----------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        if self._metadata is not None:
            await self._metadata.serve()

    def missing(self, chunk: Chunk) -> Awaitable[None] | None:
        metadata = self._metadata
        if metadata is None:
            return None
        local = chunk.origin is not None
        if not self._journal:
            named = self._names.of_chunk(chunk)
            return None if named is None else metadata.missing(named.key, named.container_id, named.uid, local=local)
        found = {named for raw in objects(chunk) if (named := self._journal_name(raw)) is not None}
        waits = [w for n in found if (w := metadata.missing(n.key, n.container_id, local=local)) is not None]
        return _all(waits) if waits else None

    def _journal_name(self, raw: bytes) -> Named | None:
        try:
            return self._named(fields_of(raw))
        except UNREADABLE:
            return None

    def _named(self, fields: Mapping[str, Any]) -> Named | None:
        container = plain(fields.get("CONTAINER_NAME"))
        return self._names.of_journal(container) if isinstance(container, str) else None

    def health(self) -> Mapping[str, object]:
        """`missing`: records whose pod's metadata could not be had; `pods` and `namespaces`: of their watches."""
        told = self._metadata.health() if self._metadata is not None else {}
        return {**self._counts, "unknown_parsers": self._parsers.unknown, **told}

    # --- records -----------------------------------------------------------------------------------------------------

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        if self._dummy:
            return [self._with(chunk, b'"kubernetes":{"dummy":%b}' % encode(time.ctime()))]
        if self._journal:
            return self._each(chunk, self._said_in_journal)
        named = self._names.of_chunk(chunk)
        if named is None:
            self._counts["unnamed"] += len(chunk)
            return [chunk]
        said = self._said_of(named)
        if self._asks and said.pod is None:
            self._counts["missing"] += len(chunk)
        if self._excludes_all(said):
            self._counts["excluded"] += len(chunk)
            return []
        left = self._each(chunk, lambda _: said, said) if self._looks_into(chunk, said) else [chunk]
        return [self._with(part, said.also) for part in left]

    def _said_in_journal(self, fields: Mapping[str, Any]) -> _Said | None:
        named = self._named(fields)
        if named is None:
            self._counts["unnamed"] += 1
            return None
        said = self._said_of(named)
        self._counts["missing"] += self._asks and said.pod is None
        return said

    def _said_of(self, named: Named) -> _Said:
        metadata = self._metadata
        pod = metadata.pod(named.key, named.container_id, named.uid) if metadata is not None else None
        namespace = metadata.namespace(named.key.namespace) if metadata is not None else None
        known = self._said.get(named)
        if known is not None and known.pod is pod and known.namespace is namespace:
            return known
        parts = [rendered(named.told, pod)] if self._shows_pod else []
        if self._shows_namespace and namespace is not None:
            parts.append(rendered_namespace(named.key.namespace, namespace))
        told = told_by(pod, named.told.get("container_name", ""))
        of_namespace = told_by(namespace, "")
        told = Told({**of_namespace.exclude, **told.exclude}, told.parser)
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        said = self._said[named] = _Said(b",".join(parts), told, pod, namespace)
        return said

    def _excludes_all(self, said: _Said) -> bool:
        return self._may_exclude and all(said.excludes(stream) for stream in STREAMS)

    def _looks_into(self, chunk: Chunk, said: _Said) -> bool:
        """Whether it matters what is in the records."""
        if self._may_exclude and any(said.told.exclude.values()):
            return True
        if not self._merging.on:
            return False
        return not (self._only_objects(said) and chunk.form in _PLAIN and b"{" not in chunk.data)

    def _only_objects(self, said: _Said) -> bool:
        """Whether nothing but an object is merged. Most containers write text."""
        return not self._merging.has_parser and not (self._may_parse and said.told.parser)

    def _each(
        self, chunk: Chunk, said_of: Callable[[Mapping[str, Any]], _Said | None], all_: _Said | None = None
    ) -> list[Chunk]:
        """Record by record: left out, merged, or as it was. `all_`: what is said of all of them; without it each is
        given what is said of it."""
        may_merge = self._merging.may_merge
        only_objects = all_ is not None and self._only_objects(all_) and not any(all_.told.exclude.values())
        kept: list[int] = []
        changes: dict[int, bytes] = {}
        times: dict[int, int] = {}
        shown = objects(chunk)
        for i, raw in enumerate(shown):
            if only_objects and not may_merge(raw):
                kept.append(i)
                continue
            try:
                fields = fields_of(raw)
                said = said_of(fields)
                if said is not None:
                    stream = _stream(fields)
                    if self._may_exclude and said.excludes(stream):
                        self._counts["excluded"] += 1
                        continue
                    made, time_ns = self._merged(fields, said, stream)
                    if all_ is None:
                        made = {**(made or fields), **said.members}
                    if made is not None:
                        changes[len(kept)] = encode(made)
                    if time_ns is not None:
                        times[len(kept)] = time_ns
            except UNREADABLE:
                self._counts["unread"] += 1
            kept.append(i)
        if not kept:
            return []
        left = chunk.select(kept)
        return [rewritten(left, changes, _timed(left, times) if times else None, shown=[shown[i] for i in kept])]

    def _merged(
        self, fields: dict[str, Any], said: _Said, stream: str | None
    ) -> tuple[dict[str, Any] | None, int | None]:
        if not self._merging.on:
            return None, None
        parser = None
        if self._may_parse and (word := said.parser(stream)):
            parser = self._parsers.get(word, said.pod.key.name if said.pod is not None else "")
        found = self._merging.merged(fields, parser)
        if found is None:
            return None, None
        self._counts["merged"] += 1
        return found.fields, found.time_ns

    def _with(self, chunk: Chunk, also: bytes) -> Chunk:
        """The chunk with these members of every record."""
        if not also:
            return chunk
        if chunk.table == "logs" and not chunk.also and (chunk.form in _PLAIN or _MEMBERS not in chunk.data):
            made = copy.copy(chunk)
            made.also = also
            return made
        members = fields_of(b"{" + also + b"}")
        changes = {}
        for i, raw in enumerate(objects(chunk)):
            try:
                changes[i] = encode({**fields_of(raw), **members})
            except UNREADABLE:
                self._counts["unread"] += 1
        return rewritten(chunk, changes)


def _stream(fields: Mapping[str, Any]) -> str | None:
    """None for a record of none, or of an unknown one."""
    stream = plain(fields.get("stream"))
    return stream if stream in STREAMS else None


def _timed(chunk: Chunk, times: Mapping[int, int]) -> array[int]:
    made = array("q", times_ns(chunk))
    for i, ns in times.items():
        made[i] = ns
    return made


async def _all(waits: Sequence[Awaitable[None]]) -> None:
    await asyncio.gather(*waits)
