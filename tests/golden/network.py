"""What a golden case is sent, and the far sides that it sends to.

`send/PORT.PROTOCOL` is sent to the input of that port, a line at a time; the configuration's ports are changed to free
ones. Lines of `forward` are `TAG SECONDS OBJECT`, sent by the library fluent-logger; those of `http` are `PATH BODY`.
When all of it has arrived, or does not arrive, the pipeline is told to stop.

Far sides are the suite's own, from tests/outputs: what `forward` has received is in /var/out/forward, what `s3` keeps
is in /var/out/s3, sorted.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fluent.sender import EventTime, FluentSender

from tests.outputs.test_forward import Aggregator
from tests.outputs.test_s3 import Bucket

_SECONDS = 60.0
#: name -> lines of what a far side was sent
FarSides = dict[str, Callable[[], list[str]]]


def with_free_ports(case: Path, text: str) -> tuple[str, dict[str, int]]:
    """The configuration with other ports, and which those are."""
    ports = {}
    for path in sorted((case / "send").glob("*")):
        wanted = path.name.partition(".")[0]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports[wanted] = probe.getsockname()[1]
        text = re.sub(rf"\b{wanted}\b", str(ports[wanted]), text)
    return text, ports


class Sending:
    """Of one case, while its pipeline runs in the main thread."""

    def __init__(self, case: Path, ports: dict[str, int], out: Path, sides: FarSides) -> None:
        self._case = case
        self._ports = ports
        self._out = out
        self._sides = sides
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sending:
        if self._ports:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        if self._ports:
            self._thread.join()

    def _run(self) -> None:
        try:
            for path in sorted((self._case / "send").iterdir()):
                wanted, _, protocol = path.name.partition(".")
                port = self._ports[wanted]
                self._wait(partial(_listens, port))
                _SEND[protocol](port, path.read_text().splitlines())
            self._wait(self._complete)
        finally:
            if not self._ended.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS
        while not self._ended.is_set() and time.monotonic() < deadline and not condition():
            time.sleep(0.02)

    def _complete(self) -> bool:
        """But for objects, which are made at the stop."""
        for path in (self._case / "out").iterdir():
            if path.name in self._sides:
                have = len(self._sides[path.name]())
            else:
                have = _lines(self._out / path.name)
            if path.name != "s3" and have < _lines(path):
                return False
        return True


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _forward(port: int, lines: list[str]) -> None:
    for line in lines:
        tag, seconds, record = line.split(" ", 2)
        whole, _, fraction = seconds.partition(".")
        stamp: Any = EventTime(int(whole), int(fraction.ljust(9, "0"))) if fraction else int(whole)
        sender = FluentSender(tag, host="127.0.0.1", port=port)
        assert sender.emit_with_time("", stamp, json.loads(record)), sender.last_error
        sender.close()


def _http(port: int, lines: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    for line in lines:
        path, body = line.split(" ", 1)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        answer.read()
    connection.close()


_SEND: dict[str, Callable[[int, list[str]], None]] = {"forward": _forward, "http": _http}


# --- far sides -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def far_sides(config: str, root: Path, setenv: Callable[[str, str], None]) -> Iterator[FarSides]:
    """Those that the configuration names by variables, for as long as it runs; what each was sent, by its name."""
    found: FarSides = {}
    with contextlib.ExitStack() as running:
        if "${AGGREGATOR_PORT}" in config:
            aggregator = running.enter_context(_beside(Aggregator("secret")))
            found["forward"] = lambda: _events(aggregator)
            setenv("AGGREGATOR_PORT", str(aggregator.port))
        if "${S3_ENDPOINT}" in config:
            (root / "credentials").write_text("[default]\naws_access_key_id=kw-key\naws_secret_access_key=kw-secret\n")
            setenv("AWS_SHARED_CREDENTIALS_FILE", str(root / "credentials"))
            bucket = running.enter_context(_beside(Bucket()))
            found["s3"] = lambda: _objects(bucket)
            setenv("S3_ENDPOINT", f"http://127.0.0.1:{bucket.port}")
        yield found
        for name, lines in found.items():
            (root / "var" / "out" / name).write_text("".join(f"{line}\n" for line in lines()))


def _events(aggregator: Aggregator) -> list[str]:
    found = []
    for tag, entries, _ in aggregator.messages:
        for stamp, record in entries:
            seconds, nanoseconds = (int.from_bytes(stamp.data[i : i + 4], "big") for i in (0, 4))
            found.append(f"{tag}: [{seconds}.{nanoseconds:09d}, {json.dumps(record)}]")
    return found


def _objects(bucket: Bucket) -> list[str]:
    return [f"{path} {line}" for path, body in sorted(bucket.objects.items()) for line in body.decode().splitlines()]


@contextlib.contextmanager
def _beside(side: Any) -> Iterator[Any]:
    """An asynchronous far side in a thread and loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(side.__aenter__(), loop).result(_SECONDS)
        yield side
        asyncio.run_coroutine_threadsafe(side.__aexit__(), loop).result(_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
