"""One file per input."""

#: Every input: name in a pipeline file -> "module:class". The class is called with the section's keys (a mapping of
#: strings; `name` and the like may be among them) and, by name, `redact_key` (bytes, the state's) and `keyed`
#: (False: records without identities, for pass-through). An unknown key is a UsageError naming the nearest one.
INPUTS: dict[str, tuple[str, str]] = {
    "dummy": ("kubewitness.inputs.dummy", "Dummy"),
    "exec": ("kubewitness.inputs.exec", "Exec"),
    "fluentbit_metrics": ("kubewitness.inputs.fluentbit_metrics", "FluentbitMetrics"),
    "stdin": ("kubewitness.inputs.stdin", "Stdin"),
    "systemd": ("kubewitness.inputs.systemd", "Systemd"),
    "kubernetes_events": ("kubewitness.inputs.kubernetes_events", "KubernetesEvents"),
    "kubernetes_audit": ("kubewitness.inputs.kubernetes_audit", "KubernetesAudit"),
    "tcp": ("kubewitness.inputs.tcp", "Tcp"),
    "udp": ("kubewitness.inputs.udp", "Udp"),
    "syslog": ("kubewitness.inputs.syslog", "Syslog"),
    "tail": ("kubewitness.inputs.tail", "Tail"),
    "forward": ("kubewitness.inputs.forward", "Forward"),
    "http": ("kubewitness.inputs.http", "Http"),
    "kubernetes_admission": ("kubewitness.inputs.kubernetes_admission", "KubernetesAdmission"),
}
