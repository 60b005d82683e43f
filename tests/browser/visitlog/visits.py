"""Visits for the browser: agreed by the desk, with a family, and how a person fills in the form."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from playwright.async_api import Page, expect

from contracts import events
from tests.browser.site import Site
from tests.component.visit_events import contact, household, of_visit

YESTERDAY = datetime.now(UTC).replace(hour=21, minute=0, second=0, microsecond=0) - timedelta(days=1)


def visit_id(number: int) -> UUID:
    """The id of the numbered visit."""
    return UUID(int=0x0D << 120 | number)


def agreed(number: int = 1, **fields: Any) -> events.Event:
    """A visit of Marisol and Omar to the numbered household, yesterday unless said."""
    facts = {
        "visit_id": visit_id(number),
        "request_id": UUID(int=0x0C << 120 | number),
        "household_key": household(number),
        "pair": ["marisol", "omar"],
        "starts_at": YESTERDAY,
        "language": "es",
        "interpreter": True,
    }
    return of_visit(events.VisitScheduled, **facts | fields)


async def with_visits(site: Site, *visits: events.Event) -> None:
    """Bring the visits, and how to reach their families."""
    for number in range(1, 4):
        await site.deliver(
            "household-contacts",
            contact(number, contact_name=f"Family Number {number}", address=f"{number} Elm Street, Hartford"),
        )
    await site.deliver("home-visits", *(visits or (agreed(),)))


async def fill_in(page: Page, *, strengths: str = "She reads to her brother every evening.") -> None:
    """Fill in the form after a visit that took place, as a person would."""
    await page.get_by_label("It took place").check()
    await page.get_by_label("From").fill("16:00")
    await page.get_by_label("To", exact=True).fill("16:45")
    await page.get_by_label("Strengths of the student and the family").fill(strengths)
    await page.get_by_label("Barriers: health").check()
    await page.get_by_label("What", exact=True).fill("Clothes out the night before")


async def sent(page: Page) -> None:
    """Wait until the list says that the outbox has sent something."""
    await expect(page.locator("#outbox-said")).to_contain_text(re.compile("sent|envi"))
    await expect(page.locator("#outbox")).to_be_hidden()
