"""The node that this process is on, as the API server calls it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kubewitness.kube.client import KubeClient
from kubewitness.kube.failures import Forbidden, Unsupported

#: variables by which a DaemonSet tells its pods where they are
VARIABLES = ("NODE_NAME", "K8S_NODE_NAME")


class _Spec(msgspec.Struct):
    nodeName: str = ""


class _Pod(msgspec.Struct):
    spec: _Spec


_pod = msgspec.json.Decoder(_Pod).decode


def told_node(environment: Mapping[str, str] = os.environ) -> str:
    """By the environment; "" when it does not say."""
    return next((environment[name] for name in VARIABLES if environment.get(name)), "")


async def find_node(client: KubeClient, namespace_file: str, hostname: str = "") -> str:
    """By our own pod, whose name is the host's; or, on the host's network, by the host's name if pods are on a node
    that is called so. "" when neither is. Raises KubeFailure when the server does not answer."""
    hostname = hostname or os.environ.get("HOSTNAME") or socket.gethostname()
    namespace = _text(namespace_file)
    if not namespace:
        return ""  # not in a pod
    try:
        body = await client.get(f"/api/v1/namespaces/{namespace}/pods/{hostname}", asked="get pods")
        return _pod(body).spec.nodeName
    except (Unsupported, Forbidden, msgspec.MsgspecError):
        pass
    try:
        selector = {"fieldSelector": f"spec.nodeName={hostname}"}
        async for page in client.list_pages("/api/v1/pods", limit=1, asked="list pods", params=selector):
            return hostname if page.items else ""
    except (Unsupported, Forbidden):
        pass
    return ""


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
