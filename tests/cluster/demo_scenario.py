"""The story of the demo: an afternoon of a small shop's cluster, in some three minutes."""

from __future__ import annotations

import json
import time

from tests.cluster import demo_manifests as manifests
from tests.cluster.demo_truth import Diary, Judge, Pod, Step, Verdict
from tests.cluster.harness import until

_CONTROLLER = "system:serviceaccount:kube-system:"
REPLICASETS = _CONTROLLER + "replicaset-controller"
COLLECTOR = _CONTROLLER + "generic-garbage-collector"
NAMESPACES = _CONTROLLER + "namespace-controller"
NODES = _CONTROLLER + "node-controller"


def always(verdict: Verdict) -> Judge:
    return lambda pod: verdict


def of_app(app: str, verdict: Verdict) -> Judge:
    """Only for pods of that app; anything else would be unexplained."""
    return lambda pod: verdict if pod["metadata"]["labels"].get("app") == app else None


class Story:
    """Scenes in order; each leaves the cluster quiet, so that what vanishes is known to be its doing."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.cluster = diary.cluster

    def play(self) -> None:
        for scene in (
            self.set_up,
            self.deploy,
            self.roll_out,
            self.forbidden,
            self.scale_up_and_down,
            self.drain,
            self.delete_directly,
            self.delete_a_collection,
            self.read_a_secret,
            self.act_as_carol,
            self.run_a_job,
            self.restart,
            self.uncordon,
            self.execute,
            self.delete_the_owner,
            self.lose_a_node,
            self.delete_the_namespace,
        ):
            scene()
            time.sleep(1.5)

    # --- before -------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        spaces = [manifests.namespace(n) for n in ("shop", "payments", "staging")]
        for objects, what in ((spaces, "Namespace/shop"), (manifests.roles(), "ClusterRole/developer")):
            self.diary.kubectl("admin", "apply", "-f", "-", on=what, stdin=_list(objects), old=True)
        for name in ("shop", "payments", "staging"):
            self.cluster.wait_namespace(name)

    def deploy(self) -> None:
        workloads = [
            manifests.deployment("shop", "web", 4),
            manifests.deployment("shop", "api", 3),
            manifests.deployment("shop", "cache", 2),
            manifests.deployment("payments", "ledger", 2),
            manifests.deployment("staging", "web", 2),
            manifests.disruption_budget("shop", "api", 3),
        ]
        step = self.diary.kubectl(
            "ci-bot", "apply", "-f", "-", on="Deployment/shop/web", stdin=_list(workloads), old=True
        )
        self.diary.ask("created deployment/web -n shop", step)
        literal = "--from-literal=password=correct-horse"
        self.diary.kubectl(
            *("ci-bot", "-n", "payments", "create", "secret", "generic", "db-credentials", literal),
            on="Secret/payments/db-credentials",
        )
        for namespace, app, count in (
            ("shop", "web", 4),
            ("shop", "api", 3),
            ("shop", "cache", 2),
            ("payments", "ledger", 2),
            ("staging", "web", 2),
        ):
            self.settled(namespace, app, count)
        self.diary.nothing_vanished("after the deployment")

    # --- what ci-bot and the developers do ----------------------------------------------------------------

    def roll_out(self) -> None:
        step = self.shop("ci-bot", "set", "image", "deployment/web", "web=shop/web:1.1", on="Deployment/shop/web")
        self.rolled_out("web", 4)
        self.diary.judge(step, of_app("web", _by_controller("rollout", step, "set image")), at_least=4)
        self.diary.ask("changed deployment/web -n shop", step)

    def forbidden(self) -> None:
        self.shop("bob", "get", "secrets", on="Secret/shop", note="403: developers may not read secrets", fails=True)

    def scale_up_and_down(self) -> None:
        self.shop("bob", "scale", "deployment/web", "--replicas=6", on="Deployment/shop/web")
        self.settled("shop", "web", 6)
        self.diary.nothing_vanished("after scaling up")
        step = self.shop("bob", "scale", "deployment/web", "--replicas=4", on="Deployment/shop/web")
        self.settled("shop", "web", 4)
        self.diary.judge(step, of_app("web", _by_controller("scale-down", step, "scale")), at_least=2)
        self.diary.ask("scaled deployment/web -n shop", step)

    def delete_directly(self) -> None:
        pod = self.settled("shop", "web", 4)[0]["metadata"]["name"]
        step = self.shop("bob", "delete", "pod", pod, on=f"Pod/shop/{pod}")
        self.settled("shop", "web", 4)
        self.diary.judge(step, _named(pod, Verdict("direct", "bob", "bob", "delete", f"Pod/shop/{pod}")))

    def run_a_job(self) -> None:
        made = json.dumps(manifests.job("shop", "migrate", 4))
        step = self.shop("bob", "apply", "-f", "-", on="Job/shop/migrate", note="its TTL is 4 s", stdin=made)
        admin = self.cluster.api()
        jobs = "/apis/batch/v1/namespaces/shop/jobs"
        pods = "/api/v1/namespaces/shop/pods?labelSelector=job-name=migrate"
        until("the job's TTL", lambda: not admin.get(jobs)["items"] and not admin.get(pods)["items"], 60)
        verdict = Verdict("job-finished", COLLECTOR, "bob", "create", "Job/shop/migrate")
        self.diary.judge(step, lambda pod: verdict if pod["metadata"]["labels"].get("job-name") == "migrate" else None)

    def restart(self) -> None:
        step = self.shop("bob", "rollout", "restart", "deployment/api", on="Deployment/shop/api")
        self.rolled_out("api", 4)
        self.diary.judge(step, of_app("api", _by_controller("rollout", step, "rollout restart")), at_least=4)

    def execute(self) -> None:
        pod = self.settled("shop", "api", 4)[0]["metadata"]["name"]
        step = self.shop("bob", "exec", pod, "--", "cat", "/etc/hostname", on=f"Pod/shop/{pod}")
        self.diary.ask(f"exec pod/{pod} -n shop", step)

    def delete_the_owner(self) -> None:
        step = self.shop("bob", "delete", "deployment", "cache", on="Deployment/shop/cache")
        self.settled("shop", "cache", 0)
        self.diary.judge(
            step,
            of_app("cache", Verdict("owner-deleted", COLLECTOR, "bob", "delete", "Deployment/shop/cache")),
            at_least=2,
        )
        self.diary.ask("deleted deployment/cache -n shop", step)

    # --- what alice and carol do --------------------------------------------------------------------------

    def drain(self) -> None:
        """The budget refuses api's eviction (429) until bob has scaled it up; kubectl tries again every 5 s."""
        node = self.settled("shop", "api", 3)[0]["spec"]["nodeName"]
        command = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s")
        step = self.diary.note("alice", "kubectl " + " ".join(command), f"Node/{node}", "api's budget refuses at first")
        running = self.cluster.kubectl_of("alice").start(*command)
        time.sleep(7)
        if running.poll() is not None:
            raise RuntimeError(f"the budget did not hold the drain up: {running.communicate()}")
        self.shop(
            "bob", "scale", "deployment/api", "--replicas=4", on="Deployment/shop/api", note="lets the drain go on"
        )
        out, err = running.communicate(timeout=100)
        step.exit, step.ended = running.returncode, self.diary.note("", "", "").started
        self.diary.steps.pop()
        if "Cannot evict pod" not in err + out or running.returncode:
            raise RuntimeError(f"the drain was not refused once and then done: {out}{err}")
        self.settled("shop", "web", 4)
        self.settled("shop", "api", 4)
        self.settled("shop", "cache", 2)
        self.settled("payments", "ledger", 2)
        self.settled("staging", "web", 2)
        verdict = Verdict("drain", "alice", "alice", "drain", f"Node/{node}")
        self.diary.judge(step, lambda pod: verdict if pod["spec"].get("nodeName") == node else None)
        self.diary.ask(f"drained node/{node}", step)
        self.drained = node

    def uncordon(self) -> None:
        self.diary.kubectl("alice", "uncordon", self.drained, on=f"Node/{self.drained}")

    def delete_a_collection(self) -> None:
        """kubectl itself deletes one by one; the verb deletecollection is for those who speak to the API."""
        path = "/api/v1/namespaces/shop/pods?labelSelector=app%3Dcache"
        step = self.diary.kubectl("carol", "delete", "--raw", path, on="Pod/shop", note="deletecollection")
        self.settled("shop", "cache", 2)
        verdict = Verdict("collection", "carol", "carol", "deletecollection", "Pod/shop")
        self.diary.judge(step, of_app("cache", verdict), at_least=2)

    def read_a_secret(self) -> None:
        command = ("-n", "payments", "get", "secret", "db-credentials", "-o", "yaml")
        step = self.diary.kubectl("alice", *command, on="Secret/payments/db-credentials")
        self.diary.ask("read secret/db-credentials -n payments", step)

    def act_as_carol(self) -> None:
        pod = self.settled("payments", "ledger", 2)[0]["metadata"]["name"]
        step = self.diary.kubectl(
            *("alice", "--as=carol", "--as-group=system:masters", "-n", "payments", "delete", "pod", pod),
            on=f"Pod/payments/{pod}",
            note="403: alice may play carol, but not a cluster administrator",
            fails=True,
        )
        self.diary.nothing_vanished("after a denied impersonation")
        command = ("--as=carol", "--as-group=auditors", "-n", "payments", "delete", "pod", pod)
        step = self.diary.kubectl("alice", *command, on=f"Pod/payments/{pod}", note="impersonation")
        self.settled("payments", "ledger", 2)
        verdict = Verdict("direct", "alice", "alice", "delete", f"Pod/payments/{pod}", acting_as="carol")
        self.diary.judge(step, _named(pod, verdict))

    def delete_the_namespace(self) -> None:
        step = self.diary.kubectl("alice", "delete", "namespace", "staging", on="Namespace/staging")
        verdict = Verdict("namespace-deleted", NAMESPACES, "alice", "delete", "Namespace/staging")
        self.diary.judge(step, lambda pod: verdict if pod["metadata"]["namespace"] == "staging" else None, at_least=2)
        self.diary.ask("deleted namespace/staging", step)

    # --- what nobody did ----------------------------------------------------------------------------------

    def lose_a_node(self) -> None:
        """The kubelet dies; the pods go once the toleration has passed; it comes back and finishes them."""
        node = next(n for n in self.cluster.nodes if n != self.drained)
        pods = self.cluster.api().get(f"/api/v1/pods?fieldSelector=spec.nodeName={node}")["items"]
        step = self.diary.note("", f"the kubelet of {node} is killed", f"Node/{node}")
        self.cluster.nodes[node].kill()
        step.ended = step.started
        names = ", ".join(pod["metadata"]["name"] for pod in pods)
        until(f"the deletion of {names}", lambda: len(self.diary.terminating()) >= len(pods), 60)
        time.sleep(2)
        self.diary.note("", f"the kubelet of {node} is started", f"Node/{node}")
        self.cluster.nodes[node].start()
        self.cluster.wait_node(node)
        for namespace, app, count in (
            ("shop", "web", 4),
            ("shop", "api", 4),
            ("payments", "ledger", 2),
            ("staging", "web", 2),
        ):
            self.settled(namespace, app, count)
        verdict = Verdict("node-lost", NODES, None, "", f"Node/{node}", root_kind="node")
        self.diary.judge(step, lambda pod: verdict if pod["spec"].get("nodeName") == node else None, at_least=len(pods))

    # --- helpers ------------------------------------------------------------------------------------------

    def shop(self, user: str, *args: str, on: str, note: str = "", stdin: str = "", fails: bool = False) -> Step:
        return self.diary.kubectl(user, "-n", "shop", *args, on=on, note=note, stdin=stdin, fails=fails)

    def settled(self, namespace: str, app: str, count: int) -> list[Pod]:
        return self.cluster.wait_pods(namespace, f"app={app}", count, 90)

    def rolled_out(self, app: str, count: int) -> None:
        self.cluster.kubectl("admin", "-n", "shop", "rollout", "status", f"deployment/{app}", "--timeout=90s")
        self.settled("shop", app, count)


def _by_controller(mechanism: str, step: Step, action: str) -> Verdict:
    kind = "serviceaccount" if step.user.startswith("system:serviceaccount:") else "human"
    return Verdict(mechanism, REPLICASETS, step.user, action, step.object, root_kind=kind)


def _named(name: str, verdict: Verdict) -> Judge:
    return lambda pod: verdict if pod["metadata"]["name"] == name else None


def _list(objects: list[manifests.Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
