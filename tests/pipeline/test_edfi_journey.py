"""An Ed-Fi file from a district's upload to a family's logged visit: five services, their HTTP, and nothing mocked.

What must come out is computed here a second time, from the same files, in plain sets and integers.
"""

import asyncio
import csv
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from deploy.commands.push import upload, uploads_of
from deploy.commands.screen import Screen
from tests.people import headers
from tests.pipeline.stack import Stack, eventually, start_stack

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "edfi_sample"
CSV_DISTRICT, JSON_DISTRICT, SAMPLE_DISTRICT = "windham", "stonington", "grand-bend"
ELM, OAK = "255950001", "255950002"
NO_STUDENT_NUMBER = "9" * 65  # one digit more than a number may have: its rows come back
DESCRIPTOR = "uri://ed-fi.org/AttendanceEventCategoryDescriptor"
LEVELS = ("none", "at_risk", "chronically_absent", "severely_chronically_absent")


class Session(NamedTuple):
    """A term of a school."""

    school: str
    first: str
    last: str
    days: int


class Event(NamedTuple):
    """An exception, as a file has it."""

    student: str
    school: str
    day: str
    category: str
    share: str = ""
    modified: str = ""


def weekdays(first: date, count: int) -> list[date]:
    """Give that many weekdays from the first day on."""
    days = (first + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


AUTUMN, WINTER = weekdays(date(2025, 9, 2), 33), weekdays(date(2025, 11, 3), 33)
LATE = weekdays(date(2025, 9, 22), 40)


def small_sessions() -> list[Session]:
    """Give two terms of 30 days at one school, each with three weekdays off, and one term at another."""
    terms = ((ELM, AUTUMN, 30), (ELM, WINTER, 30), (OAK, LATE, 40))
    return [Session(school, str(days[0]), str(days[-1]), taught) for school, days, taught in terms]


def small_events() -> list[Event]:
    """Give 20 students' exceptions: on the lines of 10 and 20 %, beside them, and the awkward ones."""
    chance = random.Random(20)
    taught = AUTUMN[:30] + WINTER[:30]

    def event(student: int | str, day: date, category: str, share: str = "1", **more: str) -> Event:
        return Event(str(student), ELM, str(day), category, share)._replace(**more)

    rows = [event(100, day, "Tardy", "") for day in taught[:12]]
    for student, absences in enumerate((1, 5, 6, 11, 12, 14, 30), start=101):
        kind = ("Excused Absence", "Unexcused Absence")[student % 2]
        rows += [event(student, day, kind) for day in chance.sample(taught, absences)]
    # Begun to miss: two of the first 20 days, and 5 % so far; one absence fewer is under 5 % by the end.
    rows += [event(108, day, "Unexcused Absence") for day in (taught[3], taught[9], taught[50])]
    rows += [event(109, day, "Unexcused Absence") for day in (taught[3], taught[9])]
    # Half a day missed is a day attended, more than half of it is not; a quarter attended is a day missed.
    rows += [event(110, day, "Partial", "0.5") for day in taught[:8]]
    rows += [event(111, day, "Partial", "0.51") for day in taught[:8]]
    rows += [event(112, day, "In Attendance", "0.25") for day in taught[10:22]]
    # A Saturday is no school day, whatever was entered on it.
    rows += [event(113, date(2025, 9, 6), "Unexcused Absence")]
    # Two schools claim the same days: the one entered later has them.
    rows += [event(114, day, "Unexcused Absence") for day in (*AUTUMN[:8], *LATE[:6])]
    rows += [event(114, day, "Unexcused Absence", school=OAK) for day in LATE[30:35]]
    for student in range(115, 119):
        rows += [event(student, day, "Excused Absence", school=OAK) for day in chance.sample(LATE, student - 112)]
    # Two events on one day; with modification times (JSON) the later one stands, else the absence.
    for day in taught[20:27]:
        rows.append(event(119, day, "Unexcused Absence", modified="2026-01-10T08:00:00Z"))
        rows.append(event(119, day, "Tardy", "", modified="2026-01-11T08:00:00Z"))
    rows.append(event(NO_STUDENT_NUMBER, taught[5], "Excused Absence"))
    chance.shuffle(rows)
    return rows


def write_csv(folder: Path) -> Path:
    """Write the small district as the data standard names things, events in CSV."""
    names = ("SchoolId", "BeginDate", "EndDate", "TotalInstructionalDays")
    sessions = [dict(zip(names, map(str, session), strict=True)) for session in small_sessions()]
    (folder / "sessions.json").write_text(json.dumps({"sessions": sessions}))
    file = folder / "events.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("studentUniqueId", "schoolId", "eventDate", "category", "eventDuration"))
        writer.writerows(event[:5] for event in small_events())
    return file


def write_json(folder: Path) -> Path:
    """Write the same district as the Ed-Fi API answers, with modification times."""
    sessions = [
        {"schoolReference": {"schoolId": int(school)}, "beginDate": first, "endDate": last, "totalInstructionalDays": n}
        for school, first, last, n in small_sessions()
    ]
    events = [
        {
            "studentReference": {"studentUniqueId": event.student},
            "schoolReference": {"schoolId": int(event.school)},
            "eventDate": event.day,
            "attendanceEventCategoryDescriptor": f"{DESCRIPTOR}#{event.category}",
            **({"eventDuration": float(event.share)} if event.share else {}),
            **({"_lastModifiedDate": event.modified} if event.modified else {}),
        }
        for event in small_events()
    ]
    (folder / "sessions.json").write_text(json.dumps(sessions))
    file = folder / "events.json"
    file.write_text(json.dumps(events))
    return file


def find_sample(_: Path) -> Path:
    """Find the public sample, or skip, saying what is then not proved."""
    if not SAMPLE.is_dir():
        pytest.skip("not proved here: the public Ed-Fi sample is not beside this checkout")
    return next(SAMPLE.glob("student_school_attendance_events_*.csv"))


class Year(NamedTuple):
    """One student's school year."""

    level: str
    days_enrolled: int
    days_absent: int


def flat(row: dict[str, Any]) -> dict[str, str]:
    """Lift what stands in references, spell all names alike and cut descriptors to their codes."""
    lifted: dict[str, str] = {}
    for name, value in row.items():
        alike = name.lower().replace("attendanceeventcategorydescriptor", "category")
        lifted |= flat(value) if isinstance(value, dict) else {alike: str(value).rpartition("#")[2]}
    return lifted


def read_back(file: Path) -> tuple[list[Event], list[Session]]:
    """Read events and sessions again, with none of the system's code."""
    written = json.loads(next(file.parent.glob("*sessions*.json")).read_text())
    sessions = [
        Session(row["schoolid"], row["begindate"], row["enddate"], int(row["totalinstructionaldays"]))
        for row in map(flat, written["sessions"] if isinstance(written, dict) else written)
    ]
    with file.open(newline="") as opened:
        rows = json.load(opened) if file.suffix == ".json" else list(csv.DictReader(opened))
    names = ("studentuniqueid", "schoolid", "eventdate", "category", "eventduration", "_lastmodifieddate")
    return [Event(*(row.get(name, "") for name in names)) for row in map(flat, rows)], sessions


def years_of(file: Path) -> dict[str, Year]:
    """Say what each student's year comes to."""
    events, sessions = read_back(file)
    event_days = {event.day for event in events}
    school_days: dict[str, set[str]] = {}
    first_day: dict[str, str] = {}
    for school, first, last, count in sessions:
        days = [date.fromisoformat(first) + timedelta(days=n) for n in range(366)]
        open_days = [str(day) for day in days if day.weekday() < 5 and str(day) <= last]
        with_events = [day for day in open_days if day in event_days]
        without = [day for day in open_days if day not in event_days]
        school_days.setdefault(school, set()).update((with_events + without)[:count])
        first_day[school] = min(first, first_day.get(school, first))

    standing: dict[tuple[str, str, str], tuple[tuple[str, bool], bool]] = {}
    for event in events:
        missed = absence = "Absence" in event.category
        if event.share and event.category != "Tardy":
            share = Fraction(event.share)
            missed = (share < Fraction(1, 2)) if event.category == "In Attendance" else (share > Fraction(1, 2))
        place, rank = (event.student, event.school, event.day), (event.modified, absence)
        if place not in standing or rank > standing[place][0]:
            standing[place] = rank, missed

    years: dict[str, Year] = {}
    for student in {event.student for event in events if len(event.student) <= 64}:
        verdict: dict[str, bool] = {}
        schools = {event.school for event in events if event.student == student}
        for school in sorted(schools, key=lambda school: (first_day[school], school)):
            for day in school_days[school]:
                verdict[day] = standing.get((student, school, day), (None, False))[1]
        absent = {day for day in verdict if verdict[day]}
        years[student] = Year(level_of(set(verdict), absent), len(verdict), len(absent))
    return years


def level_of(counted: set[str], absent: set[str]) -> str:
    """Apply the standard policy; the files hold no year before, so nobody was chronically absent in it."""
    if len(counted) >= 10 and 10 * len(absent) >= len(counted):
        return LEVELS[3] if 5 * len(absent) >= len(counted) else LEVELS[2]
    early = len(set(sorted(counted)[:20]) & absent) >= 2
    return LEVELS[1] if early and (len(counted) <= 20 or 20 * len(absent) >= len(counted)) else LEVELS[0]


def test_the_small_district_stands_on_both_sides_of_each_line(tmp_path: Path) -> None:
    none, at_risk, chronic, severe = LEVELS
    by_hand = {  # 100: tardy is present; 114: two schools, of which the later has its days
        "100": Year(none, 60, 0), "102": Year(none, 60, 5), "103": Year(chronic, 60, 6), "104": Year(chronic, 60, 11),
        "105": Year(severe, 60, 12), "108": Year(at_risk, 60, 3), "109": Year(none, 60, 2), "110": Year(none, 60, 0),
        "111": Year(chronic, 60, 8), "112": Year(severe, 60, 12), "113": Year(none, 60, 0),
        "114": Year(chronic, 74, 13),
    }  # fmt: skip
    years = years_of(write_csv(tmp_path))
    assert len(years) == 20
    assert {number: years[number] for number in by_hand} == by_hand
    assert years["119"] == Year(chronic, 60, 7)
    (tmp_path / "api").mkdir()
    assert years_of(write_json(tmp_path / "api")) == {**years, "119": Year(none, 60, 0)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All five services, with a district for each file."""
    running = await start_stack(tmp_path_factory.mktemp("edfi"), (CSV_DISTRICT, JSON_DISTRICT, SAMPLE_DISTRICT))
    try:
        yield running
    finally:
        await running.stop()


@dataclass(frozen=True)
class Desk:
    """One person's or district's way to the services."""

    stack: Stack
    http: httpx.AsyncClient

    async def ask(
        self, service: str, method: str, path: str, body: object = None, *, person: str = "state"
    ) -> tuple[int, Any]:
        """Send one request and return the status and the JSON answer."""
        address = self.stack.processes[service].address
        answer = await self.http.request(method, f"{address}{path}", json=body, headers=headers(person))
        return answer.status_code, answer.json() if answer.content else None

    async def get(self, service: str, path: str, *, person: str = "state") -> Any:
        """Read what must be there."""
        status, answer = await self.ask(service, "GET", path, person=person)
        assert status == 200, (path, status, answer)
        return answer


def key_of(stack: Stack, district: str, number: str, person: bytes) -> UUID:
    """Hash a number as the district's secret says."""
    secret = json.loads(stack.districts_file.read_text())["districts"][district]["secret"]
    return UUID(blake2b(number.encode(), key=bytes.fromhex(secret), digest_size=16, person=person).hexdigest())


async def push(stack: Stack, district: str, file: Path) -> dict[str, dict[str, Any]]:
    """Upload the file as `leap push` does, check that each receipt adds up, and return them by kind."""
    address, token = stack.processes["ingest"].address, f"test-token-of-{district}"
    uploads = list(uploads_of(file, None))
    receipts = await asyncio.to_thread(
        upload, Screen(as_json=True), uploads, address=address, district=district, token=token
    )
    for receipt in receipts:
        assert receipt["pending"] == 0
        assert receipt["rows"] == receipt["accepted"] + receipt["rejected_rows"] + receipt["duplicate"]
    await stack.settled()
    return {receipt["kind"]: receipt for receipt in receipts}


async def standing_flags(stack: Stack, district: str) -> dict[UUID, str]:
    """Read the flags that stand."""
    async with stack.sql("flagging") as connection:
        rows = await connection.fetch("SELECT student_key, level FROM flag WHERE district = $1 AND level > 0", district)
    return {row["student_key"]: LEVELS[row["level"]] for row in rows}


async def households_in(stack: Stack, topic: str, district: str, event_type: str) -> set[str]:
    """Name the households of which a topic ever told this."""
    events = [json.loads(value) for value in await stack.read(topic)]
    ours = [event for event in events if event["district"] == district and event["event_type"] == event_type]
    return {event["household_key"] for event in ours}


@pytest.mark.parametrize(
    ("district", "file_in"),
    [(CSV_DISTRICT, write_csv), (JSON_DISTRICT, write_json), (SAMPLE_DISTRICT, find_sample)],
    ids=("csv", "json", "public-sample"),
)
async def test_a_file_becomes_flags_and_a_flag_becomes_a_logged_visit(
    stack: Stack, tmp_path: Path, district: str, file_in: Callable[[Path], Path]
) -> None:
    file = file_in(tmp_path)
    receipts = await push(stack, district, file)
    wrong = sum(event.student == NO_STUDENT_NUMBER for event in read_back(file)[0])
    assert [receipts[kind]["rejected_rows"] for kind in ("roster", "attendance")] == [wrong, wrong]
    assert NO_STUDENT_NUMBER not in json.dumps(receipts)
    years = years_of(file)
    expected = {key_of(stack, district, number, b"student"): year for number, year in years.items()}
    flagged = {key: year.level for key, year in expected.items() if year.level != "none"}
    assert await standing_flags(stack, district) == flagged

    repeated = await push(stack, district, file)
    assert repeated["attendance"]["duplicate"] > receipts["attendance"]["duplicate"]
    assert await standing_flags(stack, district) == flagged

    async with httpx.AsyncClient(timeout=30) as http:
        desk = Desk(stack, http)
        for key, year in expected.items():
            answer = await desk.get("flagging", f"/v1/students/{key}/absence", person=f"office-{district}")
            (whole,) = (each for each in answer["accumulators"] if each["accumulator"] == "district")
            assert Year(answer["level"], whole["days_enrolled"], whole["days_absent"]) == year
        at_home = [number for number, year in years.items() if year.level != "none"]
        households = {str(key_of(stack, district, number, b"household")) for number in at_home}
        requests = f"/v1/requests?district={district}&limit=1000"
        queue = await desk.get("scheduling", requests, person=f"desk-{district}")
        assert sorted(request["household_key"] for request in queue["requests"]) == sorted(households)

        await visit_a_family(desk, district, queue["requests"][0])
        await assert_the_funnel_tells_it(desk, district)


async def visit_a_family(desk: Desk, district: str, request: dict[str, Any]) -> None:
    """From the claim to the log, as a scheduler and a visitor would."""
    path, version = f"/v1/requests/{request['request_id']}", request["version"]
    scheduler, pair = f"desk-{district}", [f"visitor-{district}-{n}" for n in (1, 2)]
    now = datetime.now(UTC)

    async def change(what: str, **fields: object) -> dict[str, Any]:
        nonlocal version
        body = {"version": version, **fields}
        status, answer = await desk.ask("scheduling", "POST", f"{path}/{what}", body, person=scheduler)
        assert status == 200, (what, answer)
        version = answer["version"]
        return dict(answer)

    assert (await change("claim"))["stage"] == "claimed"
    assert (await change("answer", answer="agreed"))["stage"] == "agreed"
    for visitor in pair:
        trained = {"leap101_valid_from": str(now.date()), "leap101_valid_until": str(now.date() + timedelta(days=365))}
        body = {"visitor_id": visitor, "district": district, **trained}
        assert (await desk.ask("scheduling", "POST", "/v1/visitors", body, person=scheduler))[0] == 201
    starts_at = (now + timedelta(days=2)).replace(hour=19).isoformat()  # afternoon in Connecticut, never night
    appointed = await change("appointment", starts_at=starts_at, place="home", pair=pair)
    assert appointed["stage"] == "paired"

    log_path = f"/v1/visit-logs/{uuid4()}"
    began, ended = ((now - timedelta(minutes=minutes)).isoformat() for minutes in (50, 5))
    visit = {"visit_id": appointed["visit_id"], "pair": pair, "started_at": began, "ended_at": ended}
    log = {**visit, "outcome": "took_place"}
    answers: list[int] = []

    async def visit_is_known() -> bool:
        answers.append((await desk.ask("visitlog", "PUT", log_path, log, person=pair[0]))[0])
        return answers[-1] != 404  # until the appointment has arrived

    await eventually(visit_is_known, "visit log knows the appointment")
    assert answers[-1] == 201
    assert (await desk.ask("visitlog", "PUT", log_path, log, person=pair[0]))[0] == 200
    other_log = {**visit, "outcome": "family_not_home"}
    assert (await desk.ask("visitlog", "PUT", log_path, other_log, person=pair[0]))[0] == 409

    async def desk_knows() -> bool:
        return bool((await desk.get("scheduling", path, person=scheduler))["stage"] == "logged")

    await eventually(desk_knows, "the request stands as logged")


async def assert_the_funnel_tells_it(desk: Desk, district: str) -> None:
    """A flag that stood between two batches and fell again was flagged too: the topics say who ever was."""
    raised = await households_in(desk.stack, "flags", district, "absence-flag.raised.v1")
    requested = await households_in(desk.stack, "home-visits", district, "visit.requested.v1")
    counted = {"flagged": len(raised), "requested": len(requested), "agreed": 1, "logged": 1, "declined": 0}

    async def told() -> bool:
        (line,) = (await desk.get("reporting", "/v1/funnel", person=f"office-{district}"))["districts"]
        return all(line[step] == households for step, households in counted.items())

    await eventually(told, f"the funnel's line says {counted}")
