"""Whole pipelines in this process, from the text of a file, and a far side that they can deliver to."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from kubewitness.cli.pipeline import Configuration, Pipeline
from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.config.load import load_pipeline
from kubewitness.config.peer import with_defaults
from kubewitness.config.state import state_paths
from kubewitness.config.tree import Tree


@contextlib.asynccontextmanager
async def running(place: Path, text: str, *, drop_in: bool = False) -> AsyncIterator[Pipeline]:
    """Runs `text` (YAML) from `place`; stops it at the end, and sees that it ends well. `drop_in`: with Fluent Bit's
    defaults."""
    config = place / "pipeline.yaml"
    config.write_text(text)
    paths = state_paths(str(place / "state"))

    def read() -> Tree:
        tree = load_pipeline(config, KNOWN, strict=not drop_in)
        return with_defaults(tree) if drop_in else tree

    def made(tree: Tree) -> Configuration:
        service = Service(tree.service)
        parts = Parts(tree, service, paths, strict=not drop_in, exit_on_eof=False, dry=False)
        return Configuration(tree, service, parts)

    pipeline = Pipeline(made(read()), read, made, paths)
    work = asyncio.create_task(pipeline.run())
    try:
        await until(lambda: pipeline.health()["stage"] == "running" or work.done())
        yield pipeline
        pipeline.stop()
        assert await asyncio.wait_for(work, 30) == 0
    finally:
        work.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def far_side(status: Callable[[], int] = lambda: 200) -> Iterator[tuple[int, list[str]]]:
    """(port, texts under `log` of the JSON lines that it took)."""
    taken: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = status()
            if answer == 200:
                taken.extend(json.loads(line)["log"] for line in body.splitlines())
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
        yield server.server_address[1], taken
        server.shutdown()


async def answered(port: int, path: str) -> tuple[int, str]:
    """(code, body) of a GET, once somebody listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split(" ")[1]), body
