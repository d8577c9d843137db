"""Input `kubernetes_admission`: a validating webhook that sees what is asked of the cluster, and allows all of it.

For clusters whose API server flags cannot be set: it sees creations, updates, deletions and connections with their
user and object, but neither reads nor what came of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Sink
from kubewitness.inputs.listener import LISTEN_KEYS, listener_of, url_of

if TYPE_CHECKING:
    from kubewitness.inputs.admission_webhook import AdmissionWebhook

KEYS = (
    *LISTEN_KEYS,
    Key("path", "text", "/admission", "path of the webhook"),
    Key("queue_limit", "size", "16M", "memory for reviews that wait for the journal"),
    Key("cluster", "text", "default", "name in the store for what comes to `path` itself"),
)


class KubernetesAdmission:
    """`listen`, `port`, TLS. See docs/admission.md for the keys."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("kubernetes_admission", options, KEYS)
        self.cluster = opts.text("cluster")
        self._listener = listener_of("kubernetes_admission", opts)
        self._redact_key, self._keyed, self._tag = redact_key, keyed, opts.text("tag")
        self._queue_limit = opts.number("queue_limit")
        place = f"{self._listener.host}:{self._listener.port}"
        self.name = opts.text("alias") or f"kubernetes_admission/{self.cluster}/{place}"
        self.webhook: AdmissionWebhook | None = None

    def describe(self) -> str:
        """One line for people: what it records from."""
        return f"admission webhook {url_of(self._listener)}"

    def health(self) -> Mapping[str, object]:
        return self.webhook.health() if self.webhook is not None else {"listening": 0}

    async def run(self, sink: Sink) -> None:
        """Until cancelled. Raises UsageError when it cannot listen there."""
        from kubewitness.inputs.admission_webhook import AdmissionWebhook

        self.webhook = AdmissionWebhook(
            self._listener,
            self.cluster,
            redact_key=self._redact_key,
            keyed=self._keyed,
            tag=self._tag,
            queue_limit=self._queue_limit,
        )
        await self.webhook.run(sink)
