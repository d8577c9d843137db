"""Who owns a field: managedFields of a body, and the admission webhooks that an audit annotation names.

FieldsV1 is structured-merge-diff's encoding: `f:name` a field, `k:{...}` the item of a list with these keys, `v:...` a
value. Webhooks: audit annotations `patch.webhook.admission.k8s.io/round_N_index_N` (level Request) with the JSON patch,
`mutation.webhook...` (level Metadata) with whether it changed anything (the
Kubernetes documentation's reference/labels-annotations-taints/audit-annotations).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kubewitness.questions.bodies import meta

_PATCH = "patch.webhook.admission.k8s.io/"
_MUTATION = "mutation.webhook.admission.k8s.io/"


def manager_of(body: Any, path: Sequence[str]) -> str | None:
    """The field manager that wrote a field last; None when the body has no managedFields for it."""
    best: tuple[str, str] | None = None
    entries = meta(body, "managedFields")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and _covers(entry.get("fieldsV1"), path):
            found = (str(entry.get("time") or ""), str(entry.get("manager") or ""))
            best = max(best, found) if best else found
    return best[1] if best else None


def _covers(fields: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(fields, dict):
            return False
        below = [v for k, v in fields.items() if _is(k, part)]
        if not below:
            return False
        if not below[0]:
            return True  # owned as a whole
        fields = below[0]
    return True


def _is(key: str, part: str) -> bool:
    kind, _, name = key.partition(":")
    if kind == "f":
        return name == part
    try:
        value = msgspec.json.decode(name) if kind in ("k", "v") else None
    except msgspec.DecodeError:
        return False
    return part in map(str, value.values()) if isinstance(value, dict) else str(value) == part


def webhooks_of(annotations: str) -> list[tuple[str, list[str] | None]]:
    """(configuration/webhook, JSON pointers it patched or None where the level does not tell) of a request."""
    try:
        told = msgspec.json.decode(annotations) if annotations else {}
    except msgspec.DecodeError:
        return []
    found: dict[str, list[str] | None] = {}
    for key, text in (told if isinstance(told, dict) else {}).items():
        if not key.startswith((_PATCH, _MUTATION)):
            continue
        try:
            said = msgspec.json.decode(text)
        except (msgspec.DecodeError, TypeError):
            continue
        name = f"{said.get('configuration')}/{said.get('webhook')}"
        if key.startswith(_PATCH):
            ops = said.get("patch")
            paths = [str(op.get("path")) for op in ops if isinstance(op, dict)] if isinstance(ops, list) else []
            found[name] = [*(found.get(name) or []), *paths]
        elif said.get("mutated"):
            found.setdefault(name, None)
    return list(found.items())


def silent_webhooks(annotations: str) -> list[str]:
    """Webhooks that changed the request, where the level does not tell what they changed."""
    return [name for name, pointers in webhooks_of(annotations) if pointers is None]


def webhook_of(annotations: str, path: Sequence[str]) -> str | None:
    """The webhook whose patch wrote a field: its path with list items by number, so names stand for any number."""
    for name, pointers in webhooks_of(annotations):
        for pointer in pointers or []:
            parts = [p.replace("~1", "/").replace("~0", "~") for p in pointer.strip("/").split("/")]
            if all(a == b or a.isdigit() or a == "-" for a, b in zip(parts, path, strict=False)):
                return name
    return None
