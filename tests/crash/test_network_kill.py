"""`kubewitness run` with inputs `http` and `forward` killed at random moments, while senders send.

Senders keep what was not acknowledged and send it again, as HTTP clients, Fluentd and Fluent Bit do. In the end the
store has every record that was acknowledged: those of a forward message that came again once, those of an HTTP body
whose answer was lost in a kill at most as often as it was sent.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgpack
import pytest

from kubewitness.config.state import state_paths
from kubewitness.store import Store
from tests.cluster.harness.ports import free_port
from tests.faults import Fault

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "8"))

PIPELINE = """\
service:
  flush: 0.05
  grace: 20
pipeline:
  inputs:
    - name: http
      listen: 127.0.0.1
      port: {http}
    - name: forward
      listen: 127.0.0.1
      port: {forward}
  outputs:
    - name: store
      match: '*'
      state: {place}/state
      flush_seconds: 2
"""


class Sender(threading.Thread, ABC):
    """Sends messages of ten records until told to stop; each again until it is acknowledged."""

    def __init__(self, name: str, port: int, rng: random.Random) -> None:
        super().__init__(name=name)
        self.port = port
        self.rng = rng
        self.stopping = threading.Event()
        #: records that were acknowledged, and how often each message was sent
        self.acknowledged: list[str] = []
        self.sent: Counter[int] = Counter()

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            records = [f"{self.name}-{number}-{i}" for i in range(10)]
            self.sent[number] += 1
            try:
                self.send(number, records)
            except (OSError, http.client.HTTPException, ValueError):
                self.disconnect()
                time.sleep(0.02)
                continue
            self.acknowledged += records
            number += 1

    @abstractmethod
    def send(self, number: int, records: list[str]) -> None: ...

    @abstractmethod
    def disconnect(self) -> None: ...


class HttpSender(Sender):
    _connection: http.client.HTTPConnection | None = None

    def send(self, number: int, records: list[str]) -> None:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        body = json.dumps([{"id": record, "pad": "x" * self.rng.randrange(500)} for record in records])
        self._connection.request("POST", "/app", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise ValueError(answer.status)

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ForwardSender(Sender):
    _socket: socket.socket | None = None

    def send(self, number: int, records: list[str]) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        stamp = msgpack.ExtType(0, (1_700_000_000 + number).to_bytes(4, "big") + bytes(4))
        entries = b"".join(msgpack.packb([stamp, {"id": record}]) for record in records)
        chunk = f"{self.name}-{number}"
        self._socket.sendall(msgpack.packb(["app", entries, {"chunk": chunk, "size": len(records)}]))
        answer = self._socket.recv(1000)
        if msgpack.unpackb(answer) != {"ack": chunk}:
            raise ValueError(answer)

    def disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def stored(place: Path) -> list[str]:
    """The id of each record."""
    store = Store(state_paths(str(place / "state")))
    try:
        with store.session() as session:
            return [json.loads(str(row[0]))["id"] for row in session.query("select fields from logs")]
    finally:
        store.close()


def served(senders: Sequence[Sender], process: subprocess.Popen[bytes]) -> None:
    """Waits until each sender was acknowledged something."""
    before = [len(sender.acknowledged) for sender in senders]
    deadline = time.monotonic() + 60
    while any(len(s.acknowledged) == n for s, n in zip(senders, before, strict=True)):
        assert process.poll() is None
        assert time.monotonic() < deadline, "a sender is not served"
        time.sleep(0.01)


def test_what_was_acknowledged_is_stored_whenever_it_is_killed(tmp_path: Path, fault: Fault) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    rng = random.Random(seed)
    ports = {"http": free_port(), "forward": free_port()}
    config = tmp_path / "pipeline.yaml"
    config.write_text(PIPELINE.format(place=tmp_path, **ports))
    command = [sys.executable, "-m", "kubewitness", "run", "-c", str(config), "--state", str(tmp_path / "own")]
    senders = [HttpSender("http", ports["http"], rng), *(ForwardSender(f"f{i}", ports["forward"], rng) for i in (1, 2))]
    for sender in senders:
        sender.start()
    process = subprocess.Popen(command)
    try:
        for _ in range(KILLS):
            served(senders, process)
            time.sleep(rng.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = subprocess.Popen(command)
        served(senders, process)
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        for sender in senders:
            sender.stopping.set()
        process.kill()
        process.wait()
    found = Counter(stored(tmp_path))
    said = [record for sender in senders for record in sender.acknowledged]
    twice = {record: times for record, times in found.items() if times > 1}
    print(f"{KILLS} kills, {len(said)} records acknowledged, {len(twice)} stored more than once, by HTTP")
    assert all(record.startswith("http-") for record in twice)
    for record, times in twice.items():
        assert times <= senders[0].sent[int(record.split("-")[1])], record
    kept = [record for record in said if record in found]
    fault("http and forward killed -9, while they are sent to", said=said, kept=kept, on="listener")
