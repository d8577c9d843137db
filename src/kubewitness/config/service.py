"""Section `service`: all of Fluent Bit's keys, each with what it does here."""

from __future__ import annotations

from kubewitness.config.keys import Key

_NOTHING = "accepted, without effect: "
_RESOLVER = _NOTHING + "the system resolves names"
_JOURNAL = _NOTHING + "the journal is read as it is delivered, and always synced and checked"
_ADAPT = _NOTHING + "what is there is delivered together"
_LATER = "not built yet"
_TASKS = _NOTHING + "there are no coroutine stacks to size"
_NO_PLUGINS = "external plugins cannot be loaded"
_NO_TASKS = "there is no stream processor; use `kubewitness sql`"
_DAEMON = "a supervisor (systemd, the kubelet) keeps it running"
_SHOWN = _NOTHING + "the journal's numbers are always shown"

SERVICE_KEYS = (
    Key("flush", "seconds", "1", "seconds that records may wait to be delivered together"),
    Key("grace", "seconds", "5", "seconds that outputs have at shutdown to deliver what is left"),
    Key("log_level", default="info", doc="how much is logged", choices=(
        "off", "error", "warn", "warning", "info", "debug", "trace")),
    Key("log_file", doc="file for the log; empty: standard error"),
    Key("daemon", "bool", "off", "runs in the background (`kubewitness-fluent-bit`); `run`: only off, " + _DAEMON),
    Key("parsers_file", doc="parsers to know, in either form; several by repeating the key or by commas", multi=True),
    Key("plugins_file", doc="only empty", multi=True, refused=_NO_PLUGINS),
    Key("streams_file", doc="only empty", refused=_NO_TASKS),
    Key("http_server", "bool", "off", "probes and metrics over HTTP"),
    Key("http_listen", default="127.0.0.1", doc="address for it (Fluent Bit: 0.0.0.0)"),
    Key("http_port", "int", "2020", "and port"),
    Key("health_check", "bool", "off", _NOTHING + "/api/v1/health always tells"),
    Key("hc_errors_count", "int", "5", "batches that may fail for good within `hc_period`; with more, /api/v1/health "
        "answers 500"),
    Key("hc_retry_failure_count", "int", "5", "batches that may be given up after `retry_limit` within `hc_period`"),
    Key("hc_period", "int", "60", "seconds for which failures count"),
    Key("storage.path", doc="directory of this pipeline's journal; empty: in the state directory, by the file's name"),
    Key("storage.type", default="filesystem", doc="for inputs that do not say: through the journal, or in memory; "
        "`memrb`: in memory, and the oldest are dropped at the limit", choices=("filesystem", "memory", "memrb")),
    Key("storage.total_limit_size", "size", "2G", "limit of the journal's compressed chunks; inputs wait at it"),
    Key("storage.sync", default="normal", doc=_JOURNAL, choices=("normal", "full")),
    Key("storage.checksum", "bool", "off", _JOURNAL),
    Key("storage.metrics", "bool", "on", _SHOWN),
    Key("storage.backlog.mem_limit", "size", "100M", _JOURNAL),
    Key("storage.backlog.flush_on_shutdown", "bool", "off", _NOTHING + "what is left is delivered after a restart"),
    Key("storage.max_chunks_up", "int", "128", _JOURNAL),
    Key("storage.delete_irrecoverable_chunks", "bool", "off", _NOTHING + "a damaged chunk is kept aside"),
    Key("storage.trim_files", "bool", "off", _JOURNAL),
    Key("storage.inherit", "bool", "off", _NOTHING + "inputs always take the service's `storage.type`"),
    Key("storage.keep.rejected", "bool", "on", "what a far side never takes, and what `retry_limit` gives up, is "
        "kept with its reason; off: it is dropped, and counted (Fluent Bit: off)"),
    Key("storage.rejected.path", doc="directory for it; empty: `rejected` beside the journal"),
    Key("storage.rejected.limit", "size", "256M", "size of each output's file there; the output waits at it"),
    Key("scheduler.base", "int", "5", "seconds until an output's second try, doubled from there; not given: 0.5"),
    Key("scheduler.cap", "int", "2000", "seconds a wait has at most, unless the far side asks for more; not given: "
        "60"),
    Key("multiline_buffer_limit", "size", "2MB", "of a record of several lines"),
    Key("json.escape_unicode", "bool", "on", _NOTHING + "JSON is written in UTF-8, as it came"),
    Key("json.convert_nan_to_null", "bool", "off", _NOTHING + "JSON has no NaN"),
    Key("hot_reload", "bool", "off", "SIGHUP and POST /api/v2/reload go on with what the files say now"),
    Key("hot_reload.ensure_thread_safety", "bool", "on", _NOTHING + "a reload cuts nothing short"),
    Key("hot_reload.timeout", "int", "0", _NOTHING + "`grace` limits how long a reload waits for outputs"),
    Key("enable_chunk_trace", "bool", "off", "only off", refused=_LATER),
    Key("security.fips_mode", "bool", "off", "only off", refused="the system's OpenSSL decides"),
    Key("sp.convert_from_str_to_num", "bool", "on", _NOTHING + "there is no stream processor"),
    Key("coro_stack_size", "size", "24576", _TASKS),
    Key("dns.mode", doc=_RESOLVER),
    Key("dns.resolver", doc=_RESOLVER),
    Key("dns.prefer_ipv4", "bool", "off", _RESOLVER),
    Key("dns.prefer_ipv6", "bool", "off", _RESOLVER),
    Key("flush.adaptive", "bool", "off", _ADAPT),
    Key("flush.min_interval", "float", "0.5", _ADAPT),
    Key("flush.max_interval", "float", "2.0", _ADAPT),
    Key("flush.low_pressure", "float", "25", _ADAPT),
    Key("flush.medium_pressure", "float", "50", _ADAPT),
    Key("flush.high_pressure", "float", "75", _ADAPT),
    Key("flush.up_steps", "int", "2", _ADAPT),
    Key("flush.down_steps", "int", "3", _ADAPT),
)  # fmt: skip
