"""Which resource a word means in this cluster: `pods`, `deploy`, `widgets.example.com`.

Source: metav1.APIGroupList and metav1.APIResourceList (k8s.io/apimachinery/pkg/apis/meta/v1/types.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from kubewitness.kube.client import KubeClient
from kubewitness.kube.failures import KubeFailure, Unsupported


class _Version(msgspec.Struct):
    groupVersion: str = ""


class _Group(msgspec.Struct):
    name: str = ""
    preferredVersion: _Version = msgspec.field(default_factory=_Version)


class _Groups(msgspec.Struct):
    groups: list[_Group] | None = None


class _Resource(msgspec.Struct):
    name: str = ""
    singularName: str | None = ""
    namespaced: bool = True
    kind: str = ""
    shortNames: list[str] | None = None
    verbs: list[str] | None = None

    def is_called(self, word: str) -> bool:
        return word in (self.name, self.singularName, self.kind.lower(), *(self.shortNames or ()))


class _Resources(msgspec.Struct):
    resources: list[_Resource] | None = None


_groups_decoder = msgspec.json.Decoder(_Groups)
_resources_decoder = msgspec.json.Decoder(_Resources)


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that can be listed. `api_version` is "v1" or "group/version"."""

    api_version: str
    name: str
    kind: str
    namespaced: bool

    def path(self, namespace: str = "") -> str:
        """Of the list, in one namespace or in all; one that has no namespaces is listed whole."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.name}" if namespace and self.namespaced else f"{root}/{self.name}"


async def find_resource(client: KubeClient, word: str) -> Resource:
    """The resource called so: by its plural, singular, short name or kind, with or without `.group`.

    Without a group the core ones win, then the groups in the server's own order. Raises KubeFailure when the
    cluster has none (its definition may come later).
    """
    name, _, group = word.lower().partition(".")
    if not group:
        found = await _in_version(client, "v1", name)
        if found is not None:
            return found
    listed = _decoded(_groups_decoder, await client.get("/apis", asked="get the API groups"))
    for known in listed.groups or ():
        if not group or known.name == group:
            found = await _in_version(client, known.preferredVersion.groupVersion, name)
            if found is not None:
                return found
    raise KubeFailure(f"the cluster has no resource {word!r} that can be listed")


async def _in_version(client: KubeClient, api_version: str, name: str) -> Resource | None:
    root = "/apis/" if "/" in api_version else "/api/"
    try:
        body = await client.get(root + api_version, asked=f"get the resources of {api_version}")
    except Unsupported:
        return None  # an aggregated API that is away, or a group that has just been removed
    for found in _decoded(_resources_decoder, body).resources or ():
        if "/" not in found.name and found.is_called(name) and "list" in (found.verbs or ()):
            return Resource(api_version, found.name, found.kind, found.namespaced)
    return None


_T = TypeVar("_T")


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise KubeFailure(f"the answer is no list of resources ({e})") from e
