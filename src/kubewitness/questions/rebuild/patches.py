"""What a patch makes of a known object: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge, apply.

The audit trail does not record a patch's content type. A list is a JSON patch; a whole object sent with a field
manager is an apply; anything else is a strategic merge on built-in types and a merge patch on custom ones. Where the
readings differ, and where an apply may have taken fields away, the result says so in `doubt`.
"""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from kubewitness.questions.rebuild.mergekeys import built_in, merge_key, merges_scalars

_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"
_DIRECTIVES = ("$patch", "$retainKeys")


class Unpatchable(Exception):
    """The patch does not fit the object: some write between the two is not known."""


class Patched(msgspec.Struct):
    """The object after a patch. `doubt`: why it may differ from what the API server made of it; "" for not at all,
    but for the API server's own defaults."""

    body: Any
    doubt: str = ""


def patched(body: Any, patch: Any, *, group: str, uri: str) -> Patched:
    """The object after a patch of any kind. Raises `Unpatchable`. `body` is left as it is."""
    if isinstance(patch, list):
        return Patched(json_patch(body, patch))
    if not isinstance(patch, dict):
        raise Unpatchable("the patch is no object")
    manager = parse_qs(urlsplit(uri).query).get("fieldManager", [""])[0]
    if manager and patch.get("apiVersion") and patch.get("kind"):
        return _applied(body, patch, manager)
    merged = merge_patch(body, patch)
    if not built_in(group):
        return Patched(merged)
    result = strategic(body, patch)
    same = result == merged or _directed(patch)
    return Patched(result, "" if same else "whether it was a strategic or a plain merge patch is not recorded")


def json_patch(body: Any, patch: list[Any]) -> Any:
    """RFC 6902. Raises `Unpatchable`."""
    import jsonpatch
    import jsonpointer

    try:
        return jsonpatch.apply_patch(copy.deepcopy(body), patch)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, ValueError) as e:
        raise Unpatchable(str(e)) from e


def merge_patch(body: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(body) if isinstance(body, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic(body: Any, patch: dict[str, Any]) -> Any:
    """A strategic merge patch of a built-in type (Kubernetes' sig-api-machinery/strategic-merge-patch.md)."""
    result = dict(body) if isinstance(body, dict) else {}
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    retain = patch.get("$retainKeys")
    if isinstance(retain, list):
        result = {k: v for k, v in result.items() if k in retain}
    for key, value in patch.items():
        if key.startswith(_DELETE) and isinstance(value, list):
            field = key.removeprefix(_DELETE)
            result[field] = [v for v in result.get(field) or [] if v not in value]
    for key, value in patch.items():
        if not key.startswith((_ORDER, _DELETE)) and key not in _DIRECTIVES:
            _merge_field(result, key, value)
    for key, value in patch.items():
        if key.startswith(_ORDER) and isinstance(value, list):
            field = key.removeprefix(_ORDER)
            if isinstance(result.get(field), list):
                result[field] = _ordered(field, result[field], value)
    return result


def _merge_field(result: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        if value.get("$patch") == "delete":
            result.pop(key, None)
        else:
            result[key] = strategic(result.get(key), value)
    elif isinstance(value, list):
        result[key] = _merge_list(key, result.get(key), value)
    else:
        result[key] = value


def _merge_list(field: str, old: Any, items: list[Any]) -> list[Any]:
    held = list(old) if isinstance(old, list) else []
    if any(isinstance(i, dict) and i.get("$patch") == "replace" and len(i) == 1 for i in items):
        return [i for i in items if not (isinstance(i, dict) and "$patch" in i)]
    if merges_scalars(field):
        return held + [i for i in items if i not in held]
    key = merge_key(field, items or held)
    if key is None:
        return [_plain(i) for i in items]
    for item in items:
        name = item.get(key)
        at = next((n for n, h in enumerate(held) if isinstance(h, dict) and h.get(key) == name), None)
        if item.get("$patch") == "delete":
            held = [h for h in held if not (isinstance(h, dict) and h.get(key) == name)]
        elif at is None:
            held.append(strategic({}, item))
        else:
            held[at] = strategic(held[at], item)
    return held


def _plain(value: Any) -> Any:
    """A value of a list that is replaced: directives have no meaning there."""
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if not k.startswith("$") and v is not None}
    return value


def _ordered(field: str, items: list[Any], order: list[Any]) -> list[Any]:
    """The items that the order names, in that order; others stay behind the one they were behind."""
    if merges_scalars(field):
        return sorted(items, key=lambda i: order.index(i) if i in order else len(order))
    key = merge_key(field, order)
    if key is None:
        return items
    places = {o.get(key): n for n, o in enumerate(order) if isinstance(o, dict)}
    named = iter(sorted((i for i in items if i.get(key) in places), key=lambda i: places[i.get(key)]))
    return [next(named) if i.get(key) in places else i for i in items]


def _directed(patch: Any) -> bool:
    """Whether a patch holds a directive of strategic merge."""
    if isinstance(patch, dict):
        return any(k.startswith("$") or _directed(v) for k, v in patch.items())
    return isinstance(patch, list) and any(map(_directed, patch))


def _applied(body: Any, patch: dict[str, Any], manager: str) -> Patched:
    """Server-side apply: what is applied is set; what its manager applied before and now leaves out goes, unless
    others own it. Only a body's managedFields tell that, so whatever may have gone is in doubt."""
    result = strategic(body, {k: v for k, v in patch.items() if k not in ("apiVersion", "kind")})
    entries = ((body or {}).get("metadata") or {}).get("managedFields")
    if entries is None:
        return Patched(result, "which fields the apply took away is not known without managedFields")
    for entry in entries:
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            left = _left_out(entry.get("fieldsV1") or {}, patch)
            if left:
                return Patched(result, f"{manager} no longer applies {left}, which went unless another owns it")
    return Patched(result)


def _left_out(fields: dict[str, Any], patch: Any, path: str = "") -> str:
    """The first field of a set (structured-merge-diff's FieldsV1) that the patch does not hold; "" for none."""
    for key, below in fields.items():
        if key == ".":
            continue
        kind, _, name = key.partition(":")
        inner = _held(kind, name, patch)
        if inner is _MISSING:
            return f"{path}.{name}".lstrip(".")
        found = _left_out(below, inner, f"{path}.{name}") if below else ""
        if found:
            return found
    return ""


_MISSING: Any = object()


def _held(kind: str, name: str, value: Any) -> Any:
    """What a value holds under one part of a field's path: f: a field, k: the item with these keys, v: a value."""
    if kind == "f":
        return value[name] if isinstance(value, dict) and name in value else _MISSING
    if not isinstance(value, list):
        return _MISSING
    wanted = msgspec.json.decode(name)
    if kind == "k":
        fits = (i for i in value if isinstance(i, dict) and all(i.get(k, v) == v for k, v in wanted.items()))
        return next(fits, _MISSING)
    return wanted if wanted in value else _MISSING
