"""The audit policy page: what the demo's policy records, and a policy to take away."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from kubewitness.questions.policy.rules import policy_of
from tests.browser.stage import Sheet

pytestmark = pytest.mark.browser


def test_the_page_tells_what_is_missing_and_gives_a_policy_that_has_it(demo_page: Sheet, tmp_path: Path) -> None:
    page = demo_page.open("#/policy")
    expect(page.locator(".tile").first).to_contain_text("12 of 14 recorded in full")
    needs = page.get_by_role("region", name="what who needs")
    lost = needs.locator("tr").filter(has_text="nodes that were lost")
    expect(lost).to_contain_text("too low")
    expect(lost).to_contain_text("at Metadata")
    expect(needs.locator("tr").filter(has_text="drains and other evictions")).to_contain_text("recorded")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save policy.yaml").click()
    download.value.save_as(tmp_path / "policy.yaml")
    assert len(policy_of((tmp_path / "policy.yaml").read_text()).rules) > 5
    page.get_by_role("textbox", name="only resources whose name holds").fill("eviction")
    levels = page.get_by_role("region", name="levels by resource")
    expect(levels.locator("tbody tr")).to_have_count(1)
    levels.get_by_role("link", name="pods/eviction").click()
    expect(page.locator("table.rows tbody tr").first).to_contain_text("create pods/eviction")


def test_a_time_without_records_still_has_a_policy_to_begin_with(demo_page: Sheet) -> None:
    page = demo_page.open("#/policy?window=last%20hour")
    expect(page.get_by_text("No audit record was made in that time")).to_be_visible()
    expect(page.get_by_role("region", name="suggested policy")).to_contain_text("audit.k8s.io/v1")
