"""What can be wrong with a state, each with how to mend it. Used by `doctor`."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from kubewitness.config.state import StatePaths
from kubewitness.errors import KubewitnessError
from kubewitness.formats.times import parse_us
from kubewitness.journal import Journal
from kubewitness.store.session import Session, Store
from kubewitness.store.status import status

Level = Literal["ok", "warning", "error"]

_LAG_SECONDS = 300
_DISK_LOW = 0.05
_SKEW_SECONDS = 60


class Finding(NamedTuple):
    """One result. `mend` is "" when all is well."""

    check: str
    level: Level
    text: str
    mend: str = ""


def diagnose(paths: StatePaths) -> list[Finding]:
    """All checks, none of which changes anything. Only a state that does not exist raises."""
    paths.require()
    found = [*_permissions(paths), *_journal(paths)]
    try:
        s = status(paths)
    except KubewitnessError as e:
        return [*found, Finding("store", "error", str(e), "mend the store, or choose another --state")]
    found += [*_disk(s), *_lag(s), *_rejects(s)]
    store = Store(paths)
    try:
        with store.session() as session:
            for check in _ASKED:
                found += check(session)
    except KubewitnessError as e:
        found.append(Finding("store", "error", str(e), "mend the store, or choose another --state"))
    finally:
        store.close()
    return found


def _permissions(paths: StatePaths) -> Iterator[Finding]:
    mode = stat.S_IMODE(paths.root.stat().st_mode)
    if mode & 0o077:
        yield Finding(
            "permissions",
            "warning",
            f"others may read {paths.root} (mode {mode:o}), and records may hold secrets",
            f"chmod 700 {paths.root}",
        )
    else:
        yield Finding("permissions", "ok", "only the owner can read the state")


def _journal(paths: StatePaths) -> Iterator[Finding]:
    if not paths.journal.exists():
        return
    try:
        with Journal.open_readonly(paths.journal) as journal:
            stats = journal.stats()
    except KubewitnessError as e:
        yield Finding("journal", "error", str(e), "move journal.db away to go on with an empty one; keep it for repair")
        return
    if stats.quarantined:
        yield Finding(
            "journal",
            "error",
            f"{stats.quarantined} damaged chunks ({stats.quarantined_records} records) were set aside",
            "check the disk (smartctl, dmesg); the chunks stay in table `damaged` of journal.db",
        )
    elif stats.held.size > 0.8 * stats.size_limit:
        yield Finding(
            "journal",
            "warning",
            f"{stats.held.size} of {stats.size_limit} bytes are waiting; when it is full, inputs must wait",
            "see that a recorder runs and that its disk keeps up; unregister outputs that are gone",
        )
    else:
        yield Finding("journal", "ok", "sound")


def _disk(s: dict[str, Any]) -> Iterator[Finding]:
    free, total = s["disk"]["free_bytes"], s["disk"]["total_bytes"]
    if free < _DISK_LOW * total or free < 500e6:
        yield Finding(
            "disk",
            "error" if free < 100e6 else "warning",
            f"only {free / 1e9:.1f} GB are free",
            "make room, or keep less: kubewitness prune --max-age 14d (and the same for `record`)",
        )
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free")


def _lag(s: dict[str, Any]) -> Iterator[Finding]:
    oldest = [t["waiting"]["oldest"] for t in s["tables"].values() if t["waiting"]["oldest"]]
    late = time.time() - min(map(parse_us, oldest)) / 1e6 if oldest else 0.0
    if late > _LAG_SECONDS:
        alive = s["recorder"]["alive"]
        yield Finding(
            "lag",
            "warning",
            f"records have been waiting in the journal for {late / 60:.0f} minutes (queries see them nevertheless)",
            f"look at the log of process {s['recorder']['pid']}" if alive else "start `kubewitness record` again",
        )
    else:
        yield Finding("lag", "ok", "the tables are up to date")


def _rejects(s: dict[str, Any]) -> Iterator[Finding]:
    if s["rejects"]:
        yield Finding(
            "rejects",
            "warning",
            f"{s['rejects']} records could not be understood (they are kept)",
            "kubewitness sql 'select reason, count(*) from rejects group by 1'",
        )
    else:
        yield Finding("rejects", "ok", "every record was understood")


def _coverage(session: Session) -> Iterator[Finding]:
    levels = dict(session.query("SELECT level, count(*) FROM audit GROUP BY 1"))
    events = session.query("SELECT count(*) FROM events")[0][0]
    if not levels:
        yield Finding(
            "audit",
            "warning",
            "no audit trail was recorded, so that who did something can only be inferred",
            "give `record` --audit-file or --audit-listen, see docs/recording.md",
        )
    elif set(levels) <= {"Metadata", "None", ""}:
        yield Finding(
            "audit",
            "warning",
            "the audit policy logs at level Metadata only: what was changed, and generated names, are missing",
            "log writes at level Request or RequestResponse, see docs/recording.md",
        )
    else:
        yield Finding("audit", "ok", f"{sum(levels.values())} audit records")
    if not events:
        yield Finding(
            "events", "warning", "no Kubernetes Events were recorded", "let `record` reach the cluster (--kubeconfig)"
        )
    else:
        yield Finding("events", "ok", f"{events} Event versions")


def _clock(session: Session) -> Iterator[Finding]:
    rows = session.query(
        "SELECT max(epoch_us(ts) - epoch_us(arrived_ts)) FROM audit WHERE epoch_us(arrived_ts) > 0 AND form = ''"
    )
    ahead = (rows[0][0] or 0) / 1e6
    if ahead > _SKEW_SECONDS:
        yield Finding(
            "clock",
            "warning",
            f"audit records are up to {ahead:.0f} s ahead of this machine's clock",
            "let both this machine and the API server's keep time (NTP)",
        )
    else:
        yield Finding("clock", "ok", "no record is from the future")


_ASKED: tuple[Callable[[Session], Iterator[Finding]], ...] = (_coverage, _clock)
