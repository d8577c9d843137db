"""Fluent Bit's plugins that are not here: what does their work instead. Said when a configuration names one."""

from __future__ import annotations

from collections.abc import Mapping

_METRICS = "metrics of machines are not collected; the Prometheus node exporter does that, so leave the section out"
_CLOUD = "this cloud's own protocol is not spoken; "
_AWS = _CLOUD + "`s3` writes to AWS, `opentelemetry` or `http` to a collector that knows it"
_MADE = "`dummy` makes records for trying things out"
_DATABASE = "databases are not written to; `store` keeps records in tables, `http` posts them"
_VENDOR = "this service has no output of its own; most of them take `http`, `opentelemetry`, `es`, `splunk` or `loki`"
_SCRIPT = "scripts are not run; filter `expr` keeps, drops and sets fields by expressions (docs/filters.md)"
_EXTERNAL = "programs are not loaded; filter `expr` keeps, drops and sets fields by expressions (docs/filters.md)"
_SCRAPE = "metrics of others are not scraped; let Prometheus do that"
_WINDOWS = "Windows is not supported"
_HARDWARE = "devices are not read; `exec` runs a command that does"
_MACHINE = "metadata of machines are not asked for; `record_modifier` adds what the environment holds: ${NAME}"

INPUTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("cpu", "mem", "disk", "netif", "thermal", "proc", "node_exporter_metrics", "process_exporter_metrics",
         "docker", "gpu_metrics", "podman_metrics", "ebpf"), _METRICS),
    **dict.fromkeys(("windows_exporter_metrics", "winlog", "winevtlog", "winstat", "etw"), _WINDOWS),
    **dict.fromkeys(("prometheus_scrape", "nginx_metrics", "nginx_exporter_metrics", "prometheus_textfile"), _SCRAPE),
    **dict.fromkeys(("serial", "kmsg", "head", "health"), _HARDWARE),
    "random": _MADE,
    "emitter": "filters `rewrite_tag` and `multiline` emit by themselves",
    "docker_events": "the container runtime is not asked; `kubernetes_events` captures what Kubernetes says",
    "opentelemetry": "OTLP is written, not read; `http` and `forward` take records",
    "prometheus_remote_write": "metrics are not taken in",
    "collectd": "metrics are not taken in",
    "statsd": "metrics are not taken in",
    "elasticsearch": "its protocol is not taken in; `http` takes JSON",
    "splunk": "its protocol is not taken in; `http` takes JSON",
    "kafka": "Kafka is written to, not read",
    "mqtt": "MQTT is not taken in; `tcp` and `http` take JSON",
    "event_test": _MADE,
    "event_type": _MADE,
    "unix_socket": "`syslog` and `forward` listen on sockets of their own (`path`, `unix_path`)",
    "exec_wasi": "programs are not loaded; `exec` runs a command",
    "blob": "files are read as lines, by `tail`",
}  # fmt: skip

FILTERS: Mapping[str, str] = {
    "lua": _SCRIPT,
    "wasm": _EXTERNAL,
    "tensorflow": _EXTERNAL,
    "nightfall": "`redact` takes out what must not leave",
    "stdout": "records are shown by an output: write `[OUTPUT]`, `Name stdout`, with this section's match",
    "aws": _MACHINE,
    "ecs": _MACHINE,
    "sysinfo": _MACHINE,
    "geoip2": "addresses are not looked up; `checklist` adds fields by a list of your own",
    "lookup": "`checklist` adds fields by a list of your own",
    "alter_size": _MADE,
    "duplicate": "`rewrite_tag` with `true` as the last word of its rule keeps a record and emits it once more",
}

OUTPUTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("cloudwatch", "cloudwatch_logs", "kinesis", "kinesis_streams", "firehose", "kinesis_firehose"), _AWS),
    **dict.fromkeys(("azure", "azure_blob", "azure_kusto", "azure_logs_ingestion", "oms", "oracle_log_analytics"),
        _CLOUD + "`opentelemetry` or `http` go to a collector that knows it"),
    **dict.fromkeys(("stackdriver", "bigquery", "chronicle"),
        _CLOUD + "`opentelemetry` goes to a collector that knows it"),
    **dict.fromkeys(("pgsql", "influxdb", "sqldb"), _DATABASE),
    **dict.fromkeys(
        ("datadog", "newrelic", "nrlogs", "logdna", "dash0", "td", "skywalking", "vivo_exporter", "websocket",
         "zig_demo", "grafana-loki", "logstash"), _VENDOR),
    "gelf": "GELF is not written; Graylog takes `syslog`, and JSON by `http`",
    "kafka-rest": "`kafka` speaks the brokers' own protocol",
    "plot": "`file` writes what a program can plot",
    "udp": "a datagram is not acknowledged; `tcp` sends the same lines",
    "logrotate": "`file` rotates: `rotate on`, `rotate_max_size`, `rotate_max_files`",
    "exit": "`--exit-on-eof` of `kubewitness run` ends when the inputs have",
    "lib": "there is no library to call",
}  # fmt: skip

#: of inputs and outputs in YAML; filters may be processors, too
PROCESSORS: Mapping[str, str] = {
    **FILTERS,
    "content_modifier": "`modify` inserts, renames and removes fields, `record_modifier` adds them, `redact` hashes, "
    "`parser` extracts, `type_converter` converts",
    "sql": "`record_modifier` keeps or removes fields, `grep` and `expr` choose records",
    "labels": "there are only records; Prometheus relabels metrics",
    "metrics_selector": "there are only records; Prometheus drops metrics",
    "cumulative_to_delta": "there are only records; Prometheus counts from any start",
    "opentelemetry_envelope": "output `opentelemetry` wraps records by itself",
    "sampling": "nothing is dropped by chance; `throttle` limits how many records go on",
    "tda": "there are only records",
}

#: kind -> name -> what to do instead
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "input": INPUTS,
    "filter": FILTERS,
    "output": OUTPUTS,
    "processor": PROCESSORS,
}
