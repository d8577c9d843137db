"""What browser tests and screenshots stand on: the demo's recording served by the real command, and a Chromium.

Debian's `chromium` (or KUBEWITNESS_TEST_CHROMIUM) is driven by Playwright's client; nothing is downloaded. Requests
that would leave 127.0.0.1 are refused by the browser and noted, and so is everything that the page's console says.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Response, expect, sync_playwright

from kubewitness.cli.demo import load
from kubewitness.config.state import state_paths
from kubewitness.journal import Journal
from tests.fixtures_demo import DATA

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
#: ms that a page may take on a busy machine
PATIENCE = 60_000


def chromium() -> str:
    """The browser's program. Raises RuntimeError where there is none."""
    found = os.environ.get("KUBEWITNESS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        raise RuntimeError("browser tests need Debian's package chromium, or KUBEWITNESS_TEST_CHROMIUM")
    return found


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = _launch(playwright)
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))


@contextlib.contextmanager
def served(state: Path, *flags: str) -> Iterator[str]:
    """`kubewitness serve` of a state, as its own process; gives its address. It must end well, and may have no word to
    say but where it serves."""
    command = [sys.executable, "-m", "kubewitness", "serve", "--state", str(state), "--listen", "127.0.0.1:0", *flags]
    # a file, not a pipe: a pipe that nobody reads would stop a server that has much to say
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stderr=said)
        try:
            yield _address(process, said)
        finally:
            process.terminate()
            code = process.wait(20)
        said.seek(0)
        words = said.read()
        assert (code, words.count("\n")) == (0, 1), words[-5000:]


def _address(process: subprocess.Popen[bytes], said: TextIO) -> str:
    until = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < until and process.poll() is None:
        said.seek(0)
        line = said.readline()
        if line.endswith("\n"):
            assert " at http" in line, line
            return line.partition(" at ")[2].split()[0]
        time.sleep(0.02)
    said.seek(0)
    raise AssertionError(f"serve did not begin: {said.read()}")


def demo_state(folder: Path) -> Path:
    """A state that holds the demo's recording."""
    load(state_paths(str(folder)), DATA)
    return folder


def empty_state(folder: Path) -> Path:
    """A state as `record` begins it."""
    with Journal(state_paths(str(folder)).create().journal):
        return folder


@dataclass
class Sheet:
    """A page with what it did that it should not: messages in the console, requests to elsewhere."""

    page: Page
    address: str
    faults: list[str] = field(default_factory=list)

    def open(self, route: str) -> Page:
        self.page.goto(f"{self.address}{route}")
        return self.page


@contextlib.contextmanager
def sheet(browser: Browser, address: str, **options: Any) -> Iterator[Sheet]:
    """A fresh browser context on the served page; at its end nothing may have been said or asked elsewhere."""
    context = browser.new_context(timezone_id="UTC", locale="en-GB", **options)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    made = Sheet(page, address)
    page.on("console", lambda message: _said(made, message))
    page.on("pageerror", lambda error: made.faults.append(str(error)))
    page.on("response", lambda answer: _answered(made, answer))
    page.on("request", lambda request: _elsewhere(made, request.url))
    try:
        yield made
    finally:
        context.close()


def _said(made: Sheet, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        made.faults.append(message.text)


def _answered(made: Sheet, answer: Response) -> None:
    if answer.status >= 400:
        made.faults.append(f"{answer.status} {answer.url}")


def _elsewhere(made: Sheet, url: str) -> None:
    if not url.startswith((made.address, "data:", "blob:")):
        made.faults.append(f"asked {url}")
