"""The state directory (`--state`) and the store (`--store`): where they are and what is in them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from kubewitness.errors import StateError


@dataclass(frozen=True, slots=True)
class StatePaths:
    """`root` holds `journal.db` and, unless `store_uri` says otherwise, `store/`."""

    root: Path
    #: directory, or an object store's address (s3://bucket/prefix)
    store_uri: str

    @property
    def journal(self) -> Path:
        return self.root / "journal.db"

    @property
    def access_log(self) -> Path:
        """Who asked what of the server, where there is a login."""
        return self.root / "access.jsonl"

    @property
    def store_lock(self) -> Path:
        """Held (flock) by the one process that writes the tables."""
        return self.root / "store.lock"

    @property
    def shared_store(self) -> str:
        """The store's address where other machines can reach it, too; "" for a directory."""
        return self.store_uri if "://" in self.store_uri else ""

    def redact_key(self) -> bytes:
        """The secret of the digests that stand for redacted bytes: made at first use, readable by the owner only.

        It lets two redacted records be compared, and nobody without it can guess at what was there.
        """
        try:
            self.create()
            return _made_once(self.root / "redact.key")
        except OSError as e:
            raise StateError(
                f"redaction key {self.root / 'redact.key'}: {e.strerror}; choose another state with --state"
            ) from e

    def store_identity(self, journal_id: str) -> str:
        """The same for two processes only if both reach the same tables: the address of an object store; of a
        directory an id kept in it; of the store inside the state the journal's."""
        if self.shared_store:
            return self.shared_store
        directory = Path(self.store_uri)
        if directory == self.root / "store":
            return f"journal:{journal_id}"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return f"directory:{_made_once(directory / 'store.id').hex()}"
        except OSError as e:
            raise StateError(f"store {directory}: {e.strerror}; choose another with --store") from e

    def create(self) -> StatePaths:
        """Makes the directory, readable by its owner only (records may hold what a cluster keeps secret)."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise StateError(f"state directory {self.root}: {e.strerror}; choose another with --state") from e
        return self

    def require(self) -> StatePaths:
        """Fails with a clear error when nothing has been recorded there yet."""
        if not self.journal.exists() and "://" not in self.store_uri and not Path(self.store_uri).exists():
            raise StateError(
                f"nothing has been recorded in {self.root}; run `kubewitness record` or `kubewitness import`, "
                "or name another state with --state"
            )
        return self


def _made_once(path: Path) -> bytes:
    """32 random bytes, the same for all processes that ask for this file. OSError, or StateError for a damaged one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "wb") as new:
            new.write(os.urandom(32))
    for _ in range(50):
        key = path.read_bytes()
        if len(key) == 32:
            return key
        time.sleep(0.02)  # another process has made the file and not yet written it
    raise StateError(f"{path} is damaged: {len(key)} bytes instead of 32; remove the file")


def state_paths(state: str | None = None, store: str | None = None) -> StatePaths:
    """`--state`, else KUBEWITNESS_STATE, else /var/lib/kubewitness in a container, else under XDG_STATE_HOME."""
    chosen = state or os.environ.get("KUBEWITNESS_STATE")
    if chosen:
        root = Path(chosen)
    elif os.environ.get("KUBERNETES_SERVICE_HOST"):
        root = Path("/var/lib/kubewitness")
    else:
        base = os.environ.get("XDG_STATE_HOME")
        root = (Path(base) if base else Path.home() / ".local" / "state") / "kubewitness"
    root = root.expanduser().absolute()
    return StatePaths(root, store or str(root / "store"))
