"""Scenarios in which an owner goes, and what belonged to it with it: namespaces, deployments, jobs."""

from __future__ import annotations

from tests.cluster.scenarios import manifests
from tests.cluster.scenarios.manifests import PATHS
from tests.cluster.scenarios.scene import Scene, as_json
from tests.cluster.scenarios.truth import Truth


def namespace_deleted(s: Scene) -> None:
    s.deployment(2)
    truth = Truth("namespace-deleted", s.one, f"Namespace/{s.namespace}")
    s.kubectl(s.one, "delete", "namespace", s.namespace, "--wait=false")
    s.vanished(truth, at_least=2)
    mine = Truth("direct", s.one, f"Namespace/{s.namespace}")
    s.know("deleted", f"Namespace/{s.namespace}", mine, cluster_scoped=True)


def owner_background(s: Scene) -> None:
    s.deployment(3)
    s.kubectl(s.one, "delete", "deployment", s.app)
    s.vanished(Truth("owner-deleted", s.one, s.deployed), at_least=3)
    s.know("deleted", f"Deployment/{s.app}", Truth("direct", s.one, s.deployed))


def owner_foreground(s: Scene) -> None:
    s.deployment(2)
    s.kubectl(s.one, "delete", "deployment", s.app, "--cascade=foreground")
    s.vanished(Truth("owner-deleted", s.one, s.deployed), at_least=2)
    s.know("deleted", f"Deployment/{s.app}", Truth("direct", s.one, s.deployed))


def owner_orphan(s: Scene) -> None:
    """The Deployment goes alone; later another deletes the ReplicaSet that was left."""
    s.deployment(2)
    found = s.admin.get(f"/apis/apps/v1/namespaces/{s.namespace}/replicasets")["items"][0]["metadata"]["name"]
    s.kubectl(s.two, "delete", "deployment", s.app, "--cascade=orphan")
    s.until("the Deployment goes", lambda: s.admin.request("GET", s.path("Deployment")).status == 404)
    s.pause(1, 3)
    s.kubectl(s.one, "delete", "replicaset", found)
    s.vanished(Truth("owner-deleted", s.one, f"ReplicaSet/{s.namespace}/{found}"), at_least=2)


def owner_deleted_by_api(s: Scene) -> None:
    s.deployment(2)
    s.request(s.one, "DELETE", s.path("Deployment") + "?propagationPolicy=Background")
    s.vanished(Truth("owner-deleted", s.one, s.deployed), at_least=2)


def deployments_collected(s: Scene) -> None:
    """A collection of Deployments is deleted: their pods' root is that."""
    s.deployment(2)
    s.kubectl(s.one, "delete", "--raw", PATHS["Deployment"].format(s.namespace) + "?propagationPolicy=Background")
    s.vanished(Truth("owner-deleted", s.one, f"Deployment/{s.namespace}"), at_least=2)


def replicaset_deleted(s: Scene) -> None:
    """Somebody deletes the ReplicaSet under a Deployment, which makes it anew."""
    s.deployment(2)
    found = s.admin.get(f"/apis/apps/v1/namespaces/{s.namespace}/replicasets")["items"][0]["metadata"]
    s.kubectl(s.one, "delete", "replicaset", found["name"])
    s.vanished(Truth("owner-deleted", s.one, f"ReplicaSet/{s.namespace}/{found['name']}"), at_least=2)
    s.settled(2)


def recreated(s: Scene) -> None:
    """Two Deployments of one name: one deleted, the other scaled down, by different people."""
    s.deployment(2)
    s.kubectl(s.one, "delete", "deployment", s.app)
    s.vanished(Truth("owner-deleted", s.one, s.deployed), at_least=2)
    s.settled(0)
    s.pause(2, 4)
    s.deployment(3, user=s.one)
    s.pause()
    s.kubectl(s.two, "scale", f"deployment/{s.app}", "--replicas=1")
    s.vanished(Truth("scale-down", s.two, s.deployed), at_least=2)


def replaced_by_force(s: Scene) -> None:
    """kubectl replace --force deletes the object and makes it again."""
    made = manifests.workload("Deployment", s.namespace, s.app, manifests.GENERAL, 2)
    s.kubectl(s.three, "create", "-f", "-", stdin=as_json(made))
    s.settled(2)
    s.kubectl(s.one, "replace", "--force", "-f", "-", stdin=as_json(made))
    s.vanished(Truth("owner-deleted", s.one, s.deployed), at_least=2)
    s.settled(2)


def job_deleted(s: Scene) -> None:
    s.make(s.two, manifests.job(s.namespace, s.app, f"shop/{s.app}:1.0"))
    s.settled(1)
    s.kubectl(s.one, "delete", "job", s.app)
    s.vanished(Truth("owner-deleted", s.one, f"Job/{s.namespace}/{s.app}"))


def job_deadline(s: Scene) -> None:
    s.make(s.one, manifests.job(s.namespace, s.app, f"shop/{s.app}:1.0", activeDeadlineSeconds=6))
    s.vanished(Truth("job-deadline", s.one, f"Job/{s.namespace}/{s.app}"))


def job_backoff(s: Scene) -> None:
    job = manifests.job(s.namespace, s.app, f"shop/{s.app}:exit1-1s", restart="OnFailure", backoffLimit=1)
    s.make(s.one, job)
    s.vanished(Truth("job-failed", s.one, f"Job/{s.namespace}/{s.app}"))


def job_ttl(s: Scene) -> None:
    s.make(s.one, manifests.job(s.namespace, s.app, f"shop/{s.app}:exit0-1s", ttlSecondsAfterFinished=2))
    truth = Truth("job-finished", s.one, f"Job/{s.namespace}/{s.app}")
    s.vanished(truth)
    s.know("deleted", f"Job/{s.app}", truth)


def cron_history(s: Scene) -> None:
    """A finished Job goes at once, because its CronJob keeps none."""
    cron = manifests.cron_job(s.namespace, s.app, f"shop/{s.app}:exit0-1s", successfulJobsHistoryLimit=0)
    s.make(s.one, cron)
    s.vanished(Truth("history-limit", s.one, f"CronJob/{s.namespace}/{s.app}"))
    s.merge("admin", s.path("CronJob"), {"spec": {"suspend": True}})


def cron_replace(s: Scene) -> None:
    """A Job that still runs when the next is due makes room for it."""
    cron = manifests.cron_job(s.namespace, s.app, f"shop/{s.app}:1.0", concurrencyPolicy="Replace")
    s.make(s.one, cron)
    s.vanished(Truth("job-replaced", s.one, f"CronJob/{s.namespace}/{s.app}"))
    s.merge("admin", s.path("CronJob"), {"spec": {"suspend": True}})


#: these wait for whole minutes
SLOW = (cron_replace, cron_history)
SCENARIOS = (
    namespace_deleted,
    owner_background,
    owner_foreground,
    owner_orphan,
    owner_deleted_by_api,
    deployments_collected,
    replicaset_deleted,
    recreated,
    replaced_by_force,
    job_deleted,
    job_deadline,
    job_backoff,
    job_ttl,
)
