"""The policy's page as a coordinator works on it: mouse and keyboard, with and without scripts, alone or not."""

import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots, axe
from tests.browser.site import Site
from tests.component.scheduling.waiting import today


def school_day(*, ahead: int) -> date:
    """A weekday so many days on, or the one after it."""
    day = today() + timedelta(days=ahead)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def field(page: Page, number: int) -> Locator:
    """One further field of the log, as it stands on the form."""
    return page.get_by_role("group", name=f"Field {number}")


async def write(page: Page, number: int, *, english: str, code: str, spanish: str = "", kind: str = "words") -> None:
    await field(page, number).get_by_label("Question in English").fill(english)
    await field(page, number).get_by_label("Question in Spanish").fill(spanish)
    await field(page, number).get_by_label("Answered by").select_option(label=kind)
    await field(page, number).get_by_label("Code").fill(code)


async def decide(page: Page) -> None:
    await page.get_by_role("button", name="Decide").click()


async def told(desk: Site) -> list[dict[str, Any]]:
    """The decisions as their topic hears of them, oldest first."""
    rows = await desk.pool.fetch("SELECT payload FROM outbox WHERE topic = 'district-policies' ORDER BY id")
    return [json.loads(row["payload"]) for row in rows]


async def test_a_field_is_added_changed_and_taken_off(serve: Serve, either_page: Page) -> None:
    desk, page = await serve("scheduling"), either_page
    await desk.sign_in(page, "carl", "/policy")
    await page.get_by_label("Tries before").fill("4")
    await page.get_by_role("button", name="Add a field").click()
    await expect(page.get_by_label("Tries before")).to_have_value("4")
    await write(page, 1, english="Where is home?", spanish="¿Dónde?", code="home_is", kind="one of some choices")
    await field(page, 1).get_by_label("Choices, one a line").fill("near = Near | Cerca\nfar = Far away")
    await page.get_by_role("button", name="Add a field").click()
    await write(page, 2, english="Bus line", code="bus")
    await decide(page)
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    await expect(field(page, 1).get_by_label("Choices, one a line")).to_have_value(
        "near = Near | Cerca\nfar = Far away"
    )

    await field(page, 1).get_by_label("Take this field off the log").check()
    await field(page, 2).get_by_label("Answered by").select_option(label="yes or no")
    await decide(page)
    await expect(page.get_by_text("Version 2, in force")).to_be_visible()
    await expect(field(page, 1).get_by_label("Code")).to_have_value("bus")
    await expect(field(page, 2)).to_have_count(0)

    first, second = await told(desk)
    assert [(each["code"], each["kind"]) for each in first["log"]["extra_fields"]] == [
        ("home_is", "choice"), ("bus", "text"),
    ]  # fmt: skip
    assert first["desk"]["tries"] == 4
    assert [choice["labels"] for choice in first["log"]["extra_fields"][0]["choices"]] == [
        {"en": "Near", "es": "Cerca"}, {"en": "Far away"},
    ]  # fmt: skip
    assert [(each["code"], each["kind"]) for each in second["log"]["extra_fields"]] == [("bus", "yes_no")]


async def test_all_of_it_is_done_from_the_keyboard_and_enter_decides(serve: Serve, either_page: Page) -> None:
    desk, page = await serve("scheduling"), either_page
    await desk.sign_in(page, "carl", "/policy")
    await page.get_by_role("button", name="Add a field").focus()
    await page.keyboard.press("Enter")
    # The new row's first input has the focus: who pressed the button goes on typing.
    await expect(field(page, 1).get_by_label("Question in English")).to_be_focused()
    await page.keyboard.type("Bus line")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("a whole")
    await page.keyboard.press("Tab")
    await page.keyboard.type("bus")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    (decision,) = await told(desk)
    assert [(each["code"], each["kind"]) for each in decision["log"]["extra_fields"]] == [("bus", "number")]


async def test_tab_never_stops_at_something_unseen(serve: Serve, page: Page) -> None:
    desk = await serve("scheduling")
    await desk.sign_in(page, "carl", "/policy?more=field")
    await page.get_by_label("Days enrolled before").focus()
    for _ in range(60):
        await page.keyboard.press("Tab")
        box = await page.evaluate(
            "(({width, height}) => [width, height])(document.activeElement.getBoundingClientRect())"
        )
        assert min(box) > 1, await page.evaluate("document.activeElement.outerHTML")
        if await page.evaluate("document.activeElement.textContent") == "Decide":
            return
    pytest.fail("the way leads to the button that decides")


async def test_a_mistake_stands_beside_its_input_and_nothing_typed_is_lost(
    serve: Serve, either_page: Page, screenshots: Screenshots
) -> None:
    desk, page = await serve("scheduling"), either_page
    await desk.sign_in(page, "carl", "/policy")
    await page.get_by_label("In force from school day").fill(school_day(ahead=40).isoformat())
    await page.get_by_role("button", name="Add a field").click()
    await write(page, 1, english="Bus line", code="Bus line!")
    await page.get_by_role("button", name="Add a field").click()
    await write(page, 2, english="Where is home?", code="home_is", kind="one of some choices")
    await decide(page)

    code = field(page, 1).get_by_label("Code")
    await expect(code).to_have_attribute("aria-invalid", "true")
    await expect(code).to_have_accessible_description(
        re.compile("Give a code of small letters, digits and underscores, such as bus_stop.")
    )
    await expect(code).to_have_value("Bus line!")
    await expect(page.get_by_label("In force from school day")).to_have_value(school_day(ahead=40).isoformat())
    await page.get_by_role("alert").get_by_role("link", name="Give a code").click()
    await expect(code).to_be_focused()
    await screenshots(page, "policy-mistake")
    await code.fill("bus")
    await decide(page)
    await expect(field(page, 2).get_by_label("Choices, one a line")).to_have_accessible_description(
        re.compile("A field with choices needs at least one; write it")
    )
    await field(page, 2).get_by_label("Choices, one a line").fill("near = Near")
    await decide(page)
    await expect(page.get_by_role("status")).to_contain_text("It waits for")
    assert [decision["effective_from"] for decision in await told(desk)] == [school_day(ahead=40).isoformat()]


async def test_two_coordinators_at_once_are_told_and_both_decisions_can_be_read(
    serve: Serve, new_page: NewPage, either_page: Page, screenshots: Screenshots
) -> None:
    desk, page = await serve("scheduling"), either_page
    await desk.sign_in(page, "carl", "/policy?more=field")
    await write(page, 1, english="Bus line", code="bus")
    second = await new_page(javascript=False)
    await desk.sign_in(second, "carl", "/policy?more=field")
    await write(second, 1, english="Which gym?", code="gym")
    await decide(second)
    await expect(second.get_by_role("status")).to_contain_text("Saved.")

    await decide(page)
    conflict = page.locator(".conflict")
    await expect(conflict).to_contain_text("Somebody was faster; nothing of yours was saved yet.")
    row = conflict.get_by_role("row", name="Further fields of the log")
    await expect(row).to_contain_text("gym: Which gym? (words)")
    await expect(row).to_contain_text("bus: Bus line (words)")
    await expect(field(page, 1).get_by_label("Code")).to_have_value("bus")
    assert [decision["version"] for decision in await told(desk)] == [1]
    await screenshots(page, "policy-conflict")

    await page.get_by_role("button", name="Add a field").click()
    await write(page, 2, english="Which gym?", code="gym")
    await decide(page)
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    assert [[each["code"] for each in decision["log"]["extra_fields"]] for decision in await told(desk)] == [
        ["gym"], ["bus", "gym"],
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "es"])
async def test_the_page_with_fields_is_clean_and_fits(
    serve: Serve, new_page: NewPage, screenshots: Screenshots, language: str
) -> None:
    desk = await serve("scheduling")
    page = await new_page()
    await desk.sign_in(page, "carl", "/policy?more=field")
    await write(page, 1, english="Where is home?", spanish="¿Dónde está el hogar?", code="home_is",
                kind="one of some choices")  # fmt: skip
    await field(page, 1).get_by_label("Choices, one a line").fill("near = Near the school | Cerca de la escuela")
    await decide(page)
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    await page.context.add_cookies([{"name": "language", "value": language, "url": desk.address}])
    for name, person, path in (
        ("decided", "carl", "/policy?said=saved"),
        ("one-more", "carl", "/policy?more=field"),
        ("read", "ana", "/policy"),
    ):
        await page.context.clear_cookies()
        await desk.sign_in(page, person, path)
        await page.context.add_cookies([{"name": "language", "value": language, "url": desk.address}])
        await page.goto(desk.address + path)
        assert await axe(page) == [], name
        await screenshots(page, f"policy-{name}-{language}")
