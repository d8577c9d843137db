"""Which output is tried under which fault: the rows and columns of docs/reliability.md's second table."""

from __future__ import annotations

HTTP = (
    "alertmanager", "es", "http", "loki", "opensearch", "opentelemetry", "prometheus_remote_write", "slack", "splunk",
    "webhook",
)  # fmt: skip
NETWORK = ("forward", "kafka", "nats", "s3", "syslog", "tcp")
FAULTS = ("down", "down 10 min", "slow", "cut", "429", "500", "half", "clock jump", "disk full")

COMBINATIONS: list[tuple[str, str]] = [
    *(
        (output, fault)
        for output in (*HTTP, *NETWORK)
        for fault in ("down", "down 10 min", "slow", "cut", "clock jump")
        # s3's client tries again by itself for seconds each time, which no fake clock shortens
        if (output, fault) != ("s3", "down 10 min")
    ),
    *((output, fault) for output in HTTP for fault in ("429", "500")),
    ("kafka", "429"),
    *((output, "half") for output in ("es", "opensearch")),
    *(("file", fault) for fault in ("clock jump", "disk full")),
]
