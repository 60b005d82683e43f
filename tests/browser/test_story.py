"""The whole story as people live it: from a district's upload to a line in the report, and a flag that was wrong.

Five services on a real broker and a real database; everything after the upload is clicked and typed.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect
from rich.console import Console

from contracts.services import SERVICES
from deploy.commands import push, story
from deploy.commands.screen import Screen
from tests import people
from tests.browser.conftest import NewPage
from tests.browser.site import sign_in
from tests.browser.visitlog.visits import fill_in
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.zones import HERE

TUESDAY, THURSDAY, FRIDAY, MONDAY = (date(2026, 10, day) for day in (20, 22, 23, 26))
PHONE = {"width": 360, "height": 740}


@dataclass(frozen=True, slots=True)
class Town:
    """Hartford: its services, its clock, and the district office that sends records."""

    stack: Stack

    def it_is(self, day: date, hour: int) -> None:
        """Move the services' clock."""
        self.stack.it_is(datetime(day.year, day.month, day.day, hour, tzinfo=HERE))

    def address(self, service: str) -> str:
        """Where people find the service."""
        return self.stack.processes[service].address

    async def send(self, kind: str, records: list[dict[str, Any]]) -> None:
        """Upload records as the district's office does, and wait until each is accepted."""
        (receipt,) = await asyncio.to_thread(
            push.upload,
            Screen(as_json=True, progress=Console(quiet=True)),
            [push.ndjson(kind, records)],
            address=self.address("ingest"),
            district=story.DISTRICT,
            token=f"test-token-of-{story.DISTRICT}",
        )
        assert (receipt["accepted"], receipt["rejected_rows"]) == (len(records), 0)

    async def know_the_pair(self) -> None:
        """Register the two visitors, if nobody has."""
        async with httpx.AsyncClient(base_url=self.address("scheduling"), headers=people.headers("carl")) as http:
            for visitor in story.PAIR:
                facts = {
                    "visitor_id": visitor,
                    "district": story.DISTRICT,
                    "languages": ["en", "es"],
                    "leap101_valid_from": str(TUESDAY - timedelta(days=60)),
                    "leap101_valid_until": str(TUESDAY + timedelta(days=600)),
                }
                assert (await http.post("/v1/visitors", json=facts)).status_code in (201, 409)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """All five services, in an October that a test can move."""
    stack = await start_stack(tmp_path_factory.mktemp("story"), (story.DISTRICT,), ())
    running = Town(stack)
    running.it_is(TUESDAY, 9)
    try:
        await asyncio.gather(*(stack.start(name) for name in SERVICES))
        await running.know_the_pair()
        yield running
    finally:
        await stack.stop()


async def comes(page: Page, locator: Locator, count: int, what: str) -> None:
    """Load the page again, as people do, until what should come is there."""

    async def there() -> bool:
        await page.reload()
        return await locator.count() == count

    await eventually(there, what)


@pytest.mark.parametrize(
    ("javascript", "begins", "visited_on"),
    [(True, TUESDAY, THURSDAY), (False, FRIDAY, MONDAY)],
    ids=["with JavaScript", "without JavaScript"],
)
async def test_from_three_absences_to_a_line_in_the_report(
    town: Town, new_page: NewPage, javascript: bool, begins: date, visited_on: date
) -> None:
    town.it_is(begins, 9)
    school = story.School(today=TUESDAY)
    await town.send("roster", school.roster())
    await town.send(
        "attendance",
        [
            *school.marks(school.first, story.ABSENT, "unexcused_absence"),
            *school.marks(school.second, story.LATER_CORRECTED, "unexcused_absence"),
            *school.rolls(),
        ],
    )

    desk = await new_page(javascript=javascript)
    await sign_in(desk, town.address("scheduling"), "ana", "/queue?stage=new")
    await comes(desk, desk.locator(".line"), 2, "both requests are on the desk")
    both = dict([await ana_reads(desk, nth) for nth in range(2)])
    assert both.keys() == {school.first.given_name, school.second.given_name}

    report = await new_page(javascript=javascript)
    await sign_in(report, town.address("reporting"), "dana")
    before = await visited(report)

    await desk.goto(both[school.first.given_name])
    await ana_arranges_the_visit(desk, visited_on)
    town.it_is(visited_on, 18)
    phone = await new_page(javascript=javascript, **PHONE)
    await sign_in(phone, town.address("visitlog"), "marisol")
    await marisol_writes_the_log(phone)

    async def one_more() -> bool:
        await report.reload()
        return await visited(report) == before + 1

    await eventually(one_more, "the line in the report")
    await desk.reload()
    await expect(desk.locator(".request-head")).to_contain_text("Logged")

    await desk.goto(both[school.second.given_name])
    await town.send("attendance", school.marks(school.second, story.LATER_CORRECTED, "in_attendance"))
    if javascript:  # the page says by itself that it is old; without, whoever loads it again sees it
        await desk.get_by_role("link", name="Show it as it is now").click(timeout=60_000)
    await comes(desk, desk.locator(".request-head", has_text="Closed"), 1, "the request is withdrawn")
    await expect(desk.locator(".request-head")).to_contain_text("2 absences were corrected to present; now 0 %.")
    await expect(desk.locator(".day.changed:visible")).to_have_count(3)  # two days, and the legend's
    await expect(desk.locator(".timeline").last).to_contain_text("Withdrawn: no flag is left")


async def ana_reads(desk: Page, nth: int) -> tuple[str, str]:
    """Open a request of the queue, read why it is here; the child's name and the page's address."""
    await desk.locator(".line-why").nth(nth).click()
    await desk.wait_for_url("**/requests/*")
    await expect(desk.locator("h1 .why-days").first).to_be_visible()
    absent = await desk.locator("#days .day.missed:visible").count() - 1  # one is the legend's
    await expect(desk.locator("#days")).to_contain_text(f"Absent {absent} of {story.SCHOOL_DAYS} days enrolled")
    name = await desk.locator("#days h3").inner_text()
    address = desk.url
    await desk.go_back()
    return name.split()[0], address


async def ana_arranges_the_visit(desk: Page, day: date) -> None:
    """Claim, call, agree on a day with a pair, and tell both."""
    await desk.get_by_role("button", name="Claim for 15 minutes").click()
    await expect(desk.locator(".request-head")).to_contain_text("You, 15 min left")
    await desk.get_by_label("Call").check()
    await desk.locator("button[name=answer][value=agreed]").click()
    await desk.get_by_role("link", name="Agree a visit").click()
    await desk.get_by_label("Day", exact=True).fill(day.isoformat())
    await desk.get_by_label("From", exact=True).fill("16:00")
    await desk.get_by_role("button", name="Propose pairs").click()
    await desk.get_by_role("button", name="Agree with these two").first.click()
    await expect(desk.locator(".request-head")).to_contain_text("Paired")
    await desk.get_by_role("button", name="Family and pair know of it").click()
    await expect(desk.locator(".request-head")).to_contain_text("Confirmed")


async def marisol_writes_the_log(phone: Page) -> None:
    """Find the visit among one's own, and write what happened, on a telephone."""
    write = phone.get_by_role("link", name="Write the log")
    await comes(phone, write, 1, "the visit log expects the log")
    await write.click()
    await fill_in(phone)
    await phone.get_by_role("button", name="Save the log").click()
    await phone.wait_for_url(lambda url: "/visits/" not in url)
    await phone.get_by_role("link", name="My visits").first.click()
    await comes(phone, write, 0, "the log is written")
    await expect(phone.get_by_role("link", name="Read the log").first).to_be_visible()


async def visited(report: Page) -> int:
    """The households visited, as the table of the report says it; none where there is no table yet."""
    funnel = report.locator("#funnel table")
    if not await funnel.count():
        return 0
    headings = await funnel.locator("thead th.number").all_inner_texts()
    return int(await funnel.locator("tbody td.number").nth(headings.index("Visited")).inner_text())
