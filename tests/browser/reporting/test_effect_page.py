"""The effect of visits as the state reads it: what it is compared with, in both languages, with and without scripts."""

from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, expect

from services.reporting.reports.published import publish
from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots, axe
from tests.browser.site import Site
from tests.component.reporting.planted_events import told
from tests.delivering import transactions
from tests.unit.reporting.simulated_state import simulate
from tests.zones import HERE

BATCH = 2000


async def planted(serve: Serve) -> Site:
    """Reporting with a published school year in which visits have a known effect."""
    site = await serve("reporting")
    for topic, happened in told(simulate(5, students=1500).panel).items():
        for start in range(0, len(happened), BATCH):
            await site.deliver(topic, *happened[start : start + BATCH])
    assert await publish(transactions(site.pool), now=datetime(2026, 7, 16, tzinfo=UTC), zone=HERE)
    return site


async def test_the_state_reads_the_comparison_and_what_the_grey_line_includes(serve: Serve, either_page: Page) -> None:
    site = await planted(serve)
    await site.sign_in(either_page, "state", "/state")
    effect = either_page.locator("#effect")
    await expect(effect.get_by_role("columnheader", name="Before and after: includes natural recovery")).to_be_visible()
    month_after = effect.locator("tbody tr").nth(1)
    await expect(month_after.get_by_role("rowheader")).to_have_text("1")
    effect_told, naive = [float(await month_after.locator("td.number").nth(at).inner_text()) for at in (2, 5)]
    assert 0 < effect_told < naive
    await expect(either_page.locator("aside[aria-labelledby=effect-method]")).to_contain_text(
        "95 % confidence interval"
    )
    await expect(either_page.locator("#still-chronic tbody tr").last).to_contain_text("%")


@pytest.mark.parametrize("language", ["en", "es"])
async def test_the_effect_is_accessible_at_every_width(
    serve: Serve, new_page: NewPage, screenshots: Screenshots, language: str
) -> None:
    site = await planted(serve)
    page = await new_page(language=language)
    await site.sign_in(page, "state", "/state")
    if language == "es":
        await page.get_by_role("button", name="Español").click()
        await expect(page.locator("#effect h2")).to_contain_text("visita")
    await expect(page.locator("#effect figure img")).to_be_visible()
    assert await axe(page) == []
    await screenshots(page, f"effect-{language}")
