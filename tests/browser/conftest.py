"""Pages as people meet them: a real Chromium, a service on its own port, a real PostgreSQL.

The service runs inside the test, as its process would serve it but without a broker: what Kafka brings is delivered
with `site.deliver`, what it would publish stands in the outbox.

    async def test_ana_claims_a_request(serve: Serve, page: Page) -> None:
        desk = await serve("scheduling")
        await desk.sign_in(page, "ana")
        await page.get_by_role("button", name="Claim").click()
        assert await axe(page) == []
        await screenshots(page, "claimed")
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests import people
from tests.browser.looking import Screenshots, complaints_of
from tests.browser.site import Site, service_named, serving
from tests.conftest import ServiceDatabase
from tests.delivering import served

Serve = Callable[[str], Awaitable[Site]]
NewPage = Callable[..., Awaitable[Page]]

# A machine that does much else is slow, and slow is no failure.
PATIENCE_MS = 20_000
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def chromium_program() -> str | None:
    """Find an installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path is not None), None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One Chromium for the whole run; every page has a context, and so cookies, of its own."""
    program = chromium_program()
    if program is None:
        pytest.skip("not proved here: there is no Chromium; on Debian `apt-get install chromium` brings it")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def new_page(chromium: Browser) -> AsyncIterator[NewPage]:
    """A factory: `await new_page(javascript=False, language="es", width=320)`. What a page complains of fails."""
    async with AsyncExitStack() as contexts:
        complaints: list[str] = []

        async def make(*, javascript: bool = True, language: str = "en", width: int = 1280, height: int = 900) -> Page:
            context = await chromium.new_context(
                java_script_enabled=javascript,
                locale={"en": "en-US", "es": "es-US"}.get(language, language),
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
            )
            contexts.push_async_callback(context.close)
            page = await context.new_page()
            complaints_of(page, complaints)
            page.set_default_timeout(PATIENCE_MS)
            return page

        yield make
    assert complaints == []


@pytest_asyncio.fixture
async def page(new_page: NewPage) -> Page:
    """A page with JavaScript, in English, 1280 px wide."""
    return await new_page()


@pytest_asyncio.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
async def either_page(request: pytest.FixtureRequest, new_page: NewPage) -> Page:
    """The test runs twice: with JavaScript, and as everything must work too, without."""
    return await new_page(javascript=request.param)


@pytest_asyncio.fixture
async def serve(service_database: ServiceDatabase, tmp_path: Path) -> AsyncIterator[Serve]:
    """A factory: `await serve("scheduling")` serves that service on a port of its own and a new database."""
    async with AsyncExitStack() as running:

        async def start(name: str) -> Site:
            pool = await service_database(name)
            service = service_named(name)
            app = served(service, pool, people.people(tmp_path))
            address = await running.enter_async_context(serving(app))
            return Site(address=address, pool=pool, service=service)

        yield start


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Screenshots:
    """`await screenshots(page, "queue")` looks at 320, 768 and 1280 px; `--screenshots FOLDER` keeps the pictures."""
    folder = request.config.getoption("--screenshots")
    return Screenshots(Path(folder) if folder else None)
