"""axe-core finds nothing serious on any view, light or dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stage import Sheet, sheet
from tests.browser.test_ask import asked, drained

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
_POD = drained()
VIEWS = {
    "welcome": ("", ".examples a"),
    "answer": (asked(f"who deleted pod/{_POD['name']} -n {_POD['namespace']}"), "ol.chain li"),
    "records": (asked("search user=bob code=403"), "table.rows"),
    "timeline": ("#/timeline?q=namespace%3Dshop&object=deployment%2Fweb&namespace=shop", ".detail table.rows"),
    "object": ("#/object?object=deployment%2Fweb&namespace=shop&part=versions", "table.sides"),
    "explore": ("#/explore?q=user%3Dalice", ".facets button"),
    "sql": ("#/sql?query=select%201%20as%20one", "table.result"),
    "live": ("#/live", ".live-following"),
    "status": ("#/status", ".tiles"),
    "policy": ("#/policy", ".needs"),
    "findings": ("#/findings", "h1"),
}


@pytest.fixture(scope="module", params=["light", "dark"])
def page_of(request: pytest.FixtureRequest, browser: Browser, demo_address: str) -> Any:
    with sheet(browser, demo_address, color_scheme=request.param, viewport={"width": 1280, "height": 800}) as made:
        yield made


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(page_of: Sheet, view: str) -> None:
    route, ready = VIEWS[view]
    page = page_of.page
    page.goto("about:blank")
    page_of.open(route)
    expect(page.locator(ready).first).to_be_visible()
    assert problems(page) == []


def problems(page: Page) -> list[str]:
    """Rule, impact and places of what axe calls serious or critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{v['id']} ({v['impact']}): {[n['html'][:150] for n in v['nodes'][:3]]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
