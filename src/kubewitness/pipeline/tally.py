"""What one output's delivery has come to, in numbers: for `health`, and as Fluent Bit names and counts it."""

from __future__ import annotations

import time
from typing import Literal


class Tally:
    """Counts from the process' start. Nothing here decides anything."""

    def __init__(self) -> None:
        self._counts = {"records": 0, "bytes": 0, "deliveries": 0, "retries": 0, "retried_records": 0, "errors": 0}
        #: records that are not delivered: refused by the far side, given up by `retry_limit`, over the
        #: output's limit; kept aside or dropped
        self._lost = {"refused": 0, "given_up": 0, "over_limit": 0, "set_aside": 0, "dropped": 0}
        #: how often that was
        self._losses = {"refusals": 0, "retries_failed": 0}
        self._delivered_us = 0

    @property
    def over_limit(self) -> int:
        return self._lost["over_limit"]

    def delivered(self, records: int, size: int) -> None:
        self._counts["deliveries"] += 1
        self._counts["records"] += records
        self._counts["bytes"] += size
        self._delivered_us = time.time_ns() // 1000

    def retried(self, records: int) -> None:
        self._counts["retries"] += 1
        self._counts["retried_records"] += records

    def failed(self) -> None:
        """What should not happen, in the output or in a filter."""
        self._counts["errors"] += 1

    def dropped(self, records: int) -> None:
        """Over the output's limit."""
        self._lost["over_limit"] += records
        self._lost["dropped"] += records

    def not_taken(self, records: int, why: Literal["refused", "given_up"], *, kept: bool) -> None:
        self._lost[why] += records
        self._losses["refusals" if why == "refused" else "retries_failed"] += 1
        self._lost["set_aside" if kept else "dropped"] += records

    def as_fluent_bit(self) -> dict[str, int]:
        """Errors and failed retries are batches, dropped are records that were not delivered, whether they are kept
        aside or not."""
        counts = self._counts
        return {
            "proc_records": counts["records"],
            "proc_bytes": counts["bytes"],
            "errors": counts["errors"] + self._losses["refusals"],
            "retries": counts["retries"],
            "retries_failed": self._losses["retries_failed"],
            "dropped_records": self._lost["refused"] + self._lost["given_up"] + self._lost["over_limit"],
            "retried_records": counts["retried_records"],
        }

    def health(self) -> dict[str, int]:
        return {**self._counts, **self._lost, **self._losses, "last_delivery_us": self._delivered_us}
