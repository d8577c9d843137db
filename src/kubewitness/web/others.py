"""What the API answers beside the questions: SQL, the stream, status, manifests; and how it is described."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.web.logins import Standing, Token
from kubewitness.web.openapi import operation, problems
from kubewitness.web.params import Param
from kubewitness.web.tailing import PARAMETERS


class SqlQuestion(msgspec.Struct, forbid_unknown_fields=True):
    """`query`: one SELECT, or EXPLAIN of one."""

    query: str


class SqlColumn(msgspec.Struct):
    """`type`: DuckDB's name of it."""

    name: str
    type: str


class SqlAnswer(msgspec.Struct):
    """`more`: there are more rows than the limits let through."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    more: bool


SQL = (Param("query", "one SELECT, or EXPLAIN of one", required=True),)
DEPLOY = (Param("for", "which manifest or file; without it, which there are"),)

_LIST = {"type": "array", "items": {"type": "object"}}
_OBJECT = {"type": "object"}
_REF = "#/components/schemas/{}"


def _body(name: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name)}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _text(kind: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": "the answer", "content": {kind: {"schema": schema or {"type": "string"}}}}


def _paths() -> dict[str, Any]:
    deploy = operation("deploy", "What `kubewitness deploy` prints, for a part of it", DEPLOY, _LIST)
    deploy["responses"]["200"]["content"] |= _text("text/plain")["content"]
    tail = operation("tail", "What arrives, as server-sent events; Last-Event-ID goes on", PARAMETERS, _OBJECT)
    tail["responses"]["200"] = _text("text/event-stream")
    return {
        "/api/v1/sql": {
            "get": operation("sql", "One SELECT over the store's views", SQL, _LIST),
            "post": operation(
                "sqlWithTypes",
                "The same, with the types of its columns",
                (),
                {"$ref": _REF.format("SqlAnswer")},
                requestBody=_body("SqlQuestion"),
            ),
        },
        "/api/v1/tail": {"get": tail},
        "/api/v1/session": {
            "get": operation(
                "session", "Who is logged in, and what they may see", (), {"$ref": _REF.format("Standing")}
            )
        },
        "/api/v1/login": {"post": _done("login", "Log in with a token: sets the session's cookie", _body("Token"))},
        "/api/v1/logout": {"post": _done("logout", "End the session")},
        "/api/v1/status": {"get": operation("status", "What is being recorded, lag, drops, sizes", (), _OBJECT)},
        "/api/v1/deploy": {"get": deploy},
        "/metrics": {"get": _plain("metrics", "Numbers, as Prometheus text")},
        "/healthz": {"get": _plain("healthz", "Whether the process lives")},
        "/readyz": {"get": _plain("readyz", "Whether the store can be asked", "503")},
    }


def _done(name: str, summary: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    known = ("400", "401", "403", "408", "413", "421", "429", "503")
    responses = {"204": {"description": "done"}, **problems(*known)}
    operation = {"operationId": name, "summary": summary, "responses": responses, "security": [{}]}
    return {**operation, "requestBody": body} if body is not None else operation


def _plain(name: str, summary: str, *also: str) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _text("text/plain"), **{s: _text("text/plain") for s in also}}
    others = {k: v for k, v in problems("401", "403", "421").items() if k not in responses}
    return {"operationId": name, "summary": summary, "responses": {**responses, **others}}


#: paths, and the types in them: what `openapi.describe` adds to the questions
OTHERS: tuple[dict[str, Any], list[Any]] = (_paths(), [SqlQuestion, SqlAnswer, Standing, Token])
