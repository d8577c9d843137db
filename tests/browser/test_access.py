"""Logging in, where the server is told to want a token."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import stage

pytestmark = pytest.mark.browser


def test_without_a_login_nothing_is_shown_and_a_token_opens_it(browser: Browser, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret-token\n")
    state = stage.demo_state(tmp_path / "state")
    with stage.served(state, "--token-file", str(token)) as address, stage.sheet(browser, address) as made:
        page = made.open("#/explore")
        field = page.get_by_label("The token of --token-file")
        expect(field).to_be_visible()
        expect(page.locator("table")).to_have_count(0)
        field.fill("wrong")
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        field.fill("s3cret-token")
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        expect(page.locator("table.rows tbody tr").first).to_be_visible()
        page.reload()
        expect(page.locator("table.rows tbody tr").first).to_be_visible()
        assert "s3cret-token" not in page.evaluate("JSON.stringify([document.cookie, {...localStorage}])")
        page.get_by_role("button", name="Log out").click()
        expect(field).to_be_visible()
    assert all("401" in fault for fault in made.faults), made.faults
