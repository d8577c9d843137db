"""One file per output. Adding one is: a file, a line in this table, a section in docs, a pass of the contract tests.

An output is made from its keys (a mapping of strings, lower case, without `name`, `match` and `alias`, which the
engine keeps) and raises UsageError for one that it does not know. See `contracts.Output`.
"""

#: plugin name -> (module, class); imported only when used
OUTPUTS: dict[str, tuple[str, str]] = {
    "alertmanager": ("kubewitness.outputs.alertmanager", "AlertmanagerOutput"),
    "counter": ("kubewitness.outputs.counter", "CounterOutput"),
    "es": ("kubewitness.outputs.es", "EsOutput"),
    "file": ("kubewitness.outputs.file", "FileOutput"),
    "flowcounter": ("kubewitness.outputs.flowcounter", "FlowcounterOutput"),
    "forward": ("kubewitness.outputs.forward", "ForwardOutput"),
    "http": ("kubewitness.outputs.http", "HttpOutput"),
    "kafka": ("kubewitness.outputs.kafka", "KafkaOutput"),
    "loki": ("kubewitness.outputs.loki", "LokiOutput"),
    "nats": ("kubewitness.outputs.nats", "NatsOutput"),
    "null": ("kubewitness.outputs.null", "NullOutput"),
    "opensearch": ("kubewitness.outputs.opensearch", "OpensearchOutput"),
    "opentelemetry": ("kubewitness.outputs.opentelemetry", "OpentelemetryOutput"),
    "prometheus_exporter": ("kubewitness.outputs.prometheus_exporter", "PrometheusExporterOutput"),
    "prometheus_remote_write": ("kubewitness.outputs.prometheus_remote_write", "PrometheusRemoteWriteOutput"),
    "s3": ("kubewitness.outputs.s3", "S3Output"),
    "slack": ("kubewitness.outputs.slack", "SlackOutput"),
    "splunk": ("kubewitness.outputs.splunk", "SplunkOutput"),
    "stdout": ("kubewitness.outputs.stdout", "StdoutOutput"),
    "store": ("kubewitness.outputs.store", "StoreOutput"),
    "syslog": ("kubewitness.outputs.syslog", "SyslogOutput"),
    "tcp": ("kubewitness.outputs.tcp", "TcpOutput"),
    "webhook": ("kubewitness.outputs.webhook", "WebhookOutput"),
}
