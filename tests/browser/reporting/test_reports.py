"""The reports as people read them: each reader's page, in both languages, with and without JavaScript."""

from datetime import UTC, datetime, time, timedelta

import pytest
from playwright.async_api import Page, expect

from contracts.events import VisitCompleted
from services.reporting.reports.published import publish
from services.runtime import clock
from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots, axe
from tests.browser.site import Site
from tests.component.reporting.tallied import Month, months, whole_day
from tests.component.visit_events import flag, household, of_visit
from tests.delivering import transactions
from tests.hartford_spring import hartford_spring
from tests.zones import HERE

PAGES = (("state", "/state"), ("rosa", "/resc"), ("dana", "/districts/hartford"),
         ("dana", "/districts/hartford/schools/H01"))  # fmt: skip


async def reports(serve: Serve) -> Site:
    """Reporting with Hartford's first spring published, and some of this year's work in Hartford."""
    site = await serve("reporting")
    for topic in ("visitors", "home-visits", "visit-log"):
        await site.deliver(topic, *(each.event for each in hartford_spring() if each.topic == topic))
    assert await publish(transactions(site.pool), now=datetime(2021, 7, 16, tzinfo=UTC), zone=HERE)
    now = clock.now()
    year = now.year if now.month >= 7 else now.year - 1
    await site.deliver("flags", *(flag(n, household_number=n, occurred_at=now, school_year=year) for n in range(1, 30)))
    visited = {"occurred_at": now, "started_at": now - timedelta(hours=2), "ended_at": now - timedelta(hours=1)}
    await site.deliver("visit-log", of_visit(VisitCompleted, household_key=household(1), **visited))
    return site


async def all_charts_drawn(page: Page) -> bool:
    """Whether every picture of the page has come."""
    await page.wait_for_load_state("load")
    widths = await page.eval_on_selector_all("figure img", "images => images.map(image => image.naturalWidth)")
    return bool(widths) and all(widths)


async def test_each_reader_comes_to_their_own_page(serve: Serve, new_page: NewPage) -> None:
    site = await reports(serve)
    for name, address in (("state", "/state"), ("rosa", "/resc"), ("dana", "/districts/hartford"), ("ana", "/state")):
        page = await new_page()
        await site.sign_in(page, name)
        assert page.url == site.address + address


async def test_the_state_reads_hartfords_spring(serve: Serve, either_page: Page) -> None:
    site = await reports(serve)
    await site.sign_in(either_page, "state")
    hartford = either_page.locator(
        "#visits tbody tr", has=either_page.get_by_role("rowheader", name="Hartford", exact=True)
    )
    # Told by sixes: 210 visits to 150 households, sixty of which were visited again.
    await expect(hartford.locator("td").first).to_have_text("202")
    await expect(hartford.locator("td").nth(1)).to_have_text("50.0 %")
    await either_page.locator("#visits summary").click()
    await expect(either_page.locator("#visits")).to_contain_text("in person, with both visitors")


async def test_a_district_opens_a_school_and_downloads_a_table(serve: Serve, either_page: Page) -> None:
    site = await reports(serve)
    await site.sign_in(either_page, "dana")
    await expect(either_page.locator("h1")).to_have_text("Hartford")
    async with either_page.expect_download() as begun:
        await either_page.locator("#funnel .downloads a").first.click()
    assert (await begun.value).suggested_filename == "funnel-not-to-be-passed-on.csv"
    await either_page.goto(f"{site.address}/districts/hartford/schools/H01")
    await expect(either_page.locator("h1")).to_have_text("School H01, Hartford")


@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_page_is_accessible_at_every_width(
    serve: Serve, new_page: NewPage, screenshots: Screenshots, language: str
) -> None:
    site = await reports(serve)
    for name, address in PAGES:
        page = await new_page(language=language)
        await site.sign_in(page, name)
        if language == "es":
            await page.get_by_role("button", name="Español").click()
        await page.goto(site.address + address)
        assert await all_charts_drawn(page), address
        assert await axe(page) == [], address
        await screenshots(page, f"reports-{address.strip('/').replace('/', '-')}-{language}")


async def test_what_is_missing_stands_in_one_sentence_and_students_carry_their_own_day(
    serve: Serve, new_page: NewPage
) -> None:
    site = await serve("reporting")
    today = clock.now().date()
    month = (today.replace(day=1) - timedelta(days=40)).replace(day=1)
    await site.deliver("school-months", months(*(Month(n, 20, n % 5) for n in range(60)), month=month, missing_rolls=2))
    for school in ("H01", "H02"):
        await site.deliver("day-tallies", whole_day(version=1, school=school, school_day=month.replace(day=28)))
    the_20th = datetime.combine((month + timedelta(days=31)).replace(day=20), time(), UTC)
    assert await publish(transactions(site.pool), now=the_20th, zone=HERE)
    for name, address in (("state", "/state"), ("dana", "/districts/hartford")):
        page = await new_page()
        await site.sign_in(page, name, address)
        await expect(page.locator("p.lacks")).to_have_text(
            "Missing: the month has not closed at H02 (Hartford); "
            "school days without a complete roll: 2, at H01 (Hartford): 2."
        )
        assert await axe(page) == [], address
    up_to = f"Up to {month:%B} 28, {month.year}: months that have closed."
    await expect(page.locator("#chronic-by-month .as-of")).to_have_text(up_to)
    await expect(page.locator(".figure-card", has_text="Chronic absence rate")).to_contain_text(up_to)


async def test_on_paper_the_tables_stay_and_the_links_go(serve: Serve, page: Page) -> None:
    site = await reports(serve)
    await site.sign_in(page, "state")
    await page.emulate_media(media="print")
    await expect(page.locator("#visits table")).to_be_visible()
    await expect(page.locator("#visits .downloads")).to_be_hidden()
