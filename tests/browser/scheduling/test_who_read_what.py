"""The page of who read what, as a coordinator and an auditor use it: by family, by person, from a parent's name."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots, axe
from tests.component.scheduling.waiting import waiting_families
from tests.component.visit_events import household


@pytest.mark.parametrize("language", ["en", "es"])
async def test_it_is_clean_and_fits(serve: Serve, new_page: NewPage, screenshots: Screenshots, language: str) -> None:
    desk = await serve("scheduling")
    await waiting_families(desk.deliver)
    page = await new_page(language=language)
    await desk.sign_in(page, "carl", "/queue")
    await page.context.add_cookies([{"name": "language", "value": language, "url": desk.address}])
    await page.locator(".line-why").first.click()
    await page.locator("a[href^='/disclosures?whose=']").click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    assert await axe(page) == []
    await screenshots(page, f"disclosures-{language}")
    await page.locator("#words").fill("rosa delgado")
    await page.locator("form[action='/disclosures/find'] button").click()
    await page.wait_for_selector(f"a[href='/disclosures?whose={household(0)}']")
    assert "Delgado" not in await page.locator("main").inner_text()
    assert await axe(page) == []
    await screenshots(page, f"disclosures-found-{language}")
    await page.goto(f"{desk.address}/disclosures?person=nobody")
    assert await axe(page) == []


async def test_an_auditor_finds_who_read_of_a_family(serve: Serve, either_page: Page) -> None:
    desk, page = await serve("scheduling"), either_page
    await waiting_families(desk.deliver)
    await desk.sign_in(page, "ana", "/queue")
    await page.locator("#words").fill("delgado")
    await page.locator("form.search button").click()
    await page.context.clear_cookies()

    await desk.sign_in(page, "audit", "/disclosures")
    await page.locator("#words").fill("Rosa Delgado")
    await page.get_by_role("button", name="Find the key").click()
    await page.locator("form[action='/disclosures/find'] a").click()
    await expect(page.locator("tbody")).to_contain_text("looked for by name, phone or reference")
    await page.get_by_label("Read by").fill("ana")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("tbody tr").first).to_contain_text("Ana Example")
    await expect(page.locator("tbody")).not_to_contain_text("Audit")
