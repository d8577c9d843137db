"""Reading and comparing object bodies: what a change touched, in words a person would use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import envelopes
from kubewitness.formats.depth import manageable

#: parts of an object that the API server moves by itself, or that say nothing about intent
_NOISE = (
    ("metadata", "managedFields"),
    ("metadata", "resourceVersion"),
    ("metadata", "generation"),
    ("metadata", "selfLink"),
    ("metadata", "uid"),
    ("metadata", "creationTimestamp"),
    ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"),
    ("metadata", "annotations", "deployment.kubernetes.io/revision"),
    ("metadata", "annotations", "deprecated.daemonset.template.generation"),
    ("status",),
)
#: lists whose items are told apart by this field (the API's patchMergeKey for the common ones)
_MERGE_KEYS = ("name", "type", "containerPort", "mountPath", "key", "port", "ip")

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

Path = tuple[str, ...]


class Bodies(msgspec.Struct, frozen=True):
    """The decoded bodies of a request; None where the audit level, or truncation, left them out."""

    request: Any = None
    response: Any = None


def decoded(form: str, raw: bytes) -> Bodies:
    """Bodies that cannot be read are as good as absent here: the record itself is kept, and shown by `search`."""
    try:
        asked, answered = envelopes.bodies(form, manageable(raw))
        return Bodies(
            msgspec.json.decode(asked) if asked else None, msgspec.json.decode(answered) if answered else None
        )
    except (msgspec.MsgspecError, Malformed):
        return Bodies()


def at(document: Any, *path: str) -> Any:
    """The value at a path of object keys; None where there is none."""
    for part in path:
        if not isinstance(document, dict):
            return None
        document = document.get(part)
    return document


def meta(document: Any, key: str) -> Any:
    return at(document, "metadata", key)


def is_object(document: Any) -> bool:
    """Whether a body is a whole object (not a Status, a List, or a patch)."""
    return isinstance(document, dict) and document.get("kind") not in (None, "Status") and "metadata" in document


def template_of(document: Any) -> Any:
    """A workload's pod template, without the hash label that the deployment controller adds."""
    template = at(document, "spec", "template")
    if not isinstance(template, dict):
        return None
    labels = {k: v for k, v in (at(template, "metadata", "labels") or {}).items() if k != "pod-template-hash"}
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if k not in ("labels", "creationTimestamp")}
    return {**template, "metadata": {**metadata, "labels": labels}}


def replicas_of(document: Any) -> int | None:
    """spec.replicas of a workload or a Scale."""
    value = at(document, "spec", "replicas")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def changes(old: Any, new: Any) -> list[tuple[Path, Any, Any]]:
    """(path, old value, new value) of every leaf that differs, noise left out. A missing side is None."""
    return [c for c in _walk(old, new, ()) if not any(c[0][: len(noise)] == noise for noise in _NOISE)]


def everything(old: Any, new: Any) -> list[tuple[Path, Any, Any]]:
    """The same with status and what the API server moves by itself, but without managedFields."""
    return [c for c in _walk(old, new, ()) if c[0][:2] != ("metadata", "managedFields")]


def _walk(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict | None) and isinstance(new, dict | None) and (old or new):
        left, right = old or {}, new or {}
        for key in [*left, *(k for k in right if k not in left)]:
            yield from _walk(left.get(key), right.get(key), (*path, str(key)))
        return
    if isinstance(old, list) and isinstance(new, list):
        left_named, right_named = _named(old), _named(new)
        if left_named is not None and right_named is not None:
            yield from _walk(left_named, right_named, path)
            return
    yield path, old, new


def _named(items: list[Any]) -> dict[str, Any] | None:
    """A list as a mapping by its merge key; None when its items have none in common."""
    for key in _MERGE_KEYS:
        if all(isinstance(i, dict) and isinstance(i.get(key), str | int) for i in items):
            names = [str(i[key]) for i in items]
            if len(set(names)) == len(names):
                return dict(zip(names, items, strict=True))
    return None


def patched_paths(patch: Any) -> list[Path]:
    """The leaves that a patch (strategic, merge, apply or JSON) names."""
    if isinstance(patch, list):
        return [
            tuple(part for part in str(op.get("path", "")).split("/") if part) for op in patch if isinstance(op, dict)
        ]
    return [path for path, _, _ in _walk({}, patch, ()) if not any(p.startswith("$") for p in path)]


def describe(found: list[tuple[Path, Any, Any]], limit: int = 3) -> str:
    """`image of web: web:1 -> web:2, replicas: 4 -> 2`: the changes in few words; "" for none."""
    if any(path[-1] == RESTARTED_AT for path, _, _ in found):
        return "restart"
    words = [f"{_label(path)}: {_value(old)} -> {_value(new)}" for path, old, new in found]
    more = len(words) - limit
    return ", ".join(words[:limit]) + (f" and {more} more" if more > 0 else "")


def _label(path: Path) -> str:
    if path[-1:] == ("image",) and len(path) > 1:
        return f"image of {path[-2]}"
    if path == ("spec", "replicas"):
        return "replicas"
    return ".".join(path)


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
