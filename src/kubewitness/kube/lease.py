"""Who leads, decided by a Lease (coordination.k8s.io/v1) as client-go's leader election decides it.

Pure: objects and times in, the object to write out; `elector.py` has the loop and the requests. Source of the
semantics: k8s.io/client-go/tools/leaderelection, of the object: k8s.io/api/coordination/v1 LeaseSpec.

- Nobody's clock is compared with another's. A candidate notes on its own clock when it last saw the Lease *change*;
  a holder that has changed nothing for the duration that the Lease names has lost it.
- Every write carries the resourceVersion that was read: of two who write, the API server takes one (409 to the other).
- Who takes over adds one to `leaseTransitions`. That number is the term: of two leaders the later has the greater one.
- A leader counts from the moment *before* it asked for the renewal that succeeded, and stops `renew` seconds after
  it, while others still wait for `duration`.
"""

from __future__ import annotations

import datetime
import math
import random
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from kubewitness.errors import UsageError

Clock = Callable[[], float]
#: a Lease object as JSON gives it; what we do not know in it stays as it is
Lease = dict[str, Any]

#: who changed the Lease, when, for how long, how often it went to another
_RECORD = ("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions")


def local_clock() -> float:
    """Seconds that have passed, the sleep of the machine included (CLOCK_BOOTTIME); else CLOCK_MONOTONIC.

    Both go on while the process is stopped (SIGSTOP, a frozen container). CLOCK_MONOTONIC stands still while the
    machine sleeps: a leader that slept would believe that no time has passed.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def new_identity(name: str = "") -> str:
    """Of one run of one process: a restart is another candidate, whatever name it was given."""
    return f"{name or socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds; the defaults are client-go's. UsageError where they could not work."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0

    #: waits between two tries to get the Lease are longer by up to this factor
    JITTER = 1.2

    def __post_init__(self) -> None:
        if self.duration < 1:
            raise UsageError(f"--lease-duration {self.duration:g}: a Lease counts whole seconds, at least 1")
        if self.duration <= self.renew:
            raise UsageError(
                f"--lease-duration {self.duration:g} must be longer than --renew-deadline {self.renew:g}: a leader "
                "must have stopped before another may begin"
            )
        if not 0 < self.retry * self.JITTER < self.renew:
            raise UsageError(
                f"--renew-deadline {self.renew:g} must be longer than --retry-period {self.retry:g} times {self.JITTER}"
            )

    def wait(self) -> float:
        """Seconds until the Lease is looked at again by one who does not hold it."""
        return self.retry * (1 + random.random() * self.JITTER)  # noqa: S311 - spreads requests, guards nothing


class Candidacy:
    """One candidate's view of one Lease. One thread."""

    def __init__(
        self, identity: str, namespace: str, name: str, times: Times, *, group: str = "", clock: Clock = local_clock
    ) -> None:
        """`group`: an annotation's value that all who stand for this Lease must share; "" takes any."""
        self.identity = identity
        self.namespace = namespace
        self.name = name
        self.times = times
        self.group = group
        self._clock = clock
        self._lease: Lease | None = None
        self._record: tuple[object, ...] = ()
        self._changed_at = 0.0
        self._changes = 0
        #: when the request was made that last made or kept this candidate the holder
        self._renewed_at = -math.inf
        #: the term it leads in; meaningless while it does not
        self.term = 0

    # --- what was seen -----------------------------------------------------------------------------------------------

    def saw(self, lease: Lease | None) -> None:
        """What the API server has: None when there is no such Lease."""
        record = _record_of(lease) if lease is not None else ()
        if record != self._record:
            self._record, self._changed_at = record, self._clock()
            self._changes += 1
        self._lease = lease

    @property
    def holder(self) -> str:
        """Who held it when it was last seen; "" for nobody."""
        return str(_spec(self._lease).get("holderIdentity") or "") if self._lease is not None else ""

    @property
    def transitions(self) -> int:
        return _transitions(self._lease)

    @property
    def foreign_group(self) -> str:
        """The group of a holder that is alive (it was seen to renew), where that is not ours; "" else."""
        alive = self._changes > 1 and not self.free
        if self._lease is None or not self.group or not alive:
            return ""
        found = str(_annotations(self._lease).get(GROUP_ANNOTATION) or "")
        return found if found != self.group else ""

    # --- what to do --------------------------------------------------------------------------------------------------

    @property
    def free(self) -> bool:
        """Whether this candidate may write itself into the Lease as last seen."""
        if self._lease is None or not self.holder or self.holder == self.identity:
            return True
        lasts = _spec(self._lease).get("leaseDurationSeconds") or self.times.duration
        return self._clock() >= self._changed_at + float(lasts)

    def claim(self, *, term_above: int = -1) -> Lease:
        """The Lease with this candidate as holder, to be created (nothing was seen) or to replace what was.

        `term_above`: the term becomes greater than that, whatever the Lease says: it may have been deleted and begun
        anew while the store remembers the terms before.
        """
        lease = self._copy()
        spec = lease["spec"]
        now = _wall()
        term = _transitions(self._lease)
        if self.holder != self.identity:
            term += self._lease is not None
            spec["acquireTime"] = now
        spec["leaseTransitions"] = max(term, term_above + 1)
        spec["holderIdentity"] = self.identity
        spec["leaseDurationSeconds"] = math.ceil(self.times.duration)
        spec["renewTime"] = now
        if self.group:
            lease["metadata"].setdefault("annotations", {})[GROUP_ANNOTATION] = self.group
        return lease

    def release(self) -> Lease:
        """The Lease with no holder, as client-go leaves it: the next candidate need not wait."""
        lease = self._copy()
        now = _wall()
        lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now, "acquireTime": now}
        return lease

    def wrote(self, lease: Lease, asked_at: float) -> None:
        """The API server has taken a claim; `asked_at`: the local clock before the request was sent."""
        self.saw(lease)
        self._renewed_at = asked_at
        self.term = self.transitions

    # --- leading -----------------------------------------------------------------------------------------------------

    @property
    def leads_until(self) -> float:
        """On the local clock; -inf when it does not lead."""
        return self._renewed_at + self.times.renew

    def lost(self) -> None:
        self._renewed_at = -math.inf

    # --- the object --------------------------------------------------------------------------------------------------

    @property
    def collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"

    @property
    def exists(self) -> bool:
        return self._lease is not None

    def _copy(self) -> Lease:
        if self._lease is None:
            metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace}
            return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {}}
        lease: Lease = msgspec.json.decode(msgspec.json.encode(self._lease))
        lease["spec"] = dict(_spec(lease))
        return lease


#: which records the candidates keep, so that two that keep different ones do not stand for the same Lease
GROUP_ANNOTATION = "kubewitness.io/store"


def _spec(lease: Lease | None) -> Mapping[str, Any]:
    spec = lease.get("spec") if lease is not None else None
    return spec if isinstance(spec, dict) else {}


def _annotations(lease: Lease) -> Mapping[str, Any]:
    return (lease.get("metadata") or {}).get("annotations") or {}


def _transitions(lease: Lease | None) -> int:
    return int(_spec(lease).get("leaseTransitions") or 0)


def _record_of(lease: Lease) -> tuple[object, ...]:
    """As client-go: the election's own fields; a label put on the Lease is no sign of life of its holder."""
    spec = _spec(lease)
    return tuple(spec.get(name) for name in _RECORD)


def _wall() -> str:
    """metav1.MicroTime: for people; no candidate reads another's clock."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
