"""The real command line as subprocesses: one that records, and ones that ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cluster.harness import Binaries, ControlPlane, Options, Part, Webhook, until
from tests.cluster.harness.pki import Pki
from tests.cluster.harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
_STARTED = b"(Ctrl-C ends)"


def _environment(state: Path) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TZ")},
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(state.parent),
        "KUBEWITNESS_STATE": str(state),
    }


class Recorder(Part):
    """`kubewitness record ARGS` into `state`; ends with the test process as every part does. `listen`: serves there."""

    def __init__(self, state: Path, *args: str, listen: str = "") -> None:
        serving = ["--listen", listen] if listen else ["--no-serve"]
        command = [sys.executable, "-m", "kubewitness", "record", *serving, *args]
        super().__init__("recorder", command, state.parent / "recorder.log", env=_environment(state))
        self.state = state

    def start(self) -> Recorder:
        before = self.log.stat().st_size if self.log.exists() else 0
        super().start()

        def says_so() -> bool:
            self.check()
            return _STARTED in self.log.read_bytes()[before:]

        until("the recorder to say that it records", says_so, 30)
        return self

    def ask(self, *args: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """`kubewitness ARGS` on the same state, whatever its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "kubewitness", *args],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def answer(self, *args: str) -> Any:
        """The JSON of `kubewitness ARGS -o json`; AssertionError when it failed (found nothing is an answer)."""
        done = self.ask(*args, "-o", "json")
        assert done.returncode in (0, 1), f"kubewitness {' '.join(args)}: exit {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def rows(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.answer("sql", query, "--limit", "1000000")
        return rows

    def count(self, query: str) -> int:
        """The one number that the query gives."""
        (row,) = self.rows(query)
        (value,) = row.values()
        return int(value)


def recorder_flags(
    kubeconfig: Path, *, audit_file: Path | None = None, listen: str = "", admission: str = "", pki: Pki | None = None
) -> Sequence[str]:
    """`admission`: address of the admission webhook, with the API server's own certificate out of `pki`."""
    flags = ["--kubeconfig", str(kubeconfig)]
    flags += ["--audit-file", str(audit_file)] if audit_file else []
    flags += ["--audit-listen", listen] if listen else []
    if admission and pki is not None:
        flags += ["--admission-listen", admission]
        flags += ["--tls-cert", pki.file("apiserver.crt"), "--tls-key", pki.file("apiserver.key")]
    return flags


@contextmanager
def recorded_cluster(
    binaries: Binaries,
    folder: Path,
    *,
    file: bool,
    webhook: bool,
    admission: str = "",
    options: Options | None = None,
) -> Iterator[tuple[ControlPlane, Recorder]]:
    """A cluster whose recorder was there first, as one that must not miss anything should be."""
    address = f"127.0.0.1:{free_port()}"
    url = f"{'https' if admission else 'http'}://{address}/audit"
    options = options or Options()
    cluster = ControlPlane(replace(options, webhook=Webhook(url)) if webhook else options, binaries)
    flags = recorder_flags(
        cluster.pki.users["admin"].kubeconfig,
        audit_file=cluster.audit_log if file else None,
        listen=address if webhook else "",
        admission=admission,
        pki=cluster.pki,
    )
    recorder = Recorder(folder / "state", *flags)
    try:
        recorder.start()
        cluster.start()
        yield cluster, recorder
    finally:
        recorder.stop()
        cluster.stop()
