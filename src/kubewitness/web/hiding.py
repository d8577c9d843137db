"""Answers to somebody who may not see everything say so."""

from __future__ import annotations

from typing import Any, TypeVar

from aiohttp import web

from kubewitness.web.identity import Identity

RESTRICTED = "X-Kubewitness-Restricted"
R = TypeVar("R", bound=web.StreamResponse)


def marked(response: R, asker: Identity) -> R:
    """With the header that says that there may be more, which this user may not see."""
    if asker.restricted:
        response.headers[RESTRICTED] = "true"
    return response


def with_hidden(answer: Any, asker: Identity) -> Any:
    """What would have told more is said in `missing`, where an answer has that: the records that are hidden."""
    missing = getattr(answer, "missing", None)
    if asker.restricted and asker.scope is not None and isinstance(missing, list):
        missing.append(asker.scope.sentence)
    return answer
