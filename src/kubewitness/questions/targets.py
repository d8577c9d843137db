"""Which object a question is about: `pod/web-1`, `pods web-1`, `deploy/web`, `widgets.example.com/w`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.names import RESOURCES, Resource, find_resource, kind_of_resource, object_key

#: kubectl's way of saying several kinds at once; a question is about one object
_SEVERAL = frozenset({"all"})


def object_text(kind: str | None, namespace: str | None, name: str | None) -> str:
    """`Pod/shop/web-1`, `Node/n1`: how answers name objects."""
    return "/".join(part for part in (kind, namespace, name) if part)


def action_text(verb: str, resource: str, subresource: str) -> str:
    """`delete`, `create pods/eviction`: the verb, with the resource where there is a subresource."""
    return f"{verb} {resource}/{subresource}" if subresource else verb


class Ref(msgspec.Struct, frozen=True):
    """An object's name in a cluster. `name` is "" for a whole collection (a list, a deletecollection)."""

    cluster: str
    group: str
    resource: str
    namespace: str
    name: str
    #: as kubectl users know it, for custom resources too
    kind: str = ""

    @property
    def key(self) -> int:
        """The tables' `object_key` of this name."""
        return object_key(self.cluster, self.group, self.resource, self.namespace, self.name)

    @property
    def kind_name(self) -> str:
        return self.kind or kind_of_resource(self.resource, self.group)

    def __str__(self) -> str:
        """`Pod/shop/web-1`, `Node/n1`: how answers name objects."""
        return object_text(self.kind_name, self.namespace, self.name)

    def said(self) -> str:
        """`pod shop/web-1`: how sentences name objects."""
        return f"{self.kind_name.lower()} {'/'.join(part for part in (self.namespace, self.name) if part)}"


def plain(ref: Ref) -> Ref:
    """Without the spelling of its kind, so that equal names are equal refs."""
    return Ref(ref.cluster, ref.group, ref.resource, ref.namespace, ref.name) if ref.kind else ref


def same_name(a: Ref, b: Ref) -> bool:
    """Whether both name the same object of one cluster: a key that both share may be chance."""
    if a.resource == "namespaces":
        return (b.resource, b.name) == ("namespaces", a.name)
    return (a.resource, a.namespace, a.name) == (b.resource, b.namespace, b.name)


def ref_of(cluster: str, resource: Resource, namespace: str, name: str) -> Ref:
    return Ref(
        cluster, resource.group, resource.resource, namespace if resource.namespaced else "", name, resource.kind
    )


def parse_target(
    words: Sequence[str], *, namespace: str | None, cluster: str, known: Sequence[tuple[str, str]] = ()
) -> Ref:
    """The object that `KIND/NAME` or `KIND NAME` names.

    `known` are the (group, resource) pairs that were recorded: a word that is neither built in nor among them is
    answered with the nearest. A namespaced kind without a namespace is taken as in `default`, as kubectl does.
    Raises `UsageError`.
    """
    if not words:
        raise UsageError("which object? write KIND/NAME, for instance pod/web-1")
    if len(words) == 1:
        kind, slash, name = words[0].partition("/")
        if not slash:
            raise UsageError(f"{words[0]!r}: which object? write KIND/NAME, for instance {words[0]}/NAME")
    elif len(words) == 2 and "/" not in words[0] and "/" not in words[1]:
        kind, name = words
    else:
        raise UsageError(f"one object at a time, please: {' '.join(words)!r}; write KIND/NAME, for instance pod/web-1")
    if "/" in name:
        raise UsageError(f"{words[-1]!r}: a name has no slash; write KIND/NAME -n NAMESPACE")
    if "," in kind or kind.lower() in _SEVERAL:
        raise UsageError(f"one kind at a time, please: {kind!r}; write for instance pod/{name}")
    if not name:
        raise UsageError(f"{words[0]!r}: the name is missing; write KIND/NAME")
    resource = find_kind(kind, known)
    return ref_of(cluster, resource, namespace or "default", name)


def find_kind(word: str, known: Sequence[tuple[str, str]] = ()) -> Resource:
    """What a kind's word means; an unknown one is a `UsageError` with the nearest known word."""
    found = find_resource(word)
    if found in RESOURCES:
        return found
    lower = word.partition(".")[0].lower()
    for group, resource in known:
        kind = kind_of_resource(resource, group)
        if lower in (resource, kind.lower()) and (not found.group or found.group == group):
            return Resource(group, resource, kind, True)
    if found.group:  # a custom resource written in full: believed
        return found
    words = [r.resource for r in RESOURCES] + [r.kind.lower() for r in RESOURCES] + [r for _, r in known]
    near = difflib.get_close_matches(lower, words, 1, 0.6)
    hint = f"did you mean {near[0]!r}?" if near else "write it with its group (widgets.example.com) if it is custom"
    raise UsageError(f"unknown kind {word!r}; {hint}")
