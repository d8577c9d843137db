"""The live view over a long day: what it keeps is bounded, a pause loses nothing, it outlives its server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from kubewitness.config.state import StatePaths, state_paths
from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.questions.times import now_us
from kubewitness.record import chunk_of
from tests.browser import stage
from tests.cluster.harness.ports import free_port

pytestmark = pytest.mark.browser

#: rows that the view keeps
KEPT = 500


def arrive(paths: StatePaths, first: int, count: int) -> None:
    """So many log lines come into the journal, as an input hands them over."""
    lines = [json.dumps({"level": "info", "msg": f"arrival {n}"}).encode() for n in range(first, first + count)]
    keys = [f"arrival-{n:08}".encode() for n in range(first, first + count)]
    chunk = chunk_of("logs", zip(lines, keys, strict=True), form="json")
    chunk.received_us = now_us()
    with Journal(paths.journal) as journal:
        journal.append([Batch([chunk])])


def test_it_keeps_so_many_rows_and_goes_on_after_the_server_and_the_machine_were_away(
    browser: Browser, tmp_path: Path
) -> None:
    state = stage.empty_state(tmp_path / "state")
    paths = state_paths(str(state))
    listen = ("--listen", f"127.0.0.1:{free_port()}")
    with stage.sheet(browser, f"http://{listen[1]}/", viewport={"width": 1280, "height": 800}) as made:
        page = made.page
        rows = page.locator("table.rows tbody tr")
        said = page.locator(".live-state")
        with stage.served(state, *listen):
            made.open("#/live")
            expect(said).to_have_text("following")
            page.get_by_role("button", name="Pause").click()
            arrive(paths, 0, KEPT + 100)
            expect(said).to_contain_text(f"{KEPT + 100} more since")
            expect(rows).to_have_count(0)
            page.get_by_role("button", name="Go on").click()
            expect(rows).to_have_count(KEPT)
            expect(rows.first).to_contain_text(f"arrival {KEPT + 99}")
        expect(said).to_contain_text("away")
        with stage.served(state, *listen):
            expect(said).to_have_text("following")
            arrive(paths, 5000, 1)
            expect(rows.first).to_contain_text("arrival 5000")
            expect(rows).to_have_count(KEPT)
            page.evaluate("const end = Date.now() + 21_000, now = Date.now; Date.now = () => now() + 21_000")
            arrive(paths, 5001, 1)
            expect(rows.first).to_contain_text("arrival 5001")
            texts = page.locator("table.rows .said").all_inner_texts()
            assert len(set(texts)) == len(texts) == KEPT
            expect(page.get_by_text(f"{KEPT + 102} arrived since")).to_be_visible()
    assert all("ERR_" in fault for fault in made.faults), made.faults
