"""The pages every service has: signing in, and a problem told."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests import people, vouched
from tests.browser.conftest import NewPage
from tests.browser.looking import Screenshots, axe
from tests.browser.site import Site, serving
from tests.delivering import served
from tests.sessions import SessionsInMemory
from tests.unit.runtime import little
from tests.vouched import MARISOL, Running, running_provider

NO_DATABASE: Any = None


@pytest_asyncio.fixture
async def notes(tmp_path: Path) -> AsyncIterator[Site]:
    """The little service, which keeps nothing and needs no database."""
    async with serving(served(little.service, NO_DATABASE, people.people(tmp_path))) as address:
        yield Site(address=address, pool=NO_DATABASE, service=little.service)


async def test_somebody_signs_in_reads_in_spanish_and_leaves(notes: Site, either_page: Page) -> None:
    page = either_page
    await notes.sign_in(page, "ana", "/?count=3")
    assert await page.locator("h1").inner_text() == "Hello, Ana Example"
    await page.get_by_role("button", name="Español").click()
    assert await page.locator("h1").inner_text() == "Hola, Ana Example"
    assert page.url.endswith("/?count=3"), "the same page, in another language"
    await page.get_by_role("button", name="Cerrar sesión").click()
    assert await page.locator("h1").inner_text() == "Iniciar sesión"
    await page.goto(notes.address)
    assert "/sign-in" in page.url


async def test_a_wrong_key_is_said_aloud_and_the_name_is_kept(notes: Site, either_page: Page) -> None:
    page = either_page
    await page.goto(notes.address)
    await page.get_by_label("Your name").fill("ana")
    await page.get_by_label("Your key").fill("wrong")
    await page.keyboard.press("Enter")
    assert "don't go together" in await page.get_by_role("alert").inner_text()
    assert await page.get_by_label("Your name").input_value() == "ana"
    assert await page.get_by_label("Your key").input_value() == ""


@pytest.mark.parametrize("language", ["en", "es", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nobody_is_kept_out_by_how_the_pages_look(
    notes: Site, new_page: NewPage, screenshots: Screenshots, language: str, scheme: Any
) -> None:
    page = await new_page(language=language)
    await page.emulate_media(color_scheme=scheme)
    for path, name in (("/sign-in", "sign-in"), ("/nowhere", "problem")):
        await page.goto(notes.address + path)
        assert await axe(page) == []
        await screenshots(page, f"{name}-{language}-{scheme}")
    # What was clicked goes before Ana's own language.
    await page.context.add_cookies([{"name": "language", "value": language, "url": notes.address}])
    await notes.sign_in(page, "ana")
    assert await axe(page) == []
    await screenshots(page, f"start-{language}-{scheme}")


async def test_the_keyboard_alone_goes_everywhere(notes: Site, page: Page) -> None:
    await page.goto(f"{notes.address}/sign-in")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "name"
    await page.keyboard.type("ana")
    await page.keyboard.press("Tab")
    await page.keyboard.type(people.key_of("ana"))
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Hello").wait_for()


async def test_a_session_that_ended_leads_an_htmx_page_to_sign_in(notes: Site, page: Page) -> None:
    await notes.sign_in(page, "ana")
    await page.context.clear_cookies()
    await page.evaluate("htmx.ajax('GET', '/?count=1', {target: 'main'})")
    await page.wait_for_url("**/sign-in?next=/")


@pytest_asyncio.fixture
async def vouched_notes(tmp_path: Path) -> AsyncIterator[tuple[Site, Running]]:
    """The little service, and a provider that vouches for Marisol."""
    with running_provider() as provider:
        provider.knows("s-1", MARISOL)
        kept = SessionsInMemory()
        app = served(little.service, NO_DATABASE, vouched.admission(tmp_path, provider.address, kept))
        async with serving(app) as address:
            yield Site(address=address, pool=NO_DATABASE, service=little.service), provider


async def test_somebody_signs_in_with_their_organisation_and_leaves_both(
    vouched_notes: tuple[Site, Running], either_page: Page
) -> None:
    notes, provider = vouched_notes
    page = either_page
    # The provider's page fetches its looks from elsewhere, and would wait for them where there is no way out.
    await page.route(re.compile(r"^https:"), lambda route: route.abort())
    await page.goto(f"{notes.address}/?count=3")
    await page.get_by_role("link", name="Sign in with The Valley").click()
    await page.locator("input[name=sub]").fill("s-1")
    await page.get_by_role("button", name="Authorize").click()
    await page.wait_for_url(f"{notes.address}/?count=3")
    assert await page.locator("h1").inner_text() == "Hola, Marisol Vega"
    await page.get_by_role("button", name="Cerrar sesión").click()
    await page.get_by_role("link", name="Sign out of The Valley too").click()
    await page.wait_for_url(f"{provider.address}/**")


@pytest.mark.parametrize(("language", "said"), [("en", "Sign in with"), ("es", "Iniciar sesión con")])
async def test_the_way_with_the_organisation_is_offered_in_both_languages(
    vouched_notes: tuple[Site, Running], new_page: NewPage, screenshots: Screenshots, language: str, said: str
) -> None:
    notes, _ = vouched_notes
    page = await new_page(language=language)
    for path, name in (("/sign-in", "sign-in-provider"), ("/sign-in?left=valley", "left-provider")):
        await page.goto(notes.address + path)
        assert await page.get_by_role("link", name=f"{said} The Valley").is_visible()
        assert await axe(page) == []
        await screenshots(page, f"{name}-{language}")
