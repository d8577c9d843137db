"""Outputs `es` and `opensearch`: bulk requests, and what became of each record in them.

| an item's status | what happens |
|---|---|
| 2xx, and 409 to a `create` (it is there already) | delivered |
| 400, 404 of a missing document | set aside, with the reason |
| any other (429, 503, a blocked index) | that record is sent again |
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.credentials import Secret
from kubewitness.outputs.es_keys import ES_KEYS
from kubewitness.outputs.es_lines import BulkLines
from kubewitness.outputs.http_sender import Answer, HttpSender, with_query
from kubewitness.outputs.records import outcome
from kubewitness.outputs.turns import TurnsOutput, sides_of

log = logging.getLogger(__name__)

KEYS = ES_KEYS

#: refusals that are the cluster's state, not the record's fault
_PASSING = frozenset({"validation_exception", "cluster_block_exception", "index_closed_exception"})


class _Error(msgspec.Struct):
    type: str = ""
    reason: str | None = ""
    caused_by: dict[str, object] | None = None


class _Result(msgspec.Struct):
    status: int
    error: _Error | str | None = None


class _Bulk(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Result]] = []


_errors_of = msgspec.json.Decoder(_Bulk).decode


class EsOutput(TurnsOutput):
    """At least once; once where documents have an id (`generate_id`, `id_key`)."""

    batch_bytes = 4_000_000
    keys: Sequence[Key] = ES_KEYS

    def __init__(self, keys: Mapping[str, str], name: str = "es", clock: Callable[[], float] = time.monotonic) -> None:
        what = f"output {name}"
        super().__init__(name, sides_of(what, keys, self.keys, lambda own: BulkSide(what, name, own, self.keys)), clock)


class BulkSide:
    """One of them."""

    def __init__(self, what: str, name: str, given: Mapping[str, str], keys: Sequence[Key]) -> None:
        opts = Options(what, _cloud(what, given), keys)
        self._name = name
        self._lines = BulkLines(what, opts)
        self._sender = HttpSender(what, opts)
        self._api_key = Secret(what, opts, "http_api_key")
        self._cloud_auth = Secret(what, opts, "cloud_auth")
        self._sender.secrets += [self._api_key, self._cloud_auth]
        self._path = with_query(
            f"/{opts.text('path').strip('/')}/_bulk".replace("//", "/"), pipeline=opts.text("pipeline")
        )
        self._creates = opts.choice("write_operation") == "create"
        self._tells_each = opts.flag("trace_error")

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        body = await asyncio.to_thread(lambda: b"".join(b"".join(self._lines.of(d)) for d in deliveries))
        answer = await self._sender.send(self._path, body, self._headers())
        self._look(deliveries, answer)

    async def close(self) -> None:
        await self._sender.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/x-ndjson"}
        if self._api_key:
            headers["Authorization"] = f"ApiKey {self._api_key.value()}"
        elif self._cloud_auth:
            headers["Authorization"] = "Basic " + base64.b64encode(self._cloud_auth.value().encode()).decode()
        return headers

    def _look(self, deliveries: Sequence[Delivery], answer: Answer) -> None:
        """Raises what became of the records that are not through."""
        try:
            told = _errors_of(answer.body)
        except msgspec.MsgspecError as e:
            raise Retry(f"{self._sender.base} answered {answer.status} with what is no bulk answer") from e
        if not told.errors:
            return
        if len(told.items) != sum(len(d.chunk) for d in deliveries):
            raise Retry(f"{self._sender.base} answered for {len(told.items)} records, not for all")
        refused: dict[int, str] = {}
        left: list[int] = []
        message = ""
        for n, item in enumerate(told.items):
            (result,) = item.values()
            if result.status < 300 or (result.status == 409 and self._creates):
                continue
            message = self._sender.clean(_told(result))
            if self._tells_each:
                log.warning("%s: %s", self._name, message)
            if _is_refusal(result):
                refused[n] = message
            else:
                left.append(n)
        if refused or left:
            raise outcome(deliveries, refused, left, message)


def _is_refusal(result: _Result) -> bool:
    kind = result.error.type if isinstance(result.error, _Error) else ""
    if kind in _PASSING:
        return False
    return result.status == 400 or (result.status == 404 and kind == "document_missing_exception")


def _told(result: _Result) -> str:
    if not isinstance(result.error, _Error):
        return f"{result.status} {result.error or ''}"
    cause = (result.error.caused_by or {}).get("reason")
    return f"{result.status} {result.error.type}: {result.error.reason}" + (f" ({cause})" if cause else "")


def _cloud(what: str, keys: Mapping[str, str]) -> Mapping[str, str]:
    """`cloud_id` in place of host, port and tls: NAME:base64(HOST[:PORT]$ES_ID[:PORT]$...)."""
    given = {k.lower(): v for k, v in keys.items()}
    if not given.get("cloud_id"):
        return keys
    try:
        host, es = base64.b64decode(given["cloud_id"].rpartition(":")[2], validate=True).decode().split("$")[:2]
    except (ValueError, binascii.Error, UnicodeDecodeError) as e:
        raise UsageError(f"{what}: 'cloud_id' is not one of Elastic Cloud") from e
    host, _, port = host.partition(":")
    es, _, es_port = es.partition(":")
    return {**keys, "host": f"{es}.{host}", "port": es_port or port or "443", "tls": "on"}
