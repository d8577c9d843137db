"""Input `kubernetes_audit`: the API server's audit trail, from its webhook, from its file, or from both.

With both, each record arrives twice and is stored once: webhook items and file lines have the same identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.audit_file import AuditFile
from kubewitness.inputs.listener import LISTEN_KEYS, listener_of, url_of

if TYPE_CHECKING:
    from kubewitness.inputs.audit_webhook import AuditWebhook

KEYS = (
    *LISTEN_KEYS,
    Key("path", "text", "/audit", "path of the webhook"),
    Key("audit_file", doc="file to follow"),
    Key("refresh_interval", "seconds", "200ms", "how often to look at it"),
    Key("rotate_wait", "seconds", "5", "how long a renamed file is still watched"),
    Key("exit_on_eof", "bool", "off", "ends at the end of the file"),
    Key("cluster", "text", "default", "name in the store for what comes to `path` itself"),
)


class KubernetesAudit:
    """`port` (webhook), `audit_file`, or both. See docs/recording.md for the keys."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("kubernetes_audit", options, KEYS)
        self.cluster = opts.text("cluster")
        self._redact_key, self._keyed, self._tag = redact_key, keyed, opts.text("tag")
        path = self._path = opts.text("audit_file")
        self._wants_webhook = opts.given("port") or opts.given("listen")
        if not path and not self._wants_webhook:
            raise UsageError("kubernetes_audit: nothing to record from; set audit_file, or listen and port")
        self._listener = listener_of("kubernetes_audit", opts)
        place = path or f"{self._listener.host}:{self._listener.port}"
        self.name = opts.text("alias") or f"kubernetes_audit/{self.cluster}/{place}"
        self.file: AuditFile | None = None
        if path:
            ingest = Ingest(self.cluster, "kubernetes_audit/file", redact_key, keyed=keyed, tag=self._tag)
            self.file = AuditFile(
                path,
                ingest,
                f"kubernetes_audit/{self.cluster}/file:{Path(path).expanduser().absolute()}",
                poll=opts.seconds("refresh_interval"),
                rotate_wait=opts.seconds("rotate_wait"),
                exit_on_eof=opts.flag("exit_on_eof"),
            )
        self.webhook: AuditWebhook | None = None

    @property
    def listens(self) -> bool:
        """Whether the API server comes to it, by the webhook."""
        return self._wants_webhook

    def describe(self) -> str:
        """One line for people: what it records from."""
        webhook = f"webhook {url_of(self._listener)}" if self._wants_webhook else ""
        file = f"file {self._path}" if self.file is not None else ""
        return " and ".join(filter(None, (file, webhook)))

    def health(self) -> Mapping[str, object]:
        parts: dict[str, object] = {}
        if self.file is not None:
            parts["file"] = self.file.health()
        if self._wants_webhook:
            parts["webhook"] = self.webhook.health() if self.webhook is not None else {"listening": 0}
        return parts

    async def run(self, sink: Sink) -> None:
        """Both sources until cancelled; the file alone ends at its end with `exit_on_eof`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if self.file is not None:
                    tasks.create_task(self.file.run(sink), name="audit file")
                if self._wants_webhook:
                    tasks.create_task(self._run_webhook(sink), name="audit webhook")
        except ExceptionGroup as several:
            # the engine acts by the kind of error: a UsageError in a group would look like a crash
            raise several.exceptions[0] from several

    async def _run_webhook(self, sink: Sink) -> None:
        # The web server costs 60 MB and a sixth of a second: a pipeline that reads a file never loads it.
        from kubewitness.inputs.audit_webhook import AuditWebhook

        self.webhook = AuditWebhook(
            self._listener, self.cluster, redact_key=self._redact_key, keyed=self._keyed, tag=self._tag
        )
        await self.webhook.run(sink)
