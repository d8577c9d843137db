"""The keys of input `kubernetes_events`: all of Fluent Bit's (same name, type, unit and default), and ours.

`KEYS` is the documentation, too (docs/kubernetes-events.md shows it): one entry for every key that is accepted.
"""

from __future__ import annotations

from kubewitness.config.keys import Key, Options
from kubewitness.kube.options import NET_KEYS, TLS_KEYS, access_of, network_of

_NOTHING = "accepted, without effect: "
_DURABLE = _NOTHING + "positions and seen records are in the journal, committed together with the records"
_THREAD = _NOTHING + "an input waits for room in the journal and drops nothing"
_RATE = _NOTHING + "nothing is throttled away; back-pressure is the journal's limit"

__all__ = ["KEYS", "access_of", "network_of", "period_of"]

KEYS = (
    # Fluent Bit's own
    Key("kube_url", doc="address of the API server, with a path if it has one; empty: the cluster that kubectl would "
     "use, in a pod the pod's (Fluent Bit: https://kubernetes.default.svc)"),
    Key("interval_sec", "int", "0", "period of polling where a watch is impossible, with `interval_nsec`; "
     "below 1 s: 10 s"),
    Key("interval_nsec", "int", "500000000", "added to `interval_sec`, nanoseconds"),
    Key("kube_watch_timeout", "seconds", "10m", "a watch is opened anew, from where it was, after so long"),
    Key("kube_ca_file", doc="CA of the API server; with `kube_url` the default is the pod's, if there is one"),
    Key("kube_ca_path", doc="folder of CA certificates (hashed names)"),
    Key("kube_token_file", doc="bearer token, read again when the file changes and after a 401; with `kube_url` the "
     "default is the pod's, if there is one and the address is https; \"\": none"),
    Key("kube_token_ttl", "seconds", "10m", "the output of `kube_token_command` is used for so long; files are "
     "read again when they change, whatever this says"),
    Key("kube_token_command", doc="shell command that prints a bearer token"),
    Key("kube_request_limit", "int", "0", "items of a list's page; 0: 500, because an unbounded list is held in "
     "memory whole"),
    Key("kube_retention_time", "seconds", "1h", _NOTHING + "no Event is dropped for its age; repeats are "
     "recognised by uid and resourceVersion"),
    Key("kube_namespace", doc="one namespace only; empty: all"),
    Key("db", doc=_DURABLE),
    Key("db.sync", "text", "normal", _DURABLE),
    Key("db.locking", "bool", "false", _DURABLE),
    Key("db.journal_mode", "text", "WAL", _DURABLE),
    *TLS_KEYS,
    *NET_KEYS,
    # every input's
    Key("tag", doc="as in Fluent Bit; empty: `kubernetes_events.N`, N counted from 0"),
    Key("alias", doc="name in `status`, /metrics and of the saved position"),
    Key("storage.type", "text", "filesystem", "`filesystem` (the default here) or `memory`; the engine's"),
    Key("mem_buf_limit", "size", "0", _THREAD),
    Key("threaded", "bool", "false", _THREAD),
    Key("thread.ring_buffer.capacity", doc=_THREAD),
    Key("thread.ring_buffer.window", doc=_THREAD),
    Key("storage.pause_on_chunks_overlimit", "bool", "false", _THREAD),
    Key("log_level", "text", "info", _NOTHING + "`service.log_level` is for all"),
    Key("log_suppress_interval", "seconds", "0", _NOTHING + "an incident is one line in the log"),
    Key("routable", "bool", "true", _NOTHING + "routing is by tag and `match`"),
    Key("rate_window", doc=_RATE),
    Key("rate_gate", "bool", "false", _RATE),
    Key("rate_gate.max_bytes", "size", "0", _RATE),
    Key("rate_gate.max_records", "int", "0", _RATE),
    Key("rate_gate.backpressure", "bool", "true", _RATE),
    Key("rate_gate.resume_ratio", "text", "0.80", _RATE),
    # ours
    Key("kubeconfig", doc="kubeconfig file, or several as in KUBECONFIG"),
    Key("context", doc="context of the kubeconfig"),
    Key("cluster", "text", "default", "name in the store"),
    Key("api", "text", "v1", "`v1` or `events.k8s.io/v1`: the same Events, as the one or the other shows them"),
    Key("events", "bool", "on", "off: only what `resources` names"),
    Key("resources", doc="further kinds to watch, as kubectl names them (`pods,nodes,deploy,widgets.example.com`); "
     "their versions go to table `objects`"),
    Key("watch", "text", "auto", "`off`: poll, never watch; `auto`: poll where the watch is refused"),
    Key("watch_idle", "seconds", "60", "a watch that says nothing for so long is opened anew"),
)  # fmt: skip


def period_of(opts: Options) -> float:
    """Seconds between two polls. Fluent Bit's default is a tick of half a second, too often for a list."""
    period = opts.number("interval_sec") + opts.number("interval_nsec") / 1e9
    return period if period >= 1 else 10.0
