"""SeaweedFS as S3-compatible object storage, started for tests on free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BUCKET = "kwitness"
ACCESS_KEY, SECRET_KEY = "kw-access", "kw-secret-that-no-log-may-hold"


@dataclass(frozen=True)
class ObjectStore:
    """A running server; `env` is what a process needs to use it."""

    port: int
    credentials: Path

    def uri(self, prefix: str) -> str:
        return f"s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        return {"AWS_SHARED_CREDENTIALS_FILE": str(self.credentials), "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def object_store(directory: Path) -> Iterator[ObjectStore]:
    """Runs while the context lasts; data in `directory`."""
    directory.mkdir(parents=True)
    identity = {
        "name": "kubewitness",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Read", "Write", "List", "Tagging", "Admin"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    credentials = directory / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    credentials.chmod(0o600)
    master, volume, filer, s3 = _free_ports(4)
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or "weed"
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(weed, "-logtostderr", "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                *(f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}"),
                *(
                    "-s3",
                    f"-s3.port={s3}",
                    f"-s3.config={directory / 's3.json'}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                ),
                *("-master.volumeSizeLimitMB=1024", "-volume.max=20", "-master.raftHashicorp=false"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _until_there(server, s3, directory / "log")
        _make_bucket(weed, master)
        yield ObjectStore(s3, credentials)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that are free, and 10,000 above too, where the server listens as well; below those that the system gives to
    outgoing connections, which could take one in between."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(11_000, 22_700)
        try:
            for number in (port, port + 10_000):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", number))
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return found


def _until_there(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert server.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.2)


def _make_bucket(weed: str, master: int) -> None:
    until, said = time.monotonic() + 180, b""
    while time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a master that is not ready, and may miss it
            done = subprocess.run(
                [weed, "shell", f"-master=127.0.0.1:{master}"],
                input=f"s3.bucket.create -name {BUCKET}\nexit\n".encode(),
                capture_output=True,
                check=False,
                timeout=20,
                env={**os.environ, "HOME": "/nonexistent"},
            )
            said = done.stdout + done.stderr
            if b"created bucket" in said or b"already exist" in said:
                return
        time.sleep(0.5)
    raise AssertionError(said.decode()[-2000:])
