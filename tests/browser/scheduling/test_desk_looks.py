"""Each page of the desk, looked at: nothing hangs over the side, axe-core finds nothing, in English and Spanish."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots, axe
from tests.browser.site import Site
from tests.component.scheduling.waiting import register, waiting_families


async def a_desk(serve: Serve) -> Site:
    """The desk with eight families, three visitors, and one request on its way."""
    desk = await serve("scheduling")
    await waiting_families(desk.deliver)
    await register(desk.pool, "marisol", "omar", languages=("en", "es"))
    await register(desk.pool, "dora")
    return desk


async def first_request(page: Page) -> None:
    await page.locator(".line-why").first.click()
    await page.wait_for_selector(".request-head")


@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_page_is_clean_and_fits(
    serve: Serve, new_page: NewPage, screenshots: Screenshots, language: str
) -> None:
    desk = await a_desk(serve)
    page = await new_page(language=language)
    await desk.sign_in(page, "ana", "/queue")
    await page.context.add_cookies([{"name": "language", "value": language, "url": desk.address}])

    async def look(name: str) -> None:
        assert await axe(page) == [], name
        await screenshots(page, f"desk-{name}-{language}")

    await page.goto(f"{desk.address}/queue")
    await look("queue")
    await page.locator("form[action='/requests/next'] button").click()
    await look("request-claimed")
    await page.locator("button[name=answer][value=agreed]").click()
    await page.goto(f"{page.url.split('?')[0]}/appointment")
    await look("appointment")
    await page.locator("button[formaction]").click()
    await look("pairs")
    await page.locator("button[name=choice]").first.click()
    await look("request-paired")
    await page.locator("a[href$='/letter']").click()
    await look("letter")
    visit_day = await desk.pool.fetchval("SELECT starts_at::date::text FROM appointment")
    for name, path in (
        ("day", f"/day?day={visit_day}"),
        ("visitors", "/visitors"),
        ("visitor", "/visitors/marisol"),
        ("visitor-new", "/visitors/new"),
        ("policy", "/policy"),
        ("keys", "/help"),
        ("filtered", "/queue?age=overdue&interpreter=yes"),
        ("nothing", "/queue?stage=logged"),
        ("missing", "/requests/00000000-0000-0000-0000-000000000000"),
    ):
        await page.goto(desk.address + path)
        await look(name)
    await page.goto(f"{desk.address}/queue")
    await page.locator("#words").fill("delgdo")
    await page.locator("form.search button").click()
    await look("search")
    await first_request(page)
    await page.goto(f"{page.url}/household-sheet")
    await look("household-sheet")


async def test_paper_shows_the_work_and_no_controls(serve: Serve, page: Page, screenshots: Screenshots) -> None:
    desk = await a_desk(serve)
    await desk.sign_in(page, "ana", "/queue")
    await page.emulate_media(media="print")
    for name, path in (
        ("queue", "/queue"),
        ("day", "/day"),
        ("household-sheet", f"{await first_address(page)}/household-sheet"),
    ):
        await page.goto(desk.address + path)
        assert await page.locator("button:visible, nav:visible, input:visible").count() == 0, name
        await screenshots(page, f"desk-paper-{name}")


async def first_address(page: Page) -> str:
    """The path of the first line's request."""
    return str(await page.locator(".line-why").first.get_attribute("href"))
