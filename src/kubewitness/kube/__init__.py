"""The only code that talks to the API server.

    client = KubeClient(KubeAccess(kubeconfig="..."))
    async for page in client.list_pages("/api/v1/events"): ...
    async for lines in client.watch("/api/v1/events", page.resource_version): ...

Errors are named by what the caller does next (`failures`); credentials are read from files and read again
whenever these change (`access`).
"""

from kubewitness.kube.access import KubeAccess
from kubewitness.kube.backoff import Backoff
from kubewitness.kube.client import KubeClient, Page
from kubewitness.kube.failures import Expired, Forbidden, KubeFailure, Unauthorized

__all__ = ["Backoff", "Expired", "Forbidden", "KubeAccess", "KubeClient", "KubeFailure", "Page", "Unauthorized"]
