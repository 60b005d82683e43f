"""Every page of the visit log: axe-core finds nothing, nothing hangs over the side, in English and in Spanish."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright._impl._api_structures import SetCookieParam

from tests.browser.conftest import NewPage, Serve
from tests.browser.looking import Screenshots, axe
from tests.browser.visitlog.visits import agreed, fill_in, sent, visit_id, with_visits


@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_page_is_accessible_and_fits(
    serve: Serve, new_page: NewPage, screenshots: Screenshots, language: str
) -> None:
    site = await serve("visitlog")
    now = datetime.now(UTC)
    await with_visits(
        site,
        agreed(1),
        agreed(2, starts_at=now + timedelta(days=2), place="community", follow_up=True),
        agreed(3, starts_at=now - timedelta(days=12)),
        agreed(4, starts_at=now - timedelta(days=3)),
    )
    page = await new_page()
    await site.sign_in(page, "marisol", f"/visits/{visit_id(4)}/log")
    await fill_in(page)
    await page.get_by_label("Nobody was home").check()
    await page.get_by_role("button", name="Save the log").click()
    await sent(page)

    async def look(path: str, name: str) -> None:
        await page.goto(site.address + path)
        await page.wait_for_load_state("networkidle")
        assert await axe(page) == [], name
        await screenshots(page, f"{name}-{language}")

    in_language: SetCookieParam = {"name": "language", "value": language, "url": site.address}
    await page.context.add_cookies([in_language])
    await look("/", "log-list")
    await look(f"/visits/{visit_id(1)}", "log-visit")
    await look(f"/visits/{visit_id(1)}/log", "log-form-empty")
    await page.locator("#outcome-took_place").check()
    for details in await page.locator("details:visible > summary").all():
        await details.click()
    assert await axe(page) == []
    await screenshots(page, f"log-form-{language}")
    await page.locator("#start").fill("16:00")
    await page.locator("#end").fill("16:45")
    await page.locator('[id="voice.hopes"]').fill("Casa tranquila, tres hermanos.")
    await page.locator('[id="small_step.what"]').fill("Ropa lista la noche anterior")
    await page.locator('[id="referrals.0.resource"]').select_option("winter_clothing")
    await page.locator('[id="efforts.0.travel_minutes"]').fill("25")
    await page.locator("#save").click()
    await sent(page)
    log_id = await site.pool.fetchval("SELECT log_id FROM visit_log WHERE visit_id = $1", visit_id(1))
    await look(f"/logs/{log_id}", "log-log")
    await page.goto(f"{site.address}/offline")
    assert await axe(page) == []

    office = await new_page()
    await office.context.add_cookies([in_language])
    await site.sign_in(office, "carl", "/office")
    for view in ("missing", "questions", "notes", "pay"):
        await office.goto(f"{site.address}/office?view={view}")
        assert await axe(office) == [], view
        await screenshots(office, f"log-office-{view}-{language}")
    await office.goto(f"{site.address}/disclosures")
    assert await axe(office) == []
    await screenshots(office, f"log-disclosures-{language}")
