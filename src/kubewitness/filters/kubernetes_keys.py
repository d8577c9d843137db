"""The keys of filter `kubernetes`: all of Fluent Bit's (same name, type, unit), and ours."""

from __future__ import annotations

from dataclasses import replace

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.kube.access import KubeAccess
from kubewitness.kube.kubeconfig import SERVICE_ACCOUNT
from kubewitness.kube.options import NET_KEYS, TLS_KEYS, access_of, network_of
from kubewitness.kube.podmeta import TTL, Plan
from kubewitness.kube.pods import Wanted

TAG_PREFIX = "kube.var.log.containers."

_NOTHING = "accepted, without effect: "
_DNS = _NOTHING + "nothing waits for names at the start; the API server is tried again until it answers"
_ASSOCIATION = _NOTHING + "pods are not associated with services"
_REFUSED = "pods are not associated with services of Application Signals"

KEYS = (
    # Fluent Bit's own
    Key("kube_url", doc="address of the API server; empty: the cluster that kubectl would use, in a pod the pod's "
        "(Fluent Bit: https://kubernetes.default.svc)"),
    Key("kube_ca_file", doc="CA of the API server; with `kube_url` the default is the pod's, if there is one"),
    Key("kube_ca_path", doc="folder of CA certificates (hashed names)"),
    Key("kube_token_file", doc="bearer token, read again when the file changes and after a 401; with `kube_url` the "
        "default is the pod's, if there is one and the address is https"),
    Key("kube_token_command", doc="shell command that prints a bearer token"),
    Key("kube_token_ttl", "seconds", "10m", "the output of `kube_token_command` is used for so long; files are read "
        "again when they change, whatever this says"),
    Key("kube_namespace_file", default=f"{SERVICE_ACCOUNT}/namespace", doc="namespace of our own pod, by which the "
        "node is found where the environment does not name it"),
    Key("kube_tag_prefix", default=TAG_PREFIX, doc="what a tag has before the file's name. A tag that does not begin "
        "so loses as many characters, if a dot ends them; of a file that was read here, its own name counts"),
    Key("regex_parser", doc="parser of the rest of the tag, with the groups `pod_name`, `namespace_name`, "
        "`container_name`, `docker_id`"),
    Key("use_journal", "bool", "false", "names are in each record's `CONTAINER_NAME`, not in the tag"),
    Key("merge_log", "bool", "false", "keys of `log`, when that is a JSON object, are put beside the others"),
    Key("merge_log_key", doc="or under this key"),
    Key("merge_log_trim", "bool", "true", "without newlines at the end of texts"),
    Key("merge_parser", doc="parser of `log` instead of JSON; a time that it finds is the record's"),
    Key("keep_log", "bool", "true", "off: `log` is left out when it was merged"),
    Key("k8s-logging.parser", "bool", "false", "pods may name the parser of their `log` (for `merge_log`): annotation "
        "`fluentbit.io/parser[_stdout|_stderr][-CONTAINER]`"),
    Key("k8s-logging.exclude", "bool", "false", "pods, and namespaces that are looked at, may have their logs left "
        "out: annotation `fluentbit.io/exclude[_stdout|_stderr][-CONTAINER]`"),
    Key("labels", "bool", "true", "the pod's labels are put into the record"),
    Key("annotations", "bool", "true", "its annotations"),
    Key("owner_references", "bool", "false", "its `ownerReferences`"),
    Key("namespace_labels", "bool", "false", "labels of the namespace, under `kubernetes_namespace`"),
    Key("namespace_annotations", "bool", "false", "annotations of the namespace"),
    Key("namespace_metadata_only", "bool", "false", "only `kubernetes_namespace`: pods are not looked at"),
    Key("use_tag_for_meta", "bool", "false", "only what the tag says: nobody is asked"),
    Key("use_kubelet", "bool", "false", "pods are asked for at the kubelet (GET /pods) instead of the API server, when "
        "one is not known and after `kube_meta_cache_ttl` (0: a minute)"),
    Key("kubelet_host", default="127.0.0.1", doc="address of the kubelet"),
    Key("kubelet_port", "int", "10250", "port of the kubelet"),
    Key("kube_meta_cache_ttl", "seconds", "0", "a pod that is not watched, because it was fetched by itself, is "
        "fetched anew after so long; 0: 10 minutes. What is watched is never old"),
    Key("kube_meta_namespace_cache_ttl", "seconds", "15m", "the same of namespaces"),
    Key("kube_meta_preload_cache_dir", doc="folder of objects as JSON, which come before what is asked for: "
        "`NAMESPACE_POD.meta`, `NAMESPACE.namespace_meta`"),
    Key("cache_use_docker_id", "bool", "false", _NOTHING + "a pod is always told from one of the same name by the ids "
        "of its containers"),
    Key("dummy_meta", "bool", "false", "for tests: `kubernetes` is {\"dummy\": TIME}"),
    Key("buffer_size", "size", "32K", _NOTHING + "answers are read whole, whatever their size"),
    Key("dns_retries", "int", "6", _DNS),
    Key("dns_wait_time", "seconds", "30", _DNS),
    *TLS_KEYS,
    *NET_KEYS,
    Key("use_pod_association", "bool", "false", "as `aws_use_pod_association`", refused=_REFUSED),
    Key("aws_use_pod_association", "bool", "false", "service and environment of a pod, by the CloudWatch agent",
        refused=_REFUSED),
    Key("aws_pod_association_host", default="cloudwatch-agent.amazon-cloudwatch", doc=_ASSOCIATION),
    Key("aws_pod_association_endpoint", default="/kubernetes/pod-to-service-env-map", doc=_ASSOCIATION),
    Key("aws_pod_association_port", "int", "4311", _ASSOCIATION),
    Key("aws_pod_service_map_ttl", "int", "0", _ASSOCIATION),
    Key("aws_pod_service_map_refresh_interval", "int", "60", _ASSOCIATION),
    Key("aws_pod_service_preload_cache_dir", doc=_ASSOCIATION),
    Key("aws_pod_association_host_server_ca_file",
        default="/etc/amazon-cloudwatch-observability-agent-server-cert/tls-ca.crt", doc=_ASSOCIATION),
    Key("aws_pod_association_host_client_cert_file",
        default="/etc/amazon-cloudwatch-observability-agent-client-cert/client.crt", doc=_ASSOCIATION),
    Key("aws_pod_association_host_client_key_file",
        default="/etc/amazon-cloudwatch-observability-agent-client-cert/client.key", doc=_ASSOCIATION),
    Key("aws_pod_association_host_tls_debug", "int", "0", _ASSOCIATION),
    Key("aws_pod_association_host_tls_verify", "bool", "true", _ASSOCIATION),
    Key("set_platform", doc=_ASSOCIATION),
    # ours
    Key("kubeconfig", doc="kubeconfig file, or several as in KUBECONFIG"),
    Key("context", doc="context of the kubeconfig"),
    Key("kube_node_name", doc="node whose pods are watched; empty: `NODE_NAME` of the environment, else that of our "
        "own pod, else all nodes"),
    Key("kube_meta_wait", "seconds", "5s", "records wait at most so long for metadata that is not there yet, and go on "
        "without it"),
    Key("workload", "bool", "false", "`workload`: kind and name of what the pod belongs to in the end (Deployment, "
        "CronJob, StatefulSet, ...)"),
)  # fmt: skip


def plan_of(opts: Options, name: str) -> Plan:
    """Where metadata comes from. Raises UsageError for keys that contradict each other."""
    what = f"filter {name}"
    labels, annotations = opts.flag("namespace_labels"), opts.flag("namespace_annotations")
    only_namespaces = opts.flag("namespace_metadata_only")
    access = access_of(opts, what)
    pods = Wanted(
        labels=opts.flag("labels"),
        annotations=opts.flag("annotations"),
        owner_references=opts.flag("owner_references"),
        workload=opts.flag("workload"),
    )
    return Plan(
        what,
        access,
        network_of(opts),
        None if only_namespaces else pods,
        Wanted(pod=False, labels=labels, annotations=annotations) if labels or annotations or only_namespaces else None,
        kubelet=_kubelet(opts, access, what) if opts.flag("use_kubelet") else None,
        folder=opts.text("kube_meta_preload_cache_dir"),
        node=opts.text("kube_node_name"),
        namespace_file=opts.text("kube_namespace_file"),
        wait=opts.seconds("kube_meta_wait"),
        pod_ttl=opts.seconds("kube_meta_cache_ttl") or (60.0 if opts.flag("use_kubelet") else TTL),
        namespace_ttl=opts.seconds("kube_meta_namespace_cache_ttl") or TTL,
    )


def _kubelet(opts: Options, access: KubeAccess, what: str) -> KubeAccess:
    """As the API server is reached, with the same token, at another address."""
    host, port = opts.text("kubelet_host"), opts.number("kubelet_port")
    if not 0 < port < 65536:
        raise UsageError(f"{what}: 'kubelet_port' is {port!r}; it takes a port")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    given = Options(what, {"kube_url": url, **_said(opts)}, KEYS)
    return replace(access_of(given, what), context=None)


def _said(opts: Options) -> dict[str, object]:
    """What the section says of credentials and TLS."""
    names = [k.name for k in KEYS if k.name.startswith(("kube_ca_", "kube_token_", "tls."))]
    return {name: opts.text(name) for name in names if opts.given(name)}
