"""What only runs with JavaScript: changes that show by themselves, and keys."""

from playwright.async_api import Page, expect

from services.runtime import clock
from services.runtime.web.people import Person
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.requests import claim
from services.scheduling.rules.bounds import Versioned
from tests.browser.conftest import Serve
from tests.browser.scheduling.test_desk_story import a_desk
from tests.browser.site import Site
from tests.component.scheduling.waiting import absences
from tests.component.visit_events import household
from tests.delivering import transactions

BEN = Person(name="ben", display_name="Ben Example", role="scheduler", scopes=frozenset({"hartford"}), language="en")


async def ben_claims(desk: Site, household_number: int) -> None:
    """Ben takes a family's request, somewhere else."""
    row = await desk.pool.fetchrow(
        "SELECT request_id, version FROM request WHERE household_key = $1", household(household_number)
    )
    assert row is not None
    async with transactions(desk.pool)() as tx:
        read = Versioned(version=row["version"])
        await claim(Act(tx=tx, person=BEN, as_of=clock.now(), subject=row["request_id"], sent=read))


async def listening(desk: Site, page: Page) -> None:
    """The queue, open at Ana's, with its stream running."""
    await desk.sign_in(page, "ana", "/help")
    async with page.expect_response(lambda answer: answer.url.endswith("/events")):
        await page.goto(f"{desk.address}/queue")
    # The first word of the stream: from now on nothing is missed.
    await page.wait_for_function("() => document.getElementById('live')?.dataset.ready === 'yes'")


async def line_of(desk: Site, household_number: int) -> str:
    """Where a family's line is."""
    key = await desk.pool.fetchval(
        "SELECT request_id FROM request WHERE household_key = $1", household(household_number)
    )
    return f"#row-{key}"


async def test_anothers_claim_shows_by_itself(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await listening(desk, page)
    line = page.locator(await line_of(desk, 2))
    await expect(line).to_contain_text("New")
    await ben_claims(desk, 2)
    await expect(line).to_contain_text("Ben Example, 15 min left")


async def test_the_line_being_read_keeps_its_place_and_its_words(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await listening(desk, page)
    line = page.locator(await line_of(desk, 3))
    await line.locator("a").focus()
    before = await line.bounding_box()
    await ben_claims(desk, 3)
    await expect(line.get_by_role("button", name="Changed meanwhile: show")).to_be_visible()
    await expect(line).not_to_contain_text("Ben Example")
    assert await line.bounding_box() == before
    await line.get_by_role("button", name="Changed meanwhile: show").click()
    await expect(line).to_contain_text("Ben Example")


async def test_new_lines_wait_behind_a_button_and_nothing_moves(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await listening(desk, page)
    first = page.locator(".line").first
    before = await first.bounding_box()
    await desk.deliver(
        "flags", *(absences(900 + n, missed=14, household_number=900 + n, school="H01") for n in range(3))
    )
    fresh = page.locator("#fresh")
    await expect(fresh).to_have_text("3 new")
    after = await first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] == before["y"]
    await expect(page.locator(".line")).to_have_count(8)
    await fresh.click()
    await expect(page.locator(".line")).to_have_count(11)


async def test_more_than_fit_one_question_are_compared_with_the_whole_page(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await listening(desk, page)
    await desk.deliver(
        "flags", *(absences(2000 + n, missed=14, household_number=2000 + n, school="H01") for n in range(30))
    )
    await expect(page.locator("#fresh")).to_have_text("30 new")


async def test_an_open_request_says_that_somebody_changed_it(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await listening(desk, page)
    await page.locator(f"{await line_of(desk, 1)} .line-why").click()
    await page.wait_for_function("() => document.getElementById('watched')?.dataset.ready === 'yes'")
    await page.get_by_label("Later: ask again on").fill("2027-01-11")
    await ben_claims(desk, 1)
    await expect(page.locator("#changed-meanwhile")).to_be_visible()
    await expect(page.get_by_label("Later: ask again on")).to_have_value("2027-01-11")


async def test_a_contact_takes_two_keys_and_the_rest_one(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await desk.sign_in(page, "ana", "/queue")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("c")
    await expect(page.locator(".request-head")).to_contain_text("You, 15 min left")
    await page.keyboard.press("2")
    await page.keyboard.press("n")
    await expect(page.locator(".request-past")).to_contain_text("Text message: Not reached")
    await page.keyboard.press("u")
    await expect(page.locator(".request-past")).to_contain_text("Undone")
    await page.keyboard.press("3")
    await page.keyboard.press("Escape")
    await page.keyboard.press("q")
    await page.wait_for_url("**/queue")
    await page.keyboard.press("/")
    await page.keyboard.type("nnn")
    await expect(page.get_by_role("searchbox")).to_have_value("nnn")
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await page.wait_for_url("**/requests/*")
    await page.keyboard.press("?")
    await page.wait_for_url("**/help")


async def test_single_keys_can_be_switched_off(serve: Serve, page: Page) -> None:
    desk = await a_desk(serve)
    await desk.sign_in(page, "ana", "/help")
    await page.get_by_role("button", name="Switch single keys off").click()
    await page.goto(f"{desk.address}/queue")
    await page.keyboard.press("n")
    await page.keyboard.press("y")
    await page.locator(".line-why").first.focus()
    assert page.url.endswith("/queue")
    await expect(page.locator("[data-key]")).to_have_count(0)
