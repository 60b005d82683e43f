"""What tests ask of flagging: its answers over HTTP, what it told of months and days, and its timer's look."""

from datetime import date
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx

from contracts.events import SchoolDayTalliedV2, StudentMonthsTallied
from services.flagging.app import service
from services.flagging.handlers import settling
from services.runtime.delivery.publisher import Publisher
from services.runtime.service import Context
from tests import people
from tests.component.flagging.builders import published
from tests.delivering import RecordingPublisher, served
from tests.zones import HERE

Pool = asyncpg.Pool


async def settle(pool: "Pool[asyncpg.Record]") -> None:
    """Let the timer look at every school."""
    context = Context(
        service.settings.model_construct(time_zone=HERE.key),
        pool,
        cast("Publisher", RecordingPublisher()),
        service=service.name,
    )
    await settling.settle(context)
    await settling.judge_due(context)


async def months(pool: "Pool[asyncpg.Record]") -> dict[tuple[UUID, date], tuple[int, int, int]]:
    """Give the newest (absent, enrolled, version) of each student's month over all schools, as reporting does."""
    newest: dict[tuple[UUID, date, str], tuple[int, int, int]] = {}
    for event in await published(pool, "school-months"):
        assert isinstance(event, StudentMonthsTallied)
        for who, absent, enrolled in zip(event.students, event.days_absent, event.days_enrolled, strict=True):
            newest[who, event.month, event.school] = (absent, enrolled, event.version)
    return {(who, month): figures for (who, month, _), figures in newest.items()}


async def school_day(pool: "Pool[asyncpg.Record]", day: date, school: str = "H01") -> tuple[int, int]:
    """Give the newest (counted, absent) of a school's day."""
    told = cast("list[SchoolDayTalliedV2]", await published(pool, "day-tallies"))
    newest = max(
        (each for each in told if (each.school, each.school_day) == (school, day)), key=lambda each: each.version
    )
    return newest.students_counted, newest.students_absent


def client(pool: "Pool[asyncpg.Record]", person: str = "dana") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=served(service, pool, people.everybody()))
    return httpx.AsyncClient(transport=transport, base_url="http://flagging", headers=people.headers(person))


async def ask(pool: "Pool[asyncpg.Record]", path: str, person: str = "dana") -> Any:
    async with client(pool, person) as http:
        response = await http.get(path)
    assert response.status_code == 200, response.text
    return response.json()
