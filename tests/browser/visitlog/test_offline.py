"""A log written where there is no connection: kept at once, sent when it can be, once and only once."""

import asyncio

import pytest
from playwright.async_api import BrowserContext, Dialog, Error, Page, Route, expect

from tests.browser.conftest import NewPage, Serve
from tests.browser.site import Site
from tests.browser.visitlog.visits import agreed, fill_in, sent, visit_id, with_visits

FORM = f"/visits/{visit_id(1)}/log"
_PAGES_ARE_KEPT = """async (path) => {
    const pages = await (await caches.open("leap-pages")).keys();
    return pages.some((page) => new URL(page.url).pathname === path);
}"""
_WHAT_IS_LEFT = """async () => ({
    databases: (await indexedDB.databases()).map((each) => each.name),
    caches: (await caches.keys()).filter((name) => name.startsWith("leap-pages")),
    stored: localStorage.length,
})"""


async def kept_on_the_phone(page: Page, path: str) -> None:
    """Wait until the worker has the page, which it fetches in its own time."""
    async with asyncio.timeout(30):
        while not await page.evaluate(_PAGES_ARE_KEPT, path):
            await page.evaluate("() => new Promise(requestAnimationFrame)")


async def kept_as_written(page: Page) -> None:
    """Wait until the form says that it is kept, to the last letter."""
    await expect(page.locator("#kept")).to_contain_text("Kept on this phone")
    await expect(page.locator("#log-form[data-unkept]")).to_have_count(0)


async def on_the_road(site: Site, page: Page) -> BrowserContext:
    """Marisol has opened her list where there was a connection, and now there is none."""
    await site.sign_in(page, "marisol")
    await kept_on_the_phone(page, FORM)
    await page.context.set_offline(True)
    return page.context


async def logs_in(site: Site) -> int:
    """How many logs are written."""
    count: int = await site.pool.fetchval("SELECT count(*) FROM visit_log")
    return count


async def test_a_log_written_offline_survives_a_reload_and_is_sent_once(serve: Serve, new_page: NewPage) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    page = await new_page(width=320)
    context = await on_the_road(site, page)

    await page.get_by_role("link", name="Write the log").click()
    await fill_in(page, strengths="Kept without a connection")
    await kept_as_written(page)
    await page.reload()
    await expect(page.get_by_label("Strengths of the student and the family")).to_have_value(
        "Kept without a connection"
    )
    await expect(page.get_by_label("It took place")).to_be_checked()
    await page.get_by_role("button", name="Save the log").click()

    send_now = page.get_by_role("button", name="Send now (1 waiting)")
    await expect(send_now).to_be_visible()
    await expect(page.get_by_text("Waiting to be sent")).to_be_visible()
    await page.reload()
    await send_now.click()
    await expect(page.get_by_text("No connection.")).to_be_visible()
    assert await logs_in(site) == 0

    await context.set_offline(False)
    await sent(page)
    await expect(page.get_by_role("link", name="Read the log")).to_be_visible()
    assert await logs_in(site) == 1
    assert await site.published() == ["visit.completed.v1"]
    assert "Kept without a connection" in await site.pool.fetchval("SELECT body FROM visit_log")


async def test_an_answer_that_is_lost_on_the_way_back_leads_to_no_second_log(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    losses = 0

    async def lose_the_answer(route: Route) -> None:
        nonlocal losses
        await route.fetch()
        losses += 1
        await route.abort()

    await page.route("**/logs/*", lose_the_answer)
    await fill_in(page)
    await page.get_by_role("button", name="Save the log").click()
    await expect(page.get_by_text("No connection.")).to_be_visible()
    assert (losses, await logs_in(site)) == (1, 1)

    await page.unroute("**/logs/*")
    await page.get_by_role("button", name="Send now (1 waiting)").click()
    await sent(page)
    assert await logs_in(site) == 1
    assert await site.published() == ["visit.completed.v1"]


async def test_two_logs_wait_and_two_windows_that_send_them_at_once_send_each_once(
    serve: Serve, new_page: NewPage
) -> None:
    site = await serve("visitlog")
    await with_visits(site, agreed(1), agreed(2))
    page = await new_page()
    await site.sign_in(page, "marisol")
    await kept_on_the_phone(page, f"/visits/{visit_id(2)}/log")
    other = await page.context.new_page()
    await other.goto(site.address)
    await page.context.set_offline(True)
    for number in (1, 2):
        await page.goto(f"{site.address}/visits/{visit_id(number)}/log")
        await fill_in(page)
        await page.get_by_role("button", name="Save the log").click()
        await expect(page.locator("#send-now")).to_contain_text(f"({number} waiting)")
    await other.reload()
    await expect(other.locator("#send-now")).to_contain_text("(2 waiting)")

    await page.context.set_offline(False)

    await expect(page.locator("#outbox")).to_be_hidden()
    await expect(other.locator("#outbox")).to_be_hidden()
    assert await logs_in(site) == 2
    assert sorted(await site.published()) == ["visit.completed.v1", "visit.completed.v1"]


async def test_the_second_window_waits_until_the_first_is_closed_and_then_has_its_words(
    serve: Serve, page: Page
) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await page.get_by_label("It took place").check()
    await page.get_by_label("Hopes").fill("Typed in the first window")
    await kept_as_written(page)

    second = await page.context.new_page()
    await second.goto(f"{site.address}{FORM}")
    await expect(second.get_by_text("This log is open in another window.")).to_be_visible()
    assert await second.locator("#log-form").evaluate("form => form.inert")
    await page.close()

    await expect(second.get_by_label("Hopes")).to_have_value("Typed in the first window")
    await expect(second.get_by_text("This log is open in another window.")).to_be_hidden()
    await second.get_by_label("To", exact=True).fill("16:45")
    await second.get_by_label("From").fill("16:00")
    await second.get_by_role("button", name="Save the log").click()
    await sent(second)
    assert await logs_in(site) == 1


async def test_after_sign_out_nothing_of_a_family_is_left_on_the_phone(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await page.get_by_label("It took place").check()
    await page.get_by_label("Hopes").fill("Not sent yet")
    await kept_as_written(page)
    questions: list[str] = []

    async def agree(dialog: Dialog) -> None:
        questions.append(dialog.message)
        await dialog.accept()

    page.on("dialog", agree)
    await page.locator("#sign-out button").click()
    await page.wait_for_url("**/sign-in")

    assert questions == ["One log is not sent yet. Sign out and throw it away?"]
    assert await page.evaluate(_WHAT_IS_LEFT) == {"databases": [], "caches": [], "stored": 0}
    await page.context.set_offline(True)
    with pytest.raises(Error, match="ERR_INTERNET_DISCONNECTED"):  # not even the worker is left to answer
        await page.goto(site.address)


async def test_a_session_that_ended_loses_no_log(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await fill_in(page)
    await page.context.route("**/logs/*", lambda route: route.abort())
    await page.get_by_role("button", name="Save the log").click()
    await expect(page.locator("#send-now")).to_be_visible()
    await page.context.unroute("**/logs/*")
    await page.context.clear_cookies()
    await page.locator("#send-now").click()
    await expect(page.get_by_text("Sign in again to send what waits.")).to_be_visible()

    await site.sign_in(page, "omar")
    await expect(page.get_by_role("heading", name="My visits")).to_be_visible()
    await expect(page.locator("#outbox")).to_be_hidden()  # what Marisol wrote is not Omar's to see or send
    assert await logs_in(site) == 0
    await page.context.clear_cookies()
    await site.sign_in(page, "marisol")
    await sent(page)
    assert await logs_in(site) == 1
    assert await site.pool.fetchval("SELECT logged_by FROM visit_log") == "marisol"


async def test_a_refused_log_goes_back_to_its_form_with_every_word(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await fill_in(page, strengths="Every word")
    miles = page.locator('[id="efforts.0.miles"]')
    await miles.fill("many")
    await page.get_by_role("button", name="Save the log").click()
    await expect(page.get_by_text("One log could not be taken: Write miles like 12.5.")).to_be_visible()
    await page.get_by_role("button", name="Correct it").click()

    await expect(page.locator("#refused")).to_contain_text("Write miles like 12.5.")
    await expect(page.get_by_label("Strengths of the student and the family")).to_have_value("Every word")
    await miles.fill("12.5")
    await page.get_by_role("button", name="Save the log").click()
    await sent(page)
    assert await site.pool.fetchval("SELECT mileage_tenths FROM effort WHERE visitor_id = 'marisol'") == 125


async def test_who_comes_second_compares_and_adds_and_the_outbox_is_empty(serve: Serve, new_page: NewPage) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    first, second = await new_page(), await new_page()
    await site.sign_in(second, "omar", FORM)
    await fill_in(second, strengths="Omar heard this")
    await site.sign_in(first, "marisol", FORM)
    await fill_in(first, strengths="Marisol heard that")
    await first.get_by_role("button", name="Save the log").click()
    await sent(first)

    await second.get_by_role("button", name="Save the log").click()
    await second.get_by_role("button", name="Compare both").click()
    await expect(second.get_by_role("heading", name="There are two logs of this visit")).to_be_visible()
    await expect(second.get_by_text("Marisol heard that")).to_be_visible()
    await second.get_by_role("button", name="Add it").click()
    await expect(second.locator(".timeline .said")).to_contain_text("Omar heard this")
    await second.get_by_role("link", name="My visits").first.click()
    await expect(second.locator("#outbox")).to_be_hidden()
    assert await site.published() == ["visit.completed.v1", "visit-log.amended.v1"]
