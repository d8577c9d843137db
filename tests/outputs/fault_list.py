"""Which output is tried under which fault: the rows and columns of docs/reliability.md's second table."""

from __future__ import annotations

HTTP = (
    "alertmanager", "es", "http", "loki", "opensearch", "opentelemetry", "prometheus_remote_write", "slack", "splunk",
    "webhook",
)  # fmt: skip
NETWORK = ("forward", "kafka", "nats", "s3", "syslog", "tcp")
#: on this machine
HERE = ("file", "stdout", "store")
OUTPUTS = (*HTTP, *NETWORK, *HERE)
FAULTS = ("down", "down 10 min", "slow", "cut", "429", "500", "half", "clock jump", "disk full", "kill -9")

#: why a fault cannot be had, by kind
REASONS = {
    "a": "it writes to this machine: no far side is away, slow or refuses",
    "b": "its far side answers that it took something, or nothing at all: there is no such answer",
    "c": "a request is one message or one object: there is no half of it",
    "d": "nobody acknowledges anything: that a half arrived is not known (see *cut*)",
    "e": "it takes no record out of the journal: numbers wait in memory (`buffer_size`), the oldest go first, counted",
}
#: (output, fault) -> kind of the reason
NOT_HAD: dict[tuple[str, str], str] = {
    **{(o, f): "a" for o in HERE for f in FAULTS if f not in ("clock jump", "disk full", "kill -9")},
    **{(o, f): "b" for o in ("forward", "syslog", "tcp") for f in ("429", "500")},
    ("nats", "500"): "b",
    **{(o, "half"): "c" for o in ("s3", "slack", "webhook")},
    **{(o, "half"): "d" for o in ("syslog", "tcp")},
    ("prometheus_remote_write", "disk full"): "e",
}

COMBINATIONS: list[tuple[str, str]] = [(o, f) for o in OUTPUTS for f in FAULTS if (o, f) not in NOT_HAD]
