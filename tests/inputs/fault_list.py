"""Which input is tried under which fault: the rows and columns of docs/reliability.md's third table."""

from __future__ import annotations

FILES = ("kubernetes_audit file", "systemd", "tail")
LISTENERS = ("forward", "http", "kubernetes_admission", "kubernetes_audit webhook", "syslog", "tcp")
MADE = ("dummy", "fluentbit_metrics")
INPUTS = (*FILES, *LISTENERS, *MADE, "exec", "kubernetes_events", "stdin", "udp")
FAULTS = ("kill -9", "kill -9, memory", "disk full", "clock jump", "cut", "slow")

#: why a fault cannot be had, by kind
REASONS = {
    "a": "it makes its records itself, of what is at that moment: nothing was said that could be lost",
    "b": "what it reads comes from a program, in whole records",
    "c": "a datagram comes whole or not at all",
}
#: (input, fault) -> kind of the reason
NOT_HAD: dict[tuple[str, str], str] = {
    **{(i, f): "a" for i in MADE for f in FAULTS},
    **{(i, "cut"): "b" for i in ("exec", "systemd")},
    ("systemd", "slow"): "b",
    **{("udp", f): "c" for f in ("cut", "slow")},
}

COMBINATIONS: list[tuple[str, str]] = [(i, f) for i in INPUTS for f in FAULTS if (i, f) not in NOT_HAD]

#: what a fault takes with it, by the source's own rules: nobody is told what became of what was said
MAY_LOSE = {
    *((i, f) for i in ("exec", "stdin", "syslog", "tcp", "udp") for f in ("kill -9", "kill -9, memory")),
    ("kubernetes_admission", "kill -9"),
    # acknowledged is what is in memory, as the user chose
    *((i, "kill -9, memory") for i in LISTENERS),
}
