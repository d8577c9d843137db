"""Which container a record is of: by its tag, by the file that it is a line of, or by what journald says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from kubewitness.config.keys import Options
from kubewitness.contracts import Parser
from kubewitness.filters.kubernetes_keys import TAG_PREFIX
from kubewitness.formats import logs
from kubewitness.kube.pods import Key
from kubewitness.parsers.library import Library, asked
from kubewitness.parsers.onigmo import compiled
from kubewitness.record import Chunk

#: of Fluent Bit's manual
_LOG_FILE = compiled(
    r"(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)"
    r"_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$"
)
#: of Docker's journald driver, as the kubelet called containers
_JOURNAL = compiled(
    r"^(?<name_prefix>[^_]+)_(?<container_name>[^\._]+)(\.(?<container_hash>[^_]+))?_(?<pod_name>[^_]+)"
    r"_(?<namespace_name>[^_]+)_[^_]+_[^_]+$"
)
_FIELDS = ("pod_name", "namespace_name", "container_name", "docker_id", "container_hash")
#: tags, and containers in a journal, that are remembered
_REMEMBERED = 4096
#: tags without names that are told of
_TOLD = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """Who a record is of. `told` are Fluent Bit's names of what is known. The same one for the same tag and file."""

    key: Key
    told: Mapping[str, str]
    uid: str = ""

    @property
    def container_id(self) -> str:
        return self.told.get("docker_id", "")


class Names:
    """Made once from the filter's keys."""

    def __init__(self, opts: Options, library: Library, what: str) -> None:
        self._prefix = opts.text("kube_tag_prefix") or TAG_PREFIX
        self._parser: Parser | None = None
        if name := opts.text("regex_parser").strip():
            self._parser = asked(what, "regex_parser", name, library.parser)
        self._known: dict[tuple[str, str, str], Named | None] = {}
        self._what = what
        self._told = 0

    def of_chunk(self, chunk: Chunk) -> Named | None:
        """None when neither the tag nor the file is called as a container's is."""
        origin = chunk.origin
        place = (chunk.tag, origin.file, origin.target) if origin is not None else (chunk.tag, "", "")
        try:
            return self._known[place]
        except KeyError:
            return self._remember(place, self._of(*place))

    def of_journal(self, container: str) -> Named | None:
        """By the field CONTAINER_NAME."""
        place = ("", container, "journal")
        try:
            return self._known[place]
        except KeyError:
            found = self._parsed(container) if self._parser is not None else _searched(_JOURNAL, container)
            return self._remember(place, _named(found))

    def _remember(self, place: tuple[str, str, str], named: Named | None) -> Named | None:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[place] = named
        if named is None and place[2] != "journal" and self._told < _TOLD:
            self._told += 1
            _log.warning("%s: tag %s has no names of a pod and container (`kube_tag_prefix`, `regex_parser`); its "
                         "records go on as they are", self._what, place[0])  # fmt: skip
        return named

    def _of(self, tag: str, file: str, target: str) -> Named | None:
        where = logs.place(file, target)
        if self._parser is not None:
            found = self._parsed(self._stripped(tag)) or self._parsed(tag)
        else:
            # the tag is made of the file's path, of which the pod's name alone cannot be told
            found = _searched(_LOG_FILE, file.rpartition("/")[2]) or {}
            if not found and where.pod:
                # the kubelet's own layout: it has the pod's uid instead of the container's id
                found = {"pod_name": where.pod, "namespace_name": where.namespace, "container_name": where.container}
            found = found or _searched(_LOG_FILE, self._stripped(tag))
        return _named(found, where.pod_uid)

    def _stripped(self, tag: str) -> str:
        """Without the prefix, or without as many characters where these end a part of the tag."""
        length = len(self._prefix)
        return tag[length:] if tag.startswith(self._prefix) or tag[length - 1 : length] == "." else tag

    def _parsed(self, text: str) -> dict[str, str]:
        parsed = self._parser.parse(text.encode("utf-8", "surrogateescape")) if self._parser is not None else None
        return {k: v for k, v in parsed.fields.items() if isinstance(v, str)} if parsed is not None else {}


def _searched(pattern: object, text: str) -> dict[str, str]:
    found = pattern.search(text, timeout=0.2)  # type: ignore[attr-defined]
    return {k: v for k, v in found.groupdict().items() if v} if found is not None else {}


def _named(found: Mapping[str, str], uid: str = "") -> Named | None:
    pod, namespace = found.get("pod_name", ""), found.get("namespace_name", "")
    if not namespace:
        return None
    return Named(Key(namespace, pod), {name: found[name] for name in _FIELDS if found.get(name)}, uid)
