"""Each service with one household in it, whose names, words, note and days nobody else has."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from contracts import events
from services.flagging.app import service as flagging
from services.reporting.app import service as reporting
from services.scheduling.app import service as scheduling
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.requests import RecordAttempt, record_attempt
from services.scheduling.rules.visits import Answer, Way
from tests import people
from tests.component.disclosures.asking import ADDRESS, AMENDED, CHILD, NAME, NOTED, PHONE, SAID, Doors, Sent
from tests.component.flagging import builders
from tests.component.flagging.builders import Feeder
from tests.component.scheduling.desk import ANA, ahead, appoint, register, shown
from tests.component.scheduling.waiting import absences, calendar
from tests.component.visit_events import World, contact, flag, household, of_visit, student
from tests.component.visitlog.conftest import VisitLog
from tests.delivering import served, transactions

Pool = asyncpg.Pool
HOUSEHOLD = household(1)
NOBODY = str(UUID(int=0x99))


def _contact() -> events.HouseholdContactChanged:
    child = {"student_key": student(1), "given_name": CHILD, "family_name": "Vexmoor"}
    return contact(contact_name=NAME, phones=[PHONE], address=f"17 {ADDRESS} Street", students=[child])


async def the_desk(pool: "Pool[asyncpg.Record]", folder: Path) -> Doors:
    """A request of a child who missed 11 of 45 days, with a visit agreed for next week."""
    everybody = people.people(folder)
    world = World(pool, scheduling, everybody)
    await world.deliver("household-contacts", _contact())
    await world.deliver("calendars", calendar())
    await world.deliver("absence-flags", absences(1, missed=11, household_number=1))
    row = await pool.fetchrow("SELECT request_id, version FROM request WHERE household_key = $1", HOUSEHOLD)
    assert row is not None
    async with transactions(pool)() as tx:
        yes = RecordAttempt(version=row["version"], way=Way.CALL, answer=Answer.AGREED)
        now = datetime.now(UTC)
        await record_attempt(Act(tx=tx, person=ANA, as_of=now, subject=row["request_id"], sent=yes))
    await register(world, "marisol", "omar", languages=["en", "es"])
    paired = await appoint(world, await shown(world, str(row["request_id"])))
    assert paired.status_code == 200, paired.text
    await world.http.aclose()
    visit_day = str(ahead().date())
    window = {"begins_at": ahead(9).isoformat(), "ends_at": ahead(18).isoformat()}
    form = {"day": visit_day, "time": "16:00", "until": "19:00", "minutes": "60", "place": "home", "language": "es"}
    return Doors(
        app=served(scheduling, pool, everybody),
        pool=pool,
        household_key=HOUSEHOLD,
        # In words, as a figure, and as a day in a month's table of a page.
        days=re.compile(r"\b11 of 45\b|\"days_absent\":\s*11\b"),
        addresses={
            "request_id": str(row["request_id"]),
            "visit_id": paired.json()["visit_id"],
            "visitor_id": "marisol",
            "district": "hartford",
            "household_key": str(HOUSEHOLD),
        },
        sent={
            "GET /queue/rows": (
                Sent(query={"ids": str(row["request_id"])}),
                Sent(query={"ids": f"{row['request_id']}.1"}),
            ),
            "GET /day": (Sent(query={"day": visit_day}),),
            "GET /v1/day-sheet": (Sent(query={"district": "hartford", "day": visit_day, "visitor": "marisol"}),),
            "GET /v1/requests/{request_id}/pairs": (Sent(query=window),),
            "GET /v1/proposals": (Sent(query={"district": "hartford", "day": visit_day, "iterations": 5}),),
            "POST /search": tuple(Sent(form={"words": words}) for words in ("", "Quenzabel", "5550187", "zzz qqq")),
            "POST /disclosures/find": tuple(Sent(form={"words": words}) for words in ("", NAME.upper(), "Quenzabel")),
            "POST /v1/households/sought": tuple(Sent(json={"name": name}) for name in (NAME, "Nobody at all")),
            "POST /requests/{request_id}/pairs": (Sent(), Sent(form=form)),
            "GET /v1/policies": (Sent(query={"district": "hartford"}),),
            "GET /v1/visitors": (Sent(query={"district": "hartford"}),),
        },
    )


async def the_visit_log(pool: "Pool[asyncpg.Record]", folder: Path) -> Doors:
    """A visit that was logged with words and a note, and one that lies ahead; a log that stands against another."""
    world = VisitLog(pool, folder)
    now = datetime.now(UTC).replace(microsecond=0)
    first, second = UUID(int=0x0D << 120 | 1), UUID(int=0x0D << 120 | 2)
    await world.deliver("household-contacts", _contact())
    for visit_id, starts_at in ((first, now - timedelta(days=2)), (second, now + timedelta(hours=3))):
        await world.deliver(
            "home-visits",
            of_visit(
                events.VisitScheduled,
                visit_id=visit_id,
                request_id=uuid4(),
                pair=["marisol", "omar"],
                starts_at=starts_at,
                minutes=45,
            ),
        )
    log_id = uuid4()
    body: dict[str, Any] = {
        "visit_id": str(first),
        "outcome": "took_place",
        "started_at": (now - timedelta(days=2)).isoformat(),
        "ended_at": (now - timedelta(days=2) + timedelta(minutes=40)).isoformat(),
        "pair": ["marisol", "omar"],
        "voice": {"hopes": SAID},
        "private_note": NOTED,
        "referrals": [{"resource": "food"}],
    }
    written = await world.http.put(f"/v1/visit-logs/{log_id}", json=body)
    assert written.status_code == 201, written.text
    amended = await world.http.post(f"/v1/visit-logs/{log_id}/amendments", json={"note": AMENDED})
    assert amended.status_code == 201, amended.text
    app = world._app
    await world.http.aclose()
    local = (now - timedelta(days=2)).astimezone(world.zone)
    form = {
        "outcome": "took_place",
        "day": local.date().isoformat(),
        "start": local.strftime("%H:%M"),
        "pair": ["marisol", "omar"],
    }
    end = {"end": (local + timedelta(minutes=30)).strftime("%H:%M")}
    return Doors(
        app=app,
        pool=pool,
        household_key=HOUSEHOLD,
        days=re.compile(r"(?!)"),
        addresses={
            "visit": str(second),
            "log": str(log_id),
            "client": str(log_id),
            "client_id": str(log_id),
            "referral": NOBODY,
            "referral_id": NOBODY,
            "district": "hartford",
            "household_key": str(HOUSEHOLD),
        },
        sent={
            "GET /office": tuple(Sent(query={"view": view}) for view in ("missing", "questions", "notes", "pay")),
            "PUT /v1/visit-logs/{client_id}": (Sent(), Sent(json=body | {"voice": {}, "private_note": None})),
            "POST /visits/{visit}/logs/{client}": (Sent(), Sent(form=form), Sent(form=form | end)),
            "PUT /visits/{visit}/logs/{client}": (Sent(), Sent(form=form | end)),
        },
    )


async def flagged_children(pool: "Pool[asyncpg.Record]") -> Doors:
    """A child of a household who missed 7 of 23 days."""
    child, days = builders.student(1), builders.school_days(23)
    marks = [builders.mark(child, day) for day in days[:7]]
    facts = [builders.calendar(days), builders.stint(child, household_key=HOUSEHOLD)]
    await Feeder(pool).feed([*facts, *(builders.roll(day) for day in days), *marks])
    return Doors(
        app=served(flagging, pool, people.everybody()),
        pool=pool,
        household_key=HOUSEHOLD,
        days=re.compile(r"\"days_absent\":\s*7\b|\b7 of 23\b"),
        addresses={"student_key": str(child), "household_key": str(HOUSEHOLD)},
        sent={},
    )


async def the_reports(pool: "Pool[asyncpg.Record]", folder: Path) -> Doors:
    """A flag of the household's child."""
    world = World(pool, reporting, people.people(folder))
    await world.deliver("absence-flags", flag(1, days_absent=7, days_enrolled=23, as_of=date(2026, 10, 2)))
    await world.http.aclose()
    return Doors(
        app=served(reporting, pool, people.people(folder)),
        pool=pool,
        household_key=HOUSEHOLD,
        days=re.compile(str(student(1))),
        addresses={
            "district": "hartford",
            "school": "H01",
            "name": "funnel",
            "household_key": str(HOUSEHOLD),
        },
        sent={},
    )
