"""Input `kubernetes_audit`: the API server's audit trail, from its webhook, from its file, or from both.

With both, each record arrives twice and is stored once: webhook items and file lines have the same identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.audit_file import AuditFile
from kubewitness.inputs.options import Key, Options

if TYPE_CHECKING:
    from kubewitness.inputs.audit_webhook import AuditWebhook

KEYS = (
    Key("listen", "text", "127.0.0.1"),
    Key("port", "int", "0"),
    Key("path", "text", "/audit"),
    Key("buffer_max_size", "size", "32M"),
    Key("token_file"),
    Key("tls", "bool", "off"),
    Key("tls.crt_file"),
    Key("tls.key_file"),
    Key("tls.ca_file"),
    Key("audit_file"),
    Key("refresh_interval", "seconds", "200ms"),
    Key("rotate_wait", "seconds", "5"),
    Key("exit_on_eof", "bool", "off"),
    Key("cluster", "text", "default"),
)


class KubernetesAudit:
    """`port` (webhook), `audit_file`, or both. See docs/recording.md for the keys."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("kubernetes_audit", options, KEYS)
        self.cluster = opts.text("cluster")
        self._redact_key, self._keyed, self._tag = redact_key, keyed, opts.text("tag")
        self._options = opts
        path = opts.text("audit_file")
        self._wants_webhook = opts.given("port") or opts.given("listen")
        if not path and not self._wants_webhook:
            raise UsageError("kubernetes_audit: nothing to record from; set audit_file, or listen and port")
        self._check(opts)
        place = path or f"{opts.text('listen')}:{opts.number('port')}"
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

    def _check(self, opts: Options) -> None:
        if opts.flag("tls") and not opts.text("tls.crt_file"):
            raise UsageError("kubernetes_audit: tls is on; set tls.crt_file and tls.key_file")
        if not opts.text("path").startswith("/"):
            raise UsageError(f"kubernetes_audit: path is {opts.text('path')!r}; it begins with /")
        if opts.number("port") > 65535:
            raise UsageError(f"kubernetes_audit: port is {opts.number('port')}; it ends at 65535")

    def describe(self) -> str:
        """One line for people: what it records from."""
        opts = self._options
        scheme = "https" if opts.flag("tls") or opts.text("tls.crt_file") else "http"
        host = f"[{opts.text('listen')}]" if ":" in opts.text("listen") else opts.text("listen")
        webhook = f"webhook {scheme}://{host}:{opts.number('port')}{opts.text('path')}" if self._wants_webhook else ""
        file = f"file {opts.text('audit_file')}" if self.file is not None else ""
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
        from kubewitness.inputs.audit_webhook import AuditWebhook, Listener

        opts = self._options
        tls = opts.flag("tls") or bool(opts.text("tls.crt_file"))
        listener = Listener(
            opts.text("listen"),
            opts.number("port"),
            opts.text("path"),
            opts.number("buffer_max_size"),
            opts.text("tls.crt_file") if tls else "",
            opts.text("tls.key_file"),
            opts.text("tls.ca_file"),
            opts.text("token_file"),
        )
        self.webhook = AuditWebhook(
            listener, self.cluster, redact_key=self._redact_key, keyed=self._keyed, tag=self._tag
        )
        await self.webhook.run(sink)
