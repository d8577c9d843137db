"""The journeys "follow live" and "log in as a namespace-bound user", against the real control plane."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from kubewitness.questions.policy import suggestion
from tests.browser import stage
from tests.cluster.conftest import binaries
from tests.cluster.harness import Binaries, ControlPlane, Options, Webhook, until
from tests.cluster.harness.ports import free_port
from tests.cluster.recorder import Recorder, recorder_flags

__all__ = ["binaries"]

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

_READER = "blue-reader"


@pytest.fixture(scope="module")
def recorded(
    binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ControlPlane, Recorder, str]]:
    """An API server with the policy that the page suggests, which tells its audit trail to a recorder, and the address
    of the recorder for browsers."""
    audit, page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("live")
    (folder / "policy.yaml").write_text(suggestion.base())
    options = Options(
        nodes=(),
        controllers=False,
        scheduler=False,
        webhook=Webhook(f"http://{audit}/audit"),
        policy=folder / "policy.yaml",
    )
    cluster = ControlPlane(options, binaries)
    state = folder / "state"
    recorder = Recorder(state, *recorder_flags(cluster.pki.users["admin"].kubeconfig, listen=audit), listen=page)
    try:
        recorder.start()
        cluster.start()
        for space in ("blue", "red"):
            cluster.kubectl("admin", "create", "namespace", space)
        yield cluster, recorder, f"http://{page}/"
    finally:
        recorder.stop()
        cluster.stop()


def test_what_happens_now_is_followed_and_a_pause_loses_nothing(
    recorded: tuple[ControlPlane, Recorder, str], browser: Browser
) -> None:
    cluster, _, address = recorded
    with stage.sheet(browser, address) as made:
        page = made.open("#/live?q=verb%3Dcreate&q=resource%3Dconfigmaps")
        expect(page.locator(".live-state")).to_have_text("following")
        cluster.kubectl("admin", "create", "configmap", "first", "-n", "blue")
        expect(page.locator("table.rows")).to_contain_text("ConfigMap/blue/first")
        page.get_by_role("button", name="Pause").click()
        cluster.kubectl("admin", "create", "configmap", "second", "-n", "blue")
        expect(page.locator(".live-state")).to_contain_text("1 more since")
        expect(page.locator("table.rows")).not_to_contain_text("second")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("table.rows")).to_contain_text("ConfigMap/blue/second")
        made.open("#/status")
        expect(page.locator(".status")).to_contain_text("kubernetes_audit")
        expect(page.locator(".tile").first).to_contain_text("running")
    assert made.faults == []


def test_a_namespace_bound_user_sees_that_namespace_and_no_more(
    recorded: tuple[ControlPlane, Recorder, str], browser: Browser, tmp_path: Path
) -> None:
    cluster, recorder, _ = recorded
    for space in ("blue", "red"):
        cluster.kubectl("admin", "create", "configmap", f"{space}-thing", "-n", space)
    made_things = "select count(*) from audit where verb = 'create' and name in ('blue-thing', 'red-thing')"
    until("both to be recorded", lambda: recorder.count(made_things) >= 2)
    admin = cluster.kubectl_of("admin")
    admin("create", "serviceaccount", _READER, "-n", "blue")
    admin("create", "role", _READER, "-n", "blue", "--verb=get,list,watch", "--resource=configmaps,pods")
    admin("create", "rolebinding", _READER, "-n", "blue", f"--role={_READER}", f"--serviceaccount=blue:{_READER}")
    token = admin("create", "token", _READER, "-n", "blue", "--duration=1h").strip()
    kubeconfig = str(cluster.pki.users["admin"].kubeconfig)
    flags = ("--auth", "cluster", "--kubeconfig", kubeconfig)
    with stage.served(recorder.state, *flags) as address, stage.sheet(browser, address) as made:
        page = made.open("#/explore?q=resource%3Dconfigmaps")
        page.get_by_label("Your token for the cluster").fill(token)
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        expect(page.locator("table.rows")).to_contain_text("ConfigMap/blue/blue-thing")
        expect(page.locator("body")).not_to_contain_text("red-thing")
        expect(page.get_by_text("Shown is what you may read")).to_be_visible()
        made.open("#/timeline")
        page.get_by_role("application").wait_for()
        objects = page.evaluate("kubewitnessTimeline.scene.model.board.rows.map((row) => row.object)")
        assert "ConfigMap/blue/blue-thing" in objects
        assert "red" not in json.dumps(objects)
        made.open("#/ask?q=who+created+configmap%2Fred-thing+-n+red")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("ol.chain")).to_have_count(0)
    assert all("401" in fault for fault in made.faults), made.faults


def test_the_suggested_policy_has_what_who_needs_and_no_secrets_bodies(
    recorded: tuple[ControlPlane, Recorder, str], browser: Browser
) -> None:
    cluster, recorder, address = recorded
    admin = cluster.kubectl_of("admin")
    admin("create", "secret", "generic", "key", "-n", "blue", "--from-literal=k=v")
    admin("create", "deployment", "web", "-n", "blue", "--image=shop/web:1.0")
    admin("create", "role", "looker", "-n", "blue", "--verb=get", "--resource=pods")
    admin("create", "serviceaccount", "robot", "-n", "blue")
    admin("create", "token", "robot", "-n", "blue")
    until("all to be recorded", lambda: recorder.count("select count(*) from audit where subresource = 'token'") >= 1)
    with stage.sheet(browser, address) as made:
        page = made.open("#/policy?window=everything")
        tiles = page.locator(".tile")
        expect(tiles.nth(0)).to_contain_text(re.compile(r"(\d+) of \1 recorded in full"))
        expect(tiles.nth(1)).to_contain_text("none seen")
        expect(page.locator(".levels")).to_contain_text("deployments.apps")
        expect(page.get_by_text("RequestReceived", exact=True)).to_have_count(0)
    assert made.faults == []
