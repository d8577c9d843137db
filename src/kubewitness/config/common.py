"""Keys that every input, filter or output takes, beside its own: the engine's."""

from __future__ import annotations

from kubewitness.config.keys import Key

_NOTHING = "accepted, without effect: "
_THREAD = _NOTHING + "an input waits for room in the journal and drops nothing"
_RATE = _NOTHING + "nothing is throttled away; back-pressure is the journal's limit"
_LOG = (
    Key("log_level", default="info", doc=_NOTHING + "`service.log_level` is for all"),
    Key("log_suppress_interval", "seconds", "0", _NOTHING + "an incident is one line in the log"),
)

INPUT_KEYS = (
    Key("tag", doc="what outputs and filters match; empty: `NAME.N`, N counted from 0 for each plugin"),
    Key("alias", doc="name in `status` and /metrics"),
    Key(
        "storage.type",
        doc="`filesystem`, `memory` or `memrb` (a ring: at its limit the oldest records are dropped, and counted); "
        "empty: the service's. One for all inputs, the safest that one of them has: `filesystem` before `memory`, that "
        "before `memrb`",
        choices=("filesystem", "memory", "memrb"),
    ),
    Key(
        "mem_buf_limit",
        "size",
        "0",
        "with `storage.type memrb`: limit of the ring (0: 8M), added up over all inputs. Else " + _THREAD,
    ),
    Key("storage.pause_on_chunks_overlimit", "bool", "off", _THREAD),
    Key("threaded", "bool", "off", _THREAD),
    Key("thread.ring_buffer.capacity", doc=_THREAD),
    Key("thread.ring_buffer.window", doc=_THREAD),
    Key("routable", "bool", "on", _NOTHING + "routing is by tag and `match`"),
    *_LOG,
    Key("rate_window", doc=_RATE),
    Key("rate_gate", "bool", "off", _RATE),
    Key("rate_gate.max_bytes", "size", "0", _RATE),
    Key("rate_gate.max_records", "int", "0", _RATE),
    Key("rate_gate.backpressure", "bool", "on", _RATE),
    Key("rate_gate.resume_ratio", "float", "0.80", _RATE),
)

_ROUTE = (
    Key("match", doc="tags that it takes; `*` stands for any characters"),
    Key("match_regex", doc="and those whose beginning this expression fits (Onigmo's syntax)"),
    Key("alias", doc="name in `status` and /metrics; empty: `NAME.N`"),
    *_LOG,
)

FILTER_KEYS = _ROUTE

OUTPUT_KEYS = (
    *_ROUTE,
    Key("retry_limit", default="no_limits", doc="tries after the first, then a batch is given up: counted, kept as "
        "`storage.keep.rejected` says; `no_limits`, `no_retries` or a number (Fluent Bit: 1, and then dropped)"),
    Key("workers", "int", "0", _NOTHING + "outputs do not wait for one another"),
    Key("storage.total_limit_size", "size", "0", "bytes (compressed) that may wait for this output; at it the oldest "
        "are dropped, and counted as `over_limit`; 0: any, up to the service's limit, at which inputs wait"),
)  # fmt: skip
