"""Which cluster, and as whom: kubeconfig files, the pod's service account, or an address given by hand.

The meaning of kubeconfig fields is lightkube's; here is what surrounds it: several files in KUBECONFIG are merged
as kubectl does (the first to name something wins), relative paths are relative to their file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kubewitness.errors import UsageError

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_PATH_FIELDS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_SECTIONS = (("clusters", "cluster"), ("contexts", "context"), ("users", "user"))


@dataclass(frozen=True, slots=True)
class Found:
    """The chosen cluster and user, and what lightkube's structs do not hold of them."""

    config: SingleConfig
    #: where it came from, in words for people
    origin: str
    #: the kubeconfig files that were read
    files: tuple[Path, ...] = ()
    #: the cluster's `tls-server-name` and `proxy-url`
    server_name: str | None = None
    proxy: str | None = None
    #: folder that a relative exec command is looked up in
    folder: Path | None = None


def find(kubeconfig: str | None, context: str | None, service_account: str = SERVICE_ACCOUNT) -> Found:
    """--kubeconfig, else KUBECONFIG, else ~/.kube/config, else the pod's service account.

    Raises UsageError when there is none of them, or when it does not say what it must.
    """
    given = kubeconfig or os.environ.get("KUBECONFIG")
    if given:
        files = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
        return from_files([f for f in files if f.is_file()] or files, context)
    default = Path("~/.kube/config").expanduser()
    if default.is_file():
        return from_files([default], context)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and Path(service_account, "token").is_file():
        return in_cluster(service_account)
    raise UsageError(
        "no cluster is known: there is no --kubeconfig, KUBECONFIG, ~/.kube/config or service account of a pod"
    )


def in_cluster(service_account: str = SERVICE_ACCOUNT) -> Found:
    """The service account that Kubernetes mounts into a pod."""
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        chosen = KubeConfig.from_service_account(service_account).get()
    except (ConfigError, KeyError, OSError) as e:
        raise UsageError(f"service account in {service_account}: {e}") from e
    assert chosen is not None
    return Found(chosen, "the pod's service account")


def from_address(url: str, token_file: str | None, ca_file: str | None, *, insecure: bool = False) -> Found:
    """An address with a token file, as --server, --token-file and --ca-file name them."""
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.config.models import Cluster, User

    if not url.startswith(("https://", "http://")):
        raise UsageError(f"server {url!r}: an address begins with https:// (or http://)")
    cluster = Cluster(server=url.rstrip("/"), certificate_auth=ca_file, insecure=insecure)
    chosen = KubeConfig.from_one(cluster=cluster, user=User(token_file=token_file), fname=Path.cwd() / "-").get()
    assert chosen is not None
    return Found(chosen, url)


def from_files(files: list[Path], context: str | None) -> Found:
    """One context of one or several kubeconfig files."""
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.core.exceptions import ConfigError

    merged, folders = _merge(files)
    where = os.pathsep.join(map(str, files))
    if not context and not merged.get("current-context"):
        raise UsageError(f"kubeconfig {where}: no current-context; name one with --context")
    try:
        chosen = KubeConfig.from_dict(merged, fname=files[0]).get(context)
    except (ConfigError, KeyError, TypeError, ValueError) as e:
        known = ", ".join(str(c.get("name")) for c in merged["contexts"]) or "none"
        raise UsageError(f"kubeconfig {where}: {e}; contexts there: {known}") from e
    assert chosen is not None
    cluster = next(c["cluster"] for c in merged["clusters"] if c["name"] == chosen.context.cluster)
    return Found(
        chosen,
        f"{where} (context {chosen.context_name})",
        tuple(files),
        cluster.get("tls-server-name"),
        cluster.get("proxy-url"),
        folders.get(chosen.context.user or ""),
    )


def _merge(files: list[Path]) -> tuple[dict[str, Any], dict[str, Path]]:
    """All files as one document, and the folder each user was found in."""
    merged: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    folders: dict[str, Path] = {}
    for file in files:
        content = _load(file)
        merged.setdefault("current-context", None)
        merged["current-context"] = merged["current-context"] or content.get("current-context")
        for section, inner in _SECTIONS:
            known = {entry["name"] for entry in merged[section]}
            for entry in content.get(section) or []:
                if not isinstance(entry, dict) or "name" not in entry or entry["name"] in known:
                    continue
                if section == "users":
                    folders[entry["name"]] = file.parent
                merged[section].append({"name": entry["name"], inner: _absolute(entry.get(inner) or {}, file.parent)})
    return merged, folders


def _absolute(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {k: str(folder / v) if k in _PATH_FIELDS and v else v for k, v in fields.items()}


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"kubeconfig {file}: {e.strerror}") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        # the error's own text would quote the file, which may hold tokens
        raise UsageError(f"kubeconfig {file}: not YAML") from e
    if not isinstance(content, dict):
        raise UsageError(f"kubeconfig {file}: not a kubeconfig document")
    return content
