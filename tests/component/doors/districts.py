"""Three districts with families, visits, logs and numbers, each told apart by every id and name; and their people."""

import importlib
import itertools
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from contracts import events
from contracts.access import ROUTES
from services.ingest import api as ingest_api
from services.runtime import clock
from services.runtime.service import Service
from services.runtime.web.people import People
from tests import people
from tests.component.flagging import builders as marks
from tests.component.flagging.builders import Feeder
from tests.component.scheduling.waiting import absences, register
from tests.component.visit_events import contact, flag, household, of_visit, student
from tests.conftest import ServiceDatabase
from tests.delivering import deliver, record, served
from tests.unit.ingest.landed import districts as senders

DISTRICTS = ("hartford", "danbury", "bridgeport")
FAMILIES = 6
NOW = datetime.now(UTC).replace(microsecond=0)

_ROLES = ("scheduler", "coordinator", "district", "auditor")


def staff() -> dict[str, dict[str, Any]]:
    """Everybody: of each district one per role and two visitors, and who sees several, or all."""
    found = {
        f"{role}-{each}": people.declared(f"{role}-{each}", role, (each,)) for each in DISTRICTS for role in _ROLES
    }
    for each in DISTRICTS:
        for number in (1, 2, 3):
            name = f"visitor-{each}-{number}"
            found[name] = people.declared(name, "visitor", (each,))
    found["scheduler-two"] = people.declared("scheduler-two", "scheduler", ("danbury", "bridgeport"))
    for role in ("coordinator", "auditor", "state", "operations"):
        found[f"{role}-all"] = people.declared(f"{role}-all", role, ("*",))
    found["resc-two"] = people.declared("resc-two", "resc", ("hartford", "danbury"))
    found["resc-all"] = people.declared("resc-all", "resc", ("*",))
    return found


def pair_of(district: str) -> list[str]:
    """Name who visits there; the third visitor of a district goes nowhere."""
    return [f"visitor-{district}-1", f"visitor-{district}-2"]


def family_name(district: str) -> str:
    """Give the name that a district's families have, and nobody else."""
    return f"Familia{district.title()}"


def school(district: str) -> str:
    """Give the code of the one school there, which no other district has."""
    return f"{district[:3].upper()}01"


def numbers_of(district: str) -> range:
    """Number the families there, and their students."""
    first = 1000 * (1 + DISTRICTS.index(district))
    return range(first, first + FAMILIES)


@dataclass(frozen=True, slots=True)
class Mine:
    """Whose an id is: a district's, and where visits are made of it, whose those are."""

    district: str
    visited_by: frozenset[str] = frozenset()


@dataclass
class Town:
    """One service in which all three districts have something."""

    name: str
    app: Any
    pool: "asyncpg.Pool[asyncpg.Record]"
    owners: dict[str, Mine] = field(default_factory=dict)
    """Whose each id is."""
    ids: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """By what an address calls them and by district: what there is to ask about."""
    versions: dict[str, int] = field(default_factory=dict)
    """Of requests and visitors as they stood, so that a hole would let a change through."""

    def owns(self, kind: str, named: object, district: str, visited_by: frozenset[str] = frozenset()) -> None:
        """Remember whose it is."""
        known = self.owners.get(str(named))
        self.owners[str(named)] = Mine(district, visited_by | (known.visited_by if known else frozenset()))
        if str(named) not in self.ids[kind][district]:
            self.ids[kind][district].append(str(named))

    def client(self) -> httpx.AsyncClient:
        """Give who asks it."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test")


@asynccontextmanager
async def towns(
    service_database: ServiceDatabase, folder: Path, routes: Mapping[str, Any] = ROUTES
) -> AsyncIterator[dict[str, Town]]:
    """Give the five services by name, with everybody signed up; `routes` may be another table than the real one."""
    os.environ.setdefault("LEAP_DISTRICTS_FILE", "none")
    everybody = people.people(folder, **staff())
    made = {
        name: await _town(name, service_database, everybody, routes)
        for name in ("scheduling", "visitlog", "reporting", "flagging", "ingest")
    }
    yield made


async def _town(name: str, service_database: ServiceDatabase, everybody: People, routes: Mapping[str, Any]) -> Town:
    pool = await service_database(name)
    service: Service = importlib.import_module(f"services.{name}.app").service
    ours = Service(
        name=name,
        migrations=service.migrations,
        subscriptions=service.subscriptions,
        access=routes[name],
        keeps_apart=service.keeps_apart,
        pages=service.pages,
        routes=(lambda context: ingest_api.routes(context, senders)) if name == "ingest" else service.routes,
    )
    town = Town(name, served(ours, pool, everybody), pool)
    offsets: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)

    async def bring(topic: str, *happened: events.Event) -> None:
        records = [record(topic, 0, next(offsets[topic]), event.model_dump_json()) for event in happened]
        await deliver(pool, service.subscriptions[0], records)

    fill = {"scheduling": _scheduling, "visitlog": _visitlog, "reporting": _reporting, "flagging": _flagging}.get(name)
    if fill is not None:
        await fill(town, bring)
    for district in DISTRICTS:
        town.ids["district"][district] = [district]
        town.ids["school"][district] = [school(district)]
        town.ids["visitor_id"][district] = [*pair_of(district), f"visitor-{district}-3"]
    return town


def _contacts(district: str) -> list[events.Event]:
    return [
        contact(
            number,
            district=district,
            contact_name=f"{family_name(district)} {number}",
            phones=[f"+1 203 555 {number}"],
            address=f"{number} {family_name(district)} Street",
            students=[
                {"student_key": student(number), "given_name": "Leo", "family_name": family_name(district)},
            ],
        )
        for number in numbers_of(district)
    ]


async def _scheduling(town: Town, bring: Any) -> None:
    for district in DISTRICTS:
        await register(town.pool, *town_visitors(district), district=district)
        await bring("household-contacts", *_contacts(district))
        flags = [
            absences(number, missed=6, household_number=number, district=district, school=school(district))
            for number in numbers_of(district)
        ]
        await bring("absence-flags", *flags)
        await _agree_a_visit(town, district)
    rows = await town.pool.fetch("SELECT request_id, household_key, district, version FROM request")
    town.versions = {str(row["request_id"]): row["version"] for row in rows}
    visits = await town.pool.fetch(
        """
        SELECT visit_id, request_id, household_key, district, first_visitor, second_visitor
        FROM visit JOIN request USING (request_id) JOIN appointment USING (visit_id)
        """
    )
    _own_requests_and_visits(town, rows, [(each, {each["first_visitor"], each["second_visitor"]}) for each in visits])


def town_visitors(district: str) -> list[str]:
    """Name everybody who may visit there."""
    return [*pair_of(district), f"visitor-{district}-3"]


async def _agree_a_visit(town: Town, district: str) -> None:
    async with town.client() as http:
        http.headers.update(people.headers(f"scheduler-{district}"))
        chosen = (await http.get("/v1/requests", params={"district": district})).json()["requests"][0]
        at = f"/v1/requests/{chosen['request_id']}"
        claimed = (await http.post(f"{at}/claim", json={"version": chosen["version"]})).json()
        answered = await http.post(f"{at}/answer", json={"version": claimed["version"], "answer": "agreed"})
        assert answered.status_code == 200, answered.text
        starts_at = (clock.now() + timedelta(days=8)).replace(hour=19, minute=0, second=0, microsecond=0)
        while starts_at.weekday() > 3:
            starts_at += timedelta(days=1)
        body = {"version": answered.json()["version"], "starts_at": starts_at.isoformat(), "place": "home"}
        agreed = await http.post(f"{at}/appointment", json=body | {"pair": pair_of(district)})
        assert agreed.status_code == 200, agreed.text


def _own_requests_and_visits(town: Town, requests: list[Any], visits: list[tuple[Any, set[str]]]) -> None:
    for row in requests:
        town.owns("request_id", row["request_id"], row["district"])
        town.owns("household_key", row["household_key"], row["district"])
    for row, pair in visits:
        going = frozenset(pair)
        town.owns("visit_id", row["visit_id"], row["district"], going)
        town.owns("request_id", row["request_id"], row["district"], going)
        town.owns("household_key", row["household_key"], row["district"], going)
    for district in DISTRICTS:
        for number in numbers_of(district):
            mine = town.owners.get(str(household(number)))
            town.owns("student_key", student(number), district, mine.visited_by if mine else frozenset())


async def _visitlog(town: Town, bring: Any) -> None:
    for district in DISTRICTS:
        numbers = numbers_of(district)
        await bring("household-contacts", *_contacts(district))
        visits = [
            of_visit(
                events.VisitScheduled,
                district=district,
                school=school(district),
                visit_id=UUID(int=0x0D << 120 | number),
                request_id=UUID(int=0x0C << 120 | number),
                household_key=household(number),
                students=[{"student_key": student(number), "school": school(district), "level": "at_risk",
                           "days_absent": 2, "days_enrolled": 20}],
                # The last ones are somebody else's: a visitor sees their own.
                pair=pair_of(district) if number < numbers[-2] else [f"visitor-{district}-3", "nobody"],
                starts_at=NOW - timedelta(days=2 + number % 3),
            )
            for number in numbers
        ]  # fmt: skip
        await bring("home-visits", *visits)
        for number in numbers[:2]:
            await _write_log(town, district, number)
        async with town.client() as http:
            await http.post(
                "/v1/pay-rates",
                headers=people.headers(f"coordinator-{district}"),
                json={"district": district, "effective_from": "2026-07-01", "hourly_cents": 3000,
                      "travel_hourly_cents": 2000, "mile_tenth_cents": 725, "show_up_cents": 1500},
            )  # fmt: skip
    agreed = await town.pool.fetch("SELECT visit_id, request_id, household_key, district, pair FROM visit")
    _own_requests_and_visits(town, [], [(each, set(each["pair"])) for each in agreed])
    for row in await town.pool.fetch(
        "SELECT log_id, district, visit.pair, referral_id FROM visit_log JOIN visit USING (visit_id)"
        " LEFT JOIN referral USING (log_id)"
    ):
        town.owns("client_id", row["log_id"], row["district"], frozenset(row["pair"]))
        if row["referral_id"] is not None:
            town.owns("referral_id", row["referral_id"], row["district"], frozenset(row["pair"]))


async def _write_log(town: Town, district: str, number: int) -> None:
    started_at = NOW - timedelta(days=2 + number % 3)
    body = {
        "visit_id": str(UUID(int=0x0D << 120 | number)),
        "outcome": "took_place",
        "started_at": started_at.isoformat(),
        "ended_at": (started_at + timedelta(minutes=40)).isoformat(),
        "pair": pair_of(district),
        "voice": {"strengths": f"{family_name(district)} reads every evening"},
        "referrals": [{"resource": "tutoring"}],
    }
    async with town.client() as http:
        answer = await http.put(f"/v1/visit-logs/{uuid4()}", json=body, headers=people.headers(f"visitor-{district}-1"))
    assert answer.status_code == 201, answer.text


async def _reporting(_: Town, bring: Any) -> None:
    for district in DISTRICTS:
        numbers = numbers_of(district)
        flags = [flag(each, household_number=each, district=district, school=school(district)) for each in numbers]
        await bring("absence-flags", *flags)
        about = [
            {
                "district": district,
                "school": school(district),
                "request_id": UUID(int=0x0C << 120 | each),
                "visit_id": UUID(int=0x0D << 120 | each),
                "household_key": household(each),
                "pair": pair_of(district),
            }
            for each in numbers
        ]
        await bring("home-visits", *(of_visit(events.VisitRequested, **each) for each in about))
        await bring("home-visits", *(of_visit(events.VisitScheduled, version=2, **each) for each in about))


async def _flagging(town: Town, _: Any) -> None:
    days = marks.school_days(20)
    for district in DISTRICTS[:1]:
        facts: list[events.Event] = [marks.calendar(days)]
        for number in range(3):
            facts += [
                marks.stint(marks.student(number)),
                *(marks.mark(marks.student(number), day) for day in days[2:6]),
            ]
        facts += [marks.roll(day) for day in days]
        await Feeder(town.pool).feed(facts)
        for number in range(3):
            town.owns("student_key", marks.student(number), district)
