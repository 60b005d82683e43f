"""What people do at the desk, clicking and typing as they do: each story with JavaScript and without."""

from datetime import date, timedelta

from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots
from tests.browser.site import Site
from tests.component.scheduling.waiting import register, today, waiting_families


async def a_desk(serve: Serve) -> Site:
    """Hartford's desk: eight families wait, three visitors can."""
    desk = await serve("scheduling")
    await waiting_families(desk.deliver)
    await register(desk.pool, "marisol", "omar", languages=("en", "es"))
    await register(desk.pool, "dora")
    return desk


async def open_first(page: Page) -> str:
    """Open the first line of the queue; the address of its page."""
    await page.locator(".line-why").first.click()
    await page.wait_for_url("**/requests/*")
    return page.url


async def test_from_the_queue_to_a_confirmed_visit_on_paper(serve: Serve, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    await page.get_by_role("button", name="Next for me").click()
    await expect(page.locator(".request-head")).to_contain_text("You, 15 min left")
    await expect(page.locator(".contact-name")).to_have_text("Layla Haddad")

    await page.locator("button[name=answer][value=agreed]").click()
    await expect(page.get_by_role("status")).to_contain_text("Contact with the family")
    await page.get_by_role("link", name="Agree a visit").click()
    day = next_weekday()
    await page.get_by_label("Day", exact=True).fill(day.isoformat())
    await page.get_by_role("button", name="Propose pairs").click()
    await page.get_by_role("button", name="Agree with these two").first.click()
    await expect(page.locator(".request-head")).to_contain_text("Paired")
    await page.get_by_role("button", name="Family and pair know of it").click()
    await expect(page.locator(".request-head")).to_contain_text("Confirmed")

    await page.get_by_role("link", name="Letter to the family").click()
    await expect(page.locator("article.letter")).to_have_attribute("dir", "rtl")
    await page.goto(f"{desk.address}/day?day={day}")
    await expect(page.locator("article.sheet")).to_contain_text("Layla Haddad")
    assert [kind for kind in await desk.published() if kind.startswith(("family", "visit.s"))] == [
        "family.agreed.v1",
        "visit.scheduled.v1",
    ]


async def test_a_claim_is_undone_and_the_request_is_new_again(serve: Serve, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    await page.locator(".line").nth(2).get_by_role("button", name="Claim").click()
    await page.get_by_role("button", name="Undo the last change").click()
    await expect(page.locator(".request-head")).to_contain_text("New")
    await expect(page.locator(".timeline")).to_contain_text("Undone: Claimed")


async def test_ben_takes_over_from_ana_with_a_reason(serve: Serve, new_page: NewPage, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    address = await open_first(page)
    await page.get_by_role("button", name="Claim for 15 minutes").click()

    bens = await new_page(javascript=False)
    await desk.sign_in(bens, "ben", address.removeprefix(desk.address))
    await expect(bens.locator(".request-head")).to_contain_text("Ana Example, 15 min left")
    await bens.locator("summary", has_text="Take it over from Ana Example").click()
    await bens.get_by_role("button", name="Take over").click()
    await expect(bens.locator(".notice.bad")).to_contain_text("Choose one of these.")
    await bens.get_by_label("the family waits for a call").check()
    await bens.get_by_role("button", name="Take over").click()
    await expect(bens.locator(".request-head")).to_contain_text("You, 15 min left")
    await expect(bens.locator(".request-past")).to_contain_text("Taken over: the family waits for a call")


async def test_a_stale_form_shows_both_values_and_keeps_what_was_typed(
    serve: Serve, new_page: NewPage, either_page: Page, screenshots: Screenshots
) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    address = await open_first(page)
    second = await new_page(javascript=False)
    await desk.sign_in(second, "ana", address.removeprefix(desk.address))
    await second.get_by_label("Letter").check()
    await second.locator("button[name=answer][value=not_reached]").click()

    later = (today() + timedelta(days=9)).isoformat()
    await page.get_by_label("Text message").check()
    await page.get_by_label("Later: ask again on").fill(later)
    async with page.expect_response(lambda answer: answer.url.endswith("/contact")) as answered:
        await page.locator("button[name=answer][value=later]").click()
    assert (await answered.value).status == 409
    conflict = page.locator(".conflict")
    await expect(conflict).to_contain_text("Letter: Not reached")
    await expect(conflict).to_contain_text("Text message: Later")
    await screenshots(page, "desk-conflict")
    await expect(page.get_by_label("Text message")).to_be_checked()
    await expect(page.get_by_label("Later: ask again on")).to_have_value(later)
    await page.locator("button[name=answer][value=later]").click()
    await expect(page.locator(".request-head")).to_contain_text("waiting for the family")


async def test_a_decline_closes_and_the_family_can_have_it_reopened(serve: Serve, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    await open_first(page)
    await page.locator("button[name=answer][value=declined]").click()
    await expect(page.locator(".request-head")).to_contain_text("Closed: the family declined")
    await page.locator("summary", has_text="Reopen the request").click()
    await page.get_by_label("the family wishes it").check()
    await page.get_by_role("button", name="Reopen", exact=True).click()
    await expect(page.locator(".request-head")).to_contain_text("Contacting")


async def test_views_stand_in_the_address_and_names_never_do(serve: Serve, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    await page.locator("summary", has_text="Filters").click()
    await page.get_by_label("Language").select_option("pl")
    await page.get_by_label("needs an interpreter").check()
    await page.get_by_role("button", name="Show").click()
    assert "language=pl" in page.url
    assert "interpreter=yes" in page.url
    await expect(page.locator(".line")).to_have_count(1)
    view = page.url
    await open_first(page)
    await page.get_by_role("link", name="Back to the queue").click()
    assert page.url == view

    await page.get_by_role("searchbox").fill("Wisniewski")
    await page.get_by_role("button", name="Find").click()
    await expect(page.locator(".line-names")).to_contain_text("Katarzyna Wiśniewska")
    assert "isniew" not in page.url.lower()


async def test_a_visitor_is_registered_and_a_mistake_keeps_what_was_typed(serve: Serve, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/visitors/new")
    await page.get_by_label("Code, the name they sign in with").fill("Nobody Valid!")
    await page.get_by_label("Others, by code").fill("vi")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#fault-visitor_id")).to_contain_text("small letters")
    await expect(page.get_by_label("Others, by code")).to_have_value("vi")
    await page.get_by_label("Code, the name they sign in with").fill("lan")
    await page.get_by_label("Affiliation").select_option("agency")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    await page.goto(f"{desk.address}/visitors")
    await expect(page.locator("tbody tr", has_text="Community agency")).to_contain_text("Vietnamese")


async def test_the_coordinator_decides_the_policy(serve: Serve, either_page: Page) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "carl", "/policy")
    await page.get_by_label("First contact, within school days").fill("2")
    await page.get_by_role("button", name="Decide").click()
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    await expect(page.get_by_text("Version 1")).to_be_visible()


async def test_the_desk_is_not_there_for_others(serve: Serve, either_page: Page, new_page: NewPage) -> None:
    desk, page = await a_desk(serve), either_page
    await desk.sign_in(page, "ana", "/queue")
    path = (await open_first(page)).removeprefix(desk.address)
    for name in ("bea", "marisol", "audit"):
        other = await new_page(javascript=False)
        await desk.sign_in(other, name, "/sign-in")
        answer = await other.goto(desk.address + path)
        assert answer is not None
        assert answer.status == 404, name


def next_weekday() -> date:
    """Two days on, and no weekend."""
    day = today() + timedelta(days=2)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day
