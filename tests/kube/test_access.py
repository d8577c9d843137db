"""Credentials: where they are found, when they are read again, and that they do not leak."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest
import yaml

from kubewitness.errors import UsageError
from kubewitness.kube import KubeAccess, KubeFailure
from kubewitness.kube import access as access_module
from kubewitness.kube.client import KubeClient
from tests.cluster.harness.ports import free_port

SECRET = "very-secret-token"


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(access_module, "_LOOK_EVERY", 0.0)


def kubeconfig(path: Path, user: dict[str, object], *, name: str = "main", current: bool = True) -> Path:
    content: dict[str, object] = {
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.example:8080"}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    if current:
        content["current-context"] = name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


async def authorization(access: KubeAccess, *, renew: bool = False) -> str:
    return (await access.target(renew=renew)).headers.get("Authorization", "")


async def test_the_kubeconfig_named_wins_over_the_environment_and_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig(tmp_path / "home" / ".kube" / "config", {"token": "home"}, name="home")
    assert await authorization(KubeAccess()) == "Bearer home"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "env", {"token": "env"}, name="env")))
    assert await authorization(KubeAccess()) == "Bearer env"
    named = kubeconfig(tmp_path / "named", {"token": "named"}, name="named")
    assert await authorization(KubeAccess(kubeconfig=str(named))) == "Bearer named"


async def test_several_files_are_merged_and_relative_paths_belong_to_their_file(tmp_path: Path) -> None:
    one = kubeconfig(tmp_path / "a" / "one", {"token": "1"}, name="one")
    two = kubeconfig(tmp_path / "b" / "two", {"tokenFile": "token"}, name="two")
    (tmp_path / "b" / "token").write_text("from b\n".replace(" ", "-"))
    both = f"{one}{os.pathsep}{two}"
    assert await authorization(KubeAccess(kubeconfig=both)) == "Bearer 1"
    assert await authorization(KubeAccess(kubeconfig=both, context="two")) == "Bearer from-b"


async def test_a_service_account_is_used_inside_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = tmp_path / "account"
    account.mkdir()
    for name in ("token", "namespace"):
        (account / name).write_text(name)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert (
        KubeAccess(service_account=str(account)).describe() == "https://[fd00::1]:443, from the pod's service account"
    )


async def test_a_rotated_token_is_read_again_through_a_swapped_symlink(tmp_path: Path) -> None:
    for turn in ("1", "2"):
        (tmp_path / turn).mkdir()
        (tmp_path / turn / "token").write_text(f"token-{turn}")
    (tmp_path / "data").symlink_to("1")
    access = KubeAccess(url="http://api.example", token_file=str(tmp_path / "data" / "token"))
    assert await authorization(access) == "Bearer token-1"
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "data")
    assert await authorization(access) == "Bearer token-2"


async def test_a_token_file_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    token = tmp_path / "token"
    access = KubeAccess(url="http://api.example", token_file=str(token))
    with pytest.raises(KubeFailure, match="token file"):
        await access.target()
    token.write_text("there")
    assert await authorization(access) == "Bearer there"


def plugin(tmp_path: Path, body: str) -> str:
    path = tmp_path / "plugin"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_credential_plugin_runs_again_when_its_token_ends_and_after_a_401(tmp_path: Path, version: str) -> None:
    count = tmp_path / "count"
    command = plugin(
        tmp_path,
        f"p = {str(count)!r}\n"
        "n = int(open(p).read()) if os.path.exists(p) else 0\n"
        "open(p, 'w').write(str(n + 1))\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "end = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + (1 if n == 0 else 3600)))\n"
        "json.dump({'apiVersion': info['apiVersion'], 'kind': 'ExecCredential',"
        " 'status': {'token': 'run-%d' % n, 'expirationTimestamp': end}}, sys.stdout)",
    )
    run = {"apiVersion": f"client.authentication.k8s.io/{version}", "command": command, "interactiveMode": "Never"}
    access = KubeAccess(kubeconfig=str(kubeconfig(tmp_path / "config", {"exec": run})))
    assert await authorization(access) == "Bearer run-0"
    assert await authorization(access) == "Bearer run-1"
    assert await authorization(access) == "Bearer run-1"
    assert await authorization(access, renew=True) == "Bearer run-2"


async def test_what_a_failing_plugin_printed_stays_out_of_the_message(tmp_path: Path) -> None:
    command = plugin(tmp_path, f"print({SECRET!r}); sys.stderr.write('no network'); sys.exit(3)")
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": command}
    access = KubeAccess(kubeconfig=str(kubeconfig(tmp_path / "config", {"exec": run})))
    with pytest.raises(KubeFailure, match="no network") as failed:
        await access.target()
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (f"print({SECRET!r}); sys.stderr.write('cannot use {SECRET}')", "cannot use ***"),
        ("sys.stderr.write('refused: ' + os.environ['CLIENT_SECRET'])", "refused: ***"),
        ("sys.stderr.write('Authorization: Bearer ' + 16 * 'ab3.')", "Authorization: Bearer ***"),
        ("sys.stderr.write('token=' + 'abc' * 5 + ' is old')", "token=*** is old"),
        ("sys.stderr.write('got ya29.' + 30 * 'a0-' + ' at https://bob:hidden@login.example/')", "https://***@login"),
        ("sys.stderr.write('-----BEGIN EC PRIVATE KEY-----\\nab3/\\n' * 9)", "failed (3): ***"),
    ],
)
async def test_a_credential_on_the_stderr_of_a_plugin_stays_out_of_the_message(
    tmp_path: Path, body: str, told: str
) -> None:
    command = plugin(tmp_path, f"{body}; sys.exit(3)")
    env = [{"name": "CLIENT_SECRET", "value": SECRET}, {"name": "REGION", "value": "eu-central-1"}]
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "env": env}
    access = KubeAccess(kubeconfig=str(kubeconfig(tmp_path / "config", {"exec": run})))
    with pytest.raises(KubeFailure) as failed:
        await access.target()
    assert told in str(failed.value)
    for secret in (SECRET, "ab3", "abcabc", "a0-", "hidden"):
        assert secret not in str(failed.value)


async def test_the_token_of_before_stays_out_of_what_a_token_command_says_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    command = f"rm {tmp_path}/fails 2>/dev/null && echo {SECRET} || {{ echo {SECRET} has ended >&2; exit 1; }}"
    access = KubeAccess(url="http://api.example", token_command=command)
    assert await authorization(access) == f"Bearer {SECRET}"
    with pytest.raises(KubeFailure, match=r"failed \(1\): \*\*\* has ended"):
        await access.target(renew=True)


async def test_credentials_do_not_show_in_what_is_printed_of_an_access(tmp_path: Path) -> None:
    access = KubeAccess(kubeconfig=str(kubeconfig(tmp_path / "config", {"token": SECRET})))
    target = await access.target()
    assert SECRET not in repr(access) + repr(target) + access.describe()


async def test_a_kubeconfig_that_is_changed_is_read_again(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", {"username": "alice", "password": "p"})
    access = KubeAccess(kubeconfig=str(path))
    assert await authorization(access) == "Basic " + base64.b64encode(b"alice:p").decode()
    kubeconfig(path, {"token": "now a token"})
    os.utime(path, (time.time() + 5, time.time() + 5))
    assert await authorization(access) == "Bearer now a token"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not YAML"),
        ("[]", "not a kubeconfig document"),
        (json.dumps({"clusters": []}), "no current-context"),
        (json.dumps({"current-context": "x"}), "Context 'x' not found"),
    ],
)
def test_a_kubeconfig_that_cannot_work_is_told_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as failed:
        KubeAccess(kubeconfig=str(path)).describe()
    assert "\n" not in str(failed.value)


def test_without_any_cluster_it_says_where_it_looked() -> None:
    with pytest.raises(UsageError, match=r"no --kubeconfig, KUBECONFIG, ~/\.kube/config or service account"):
        KubeAccess().describe()


async def test_a_cluster_that_cannot_be_reached_is_told_without_our_own_objects() -> None:
    url = f"https://127.0.0.1:{free_port()}"
    async with KubeClient(KubeAccess(url=url, insecure=True)) as client:
        with pytest.raises(KubeFailure, match=r"^list pods: Cannot connect to host 127\.0\.0\.1:\d+ \[") as e:
            async for _ in client.list_pages("/api/v1/pods", limit=1, asked="list pods"):
                pass
    assert "ssl" not in str(e.value)
