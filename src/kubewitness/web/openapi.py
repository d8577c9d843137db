"""The API's description, OpenAPI 3.1: every path with its parameters and what it answers."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness import __version__
from kubewitness.web.browsers import COOKIE
from kubewitness.web.endpoints import ENDPOINTS
from kubewitness.web.params import Param

_REF = "#/components/schemas/{name}"


class Problem(msgspec.Struct):
    """Every answer that is no success. `error` says what is wrong, and how to mend it."""

    error: str


#: what a status other than 200 means
_STATUSES = {
    "304": "the answer is the one that the client has (If-None-Match)",
    "400": "the question cannot be understood; `error` says why",
    "401": "a login is needed: POST /api/v1/login, or Authorization: Bearer",
    "404": "nothing of that name or id was recorded",
    "403": "this user may not see it",
    "408": "the body of the request did not come in time",
    "413": "the body of the request is too large",
    "421": "this server does not answer under that name (Host)",
    "429": "too many refused tokens from this address; Retry-After says when to try again",
    "503": "the state or store cannot be used, or too much is asked at once; `error` says why",
}


def describe(extra: dict[str, Any] | None = None, types: list[Any] | None = None) -> dict[str, Any]:
    """The whole description. `extra`: paths beside the questions, `types` what they answer."""
    answers = [e.answer for e in ENDPOINTS]
    schemas, components = msgspec.json.schema_components([*answers, Problem, *(types or [])], ref_template=_REF)
    paths: dict[str, Any] = {
        f"/api/v1/{e.name}": {"get": operation(e.name, e.summary, e.parameters, schemas[i])}
        for i, e in enumerate(ENDPOINTS)
    }
    paths.update(extra or {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kubewitness",
            "version": __version__,
            "description": "Who or what did it, when, from where, and what followed: the command line's questions.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "security": [{}, {"bearer": []}, {"session": []}],
    }


def operation(name: str, summary: str, parameters: tuple[Param, ...], answer: Any, **more: Any) -> dict[str, Any]:
    """One operation; `more` are further keys of it."""
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [parameter(p) for p in parameters],
        "responses": {
            "200": {"description": "the answer", "content": {"application/json": {"schema": answer}}},
            **problems(),
        },
        **more,
    }


def problems(*statuses: str) -> dict[str, Any]:
    """What else an operation may answer."""
    content = {"application/json": {"schema": {"$ref": _REF.format(name="Problem")}}}
    return {
        status: {"description": text} if status == "304" else {"description": text, "content": content}
        for status, text in _STATUSES.items()
        if not statuses or status in statuses
    }


def parameter(p: Param) -> dict[str, Any]:
    found = {"name": p.name, "in": "query", "description": p.text, "required": p.required, "schema": p.schema}
    return {**found, "style": "form", "explode": True} if p.many else found
