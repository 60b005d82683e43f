"""The same pages with JavaScript and without: a visit is logged, corrected, added to, and paid for."""

from playwright.async_api import Page, expect

from tests.browser.conftest import Serve
from tests.browser.visitlog.visits import agreed, fill_in, visit_id, with_visits


async def test_a_visitor_writes_a_log_and_adds_to_it(serve: Serve, either_page: Page) -> None:
    page, site = either_page, await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol")
    await page.get_by_role("link", name="Write the log").click()
    await expect(page.get_by_label("Strengths of the student and the family")).to_be_hidden()
    await fill_in(page)
    await page.locator('[id="referrals.0.resource"]').locator("xpath=ancestor::details/summary").click()
    await page.locator('[id="referrals.0.resource"]').select_option("food")
    await page.get_by_role("button", name="Save the log").click()
    # With scripts the page leaves by itself, a moment after the click: a second way home would cross the first.
    await page.wait_for_url(lambda url: not url.endswith("/log"))
    await page.goto(site.address)
    await page.get_by_role("link", name="Read the log").click()
    await expect(page.get_by_text("She reads to her brother every evening.")).to_be_visible()

    await page.get_by_label("By now").select_option("connected")
    await page.get_by_role("button", name="Note it").click()
    await expect(page.locator(".badge", has_text="Connected")).to_be_visible()
    await page.get_by_label("Add to this log").fill("The grandmother called.")
    await page.get_by_role("button", name="Add it").click()
    await expect(page.locator(".timeline")).to_contain_text("The grandmother called.")
    assert await site.published() == [
        "visit.completed.v1",
        "referral.made.v1",
        "referral.made.v1",
        "visit-log.amended.v1",
    ]


async def test_an_attempt_takes_a_few_taps(serve: Serve, either_page: Page) -> None:
    page, site = either_page, await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "omar", f"/visits/{visit_id(1)}/log")
    await page.get_by_label("Nobody was home").check()
    await expect(page.get_by_label("Hopes")).to_be_hidden()
    await page.get_by_role("button", name="Save the log").click()
    # With scripts the page leaves by itself, a moment after the click: a second way home would cross the first.
    await page.wait_for_url(lambda url: not url.endswith("/log"))
    await page.goto(site.address)
    await expect(page.get_by_text("Attempted")).to_be_visible()
    assert await site.published() == ["visit.attempted.v1"]


async def test_the_coordinator_finds_what_is_missing_and_sets_a_rate(serve: Serve, either_page: Page) -> None:
    page, site = either_page, await serve("visitlog")
    await with_visits(site, agreed(1), agreed(2))
    await site.sign_in(page, "carl")
    await expect(page.get_by_role("row")).to_have_count(3)
    await page.get_by_role("link", name="Pay", exact=True).click()
    await page.get_by_text("Set a rate").click()
    await page.get_by_label("From which day").fill("2026-07-01")
    for label, amount in (
        ("Dollars an hour", "30"),
        ("Dollars an hour of travel", "20"),
        ("Cents a mile", "72.5"),
        ("Dollars at least if nobody is home", "15"),
    ):
        await page.get_by_label(label, exact=True).fill(amount)
    await page.get_by_role("button", name="Set this rate").click()
    await expect(page.get_by_role("cell", name="72.5 ¢")).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download as CSV").click()
    assert (await download.value).suggested_filename.startswith("payroll-")


async def test_the_coordinator_writes_a_log_that_nobody_else_wrote(serve: Serve, either_page: Page) -> None:
    page, site = either_page, await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "carl")
    await page.get_by_role("link", name="Write the log").click()
    await fill_in(page)
    await page.locator('[id="efforts.0.minutes"]').fill("30")
    await page.get_by_role("button", name="Save the log").click()
    await page.wait_for_url(lambda url: "/visits/" not in url)
    await page.goto(f"{site.address}/office")
    await expect(page.get_by_text("No log is missing.")).to_be_visible()
    assert await site.published() == ["visit.completed.v1"]
    took = await site.pool.fetch("SELECT minutes FROM effort ORDER BY visitor_id")
    assert [row["minutes"] for row in took] == [30, 45]
