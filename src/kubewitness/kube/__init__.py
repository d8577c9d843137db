"""The only code that talks to the API server.

    client = KubeClient(KubeAccess(kubeconfig="..."))
    async for page in client.list_pages("/api/v1/events"): ...
    async for lines in client.watch("/api/v1/events", page.resource_version): ...

Errors are named by what the caller does next (`failures`); credentials are read from files and read again
whenever these change (`access`).
"""

from kubewitness.kube.access import TLS_VERSIONS, KubeAccess, TlsChoices
from kubewitness.kube.backoff import Backoff
from kubewitness.kube.client import KubeClient, Network, Page
from kubewitness.kube.discovery import Resource, find_resource
from kubewitness.kube.failures import Expired, Forbidden, KubeFailure, Unauthorized, Unsupported

__all__ = [
    "TLS_VERSIONS",
    "Backoff",
    "Expired",
    "Forbidden",
    "KubeAccess",
    "KubeClient",
    "KubeFailure",
    "Network",
    "Page",
    "Resource",
    "TlsChoices",
    "Unauthorized",
    "Unsupported",
    "find_resource",
]
