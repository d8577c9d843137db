"""What filter `kubernetes` said of a chunk of log lines (`Chunk.also`), for columns."""

from __future__ import annotations

import functools

import msgspec

from kubewitness.formats.logs import Place

_NOTHING = msgspec.Raw(b"{}")


class _Workload(msgspec.Struct):
    kind: str = ""
    name: str = ""


class _Pod(msgspec.Struct):
    pod_name: str = ""
    namespace_name: str = ""
    container_name: str = ""
    docker_id: str = ""
    pod_id: str = ""
    host: str = ""
    labels: msgspec.Raw = _NOTHING
    workload: _Workload = msgspec.field(default_factory=_Workload)


class _Members(msgspec.Struct):
    kubernetes: _Pod = msgspec.field(default_factory=_Pod)


_decode = msgspec.json.Decoder(_Members).decode


class About(msgspec.Struct, frozen=True):
    """ "" for what is not known."""

    place: Place = msgspec.field(default_factory=Place)
    node: str = ""
    #: JSON object
    labels: str = ""
    owner_kind: str = ""
    owner_name: str = ""


@functools.lru_cache(1024)
def about(also: bytes) -> About:
    """The same for all records of a container."""
    try:
        pod = _decode(b"{" + also + b"}").kubernetes
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return About()
    where = Place(pod.namespace_name, pod.pod_name, pod.container_name, pod.docker_id, pod.pod_id)
    labels = bytes(pod.labels).decode() if pod.labels is not _NOTHING else ""
    return About(where, pod.host, labels, pod.workload.kind, pod.workload.name)


def filled(where: Place, more: Place) -> Place:
    """What a file's name tells, and beside it what was said."""
    names = ("namespace", "pod", "container", "container_id", "pod_uid")
    return Place(**{name: getattr(where, name) or getattr(more, name) for name in names})
