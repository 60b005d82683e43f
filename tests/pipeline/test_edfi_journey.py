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
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from deploy.commands.push import upload, uploads_of
from deploy.commands.screen import Screen
from tests.pipeline.stack import Stack, eventually, start_stack

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "edfi_sample"
CSV_DISTRICT, JSON_DISTRICT, SAMPLE_DISTRICT = "windham", "stonington", "grand-bend"
ELM, OAK = "255950001", "255950002"
NO_STUDENT_NUMBER = "9" * 65  # one digit more than a number may have: its rows come back
LEVELS = ("none", "at_risk", "chronically_absent", "severely_chronically_absent")
SCHEDULER = {"X-Leap-Actor": "scheduler-1"}
VISITOR = {"X-Leap-Actor": "visitor-1"}

Row = dict[str, str]


# What the test writes


def weekdays(first: date, count: int) -> list[date]:
    """This will give that many weekdays from the first day on."""
    days = (first + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


AUTUMN, WINTER = weekdays(date(2025, 9, 2), 33), weekdays(date(2025, 11, 3), 33)
LATE = weekdays(date(2025, 9, 22), 40)


def small_sessions() -> list[Row]:
    """This will give two terms of 30 days at one school, each with three weekdays off, and one term at another."""
    return [
        {"school": school, "first": str(days[0]), "last": str(days[-1]), "days": str(taught)}
        for school, days, taught in ((ELM, AUTUMN, 30), (ELM, WINTER, 30), (OAK, LATE, 40))
    ]


def small_events() -> list[Row]:
    """This will give 20 students' exceptions: on the lines of 10 and 20 %, beside them, and the awkward ones."""
    chance = random.Random(20)
    taught = AUTUMN[:30] + WINTER[:30]

    def event(student: int | str, day: date, category: str, share: str = "1", school: str = ELM) -> Row:
        return {"student": str(student), "school": school, "day": str(day), "category": category, "share": share}

    rows = [event(100, day, "Tardy", "") for day in taught[:12]]
    for student, absences in enumerate((1, 5, 6, 11, 12, 14, 30), start=101):
        kind = ("Excused Absence", "Unexcused Absence")[student % 2]
        rows += [event(student, day, kind) for day in chance.sample(taught, absences)]
    # Begun to miss: two of the first 20 days, and 5 % so far; one absence fewer is under 5 % by the end.
    rows += [event(108, day, "Unexcused Absence") for day in (taught[3], taught[9], taught[50])]
    rows += [event(109, day, "Unexcused Absence") for day in (taught[3], taught[9])]
    # Half a day missed is a day attended, more than half of it is not; half attended of "in attendance" neither.
    rows += [event(110, day, "Partial", "0.5") for day in taught[:8]]
    rows += [event(111, day, "Partial", "0.51") for day in taught[:8]]
    rows += [event(112, day, "In Attendance", "0.25") for day in taught[10:22]]
    # A Saturday is no school day, whatever was entered on it.
    rows += [event(113, AUTUMN[3] + timedelta(days=1 + (4 - AUTUMN[3].weekday())), "Unexcused Absence")]
    # Two schools claim the same days: the one entered later has them.
    rows += [event(114, day, "Unexcused Absence") for day in (*AUTUMN[:8], *LATE[:6])]
    rows += [event(114, day, "Unexcused Absence", school=OAK) for day in LATE[30:35]]
    for student in range(115, 119):
        days = chance.sample(LATE, student - 112)
        rows += [event(student, day, "Excused Absence", school=OAK) for day in days]
    # Two events on one day; with modification times (JSON) the later one stands, else the absence.
    for day in taught[20:27]:
        rows += [
            event(119, day, "Unexcused Absence") | {"modified": "2026-01-10T08:00:00Z"},
            event(119, day, "Tardy", "") | {"modified": "2026-01-11T08:00:00Z"},
        ]
    rows.append(event(NO_STUDENT_NUMBER, taught[5], "Excused Absence"))
    chance.shuffle(rows)
    return rows


def write_csv(folder: Path) -> Path:
    """This will write the small district as the data standard names things, events in CSV."""
    names = {"School": "school", "Begin": "first", "End": "last", "Total": "days"}
    spelt = {"School": "SchoolId", "Begin": "BeginDate", "End": "EndDate", "Total": "TotalInstructionalDays"}
    sessions = [{spelt[name]: row[field] for name, field in names.items()} for row in small_sessions()]
    (folder / "sessions.json").write_text(json.dumps({"sessions": sessions}))
    file = folder / "events.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("studentUniqueId", "schoolId", "eventDate", "category", "eventDuration"))
        writer.writerows(
            [row[name] for name in ("student", "school", "day", "category", "share")] for row in small_events()
        )
    return file


def write_json(folder: Path) -> Path:
    """This will write the same district as the Ed-Fi API answers, with modification times."""
    (folder / "sessions.json").write_text(
        json.dumps(
            [
                {
                    "schoolReference": {"schoolId": int(row["school"])},
                    "beginDate": row["first"],
                    "endDate": row["last"],
                    "totalInstructionalDays": int(row["days"]),
                }
                for row in small_sessions()
            ]
        )
    )
    file = folder / "events.json"
    file.write_text(
        json.dumps(
            [
                {
                    "studentReference": {"studentUniqueId": row["student"]},
                    "schoolReference": {"schoolId": int(row["school"])},
                    "eventDate": row["day"],
                    "attendanceEventCategoryDescriptor": f"uri://ed-fi.org/AttendanceEventCategoryDescriptor#{row['category']}",
                    **({"eventDuration": float(row["share"])} if row["share"] else {}),
                    **({"_lastModifiedDate": row["modified"]} if "modified" in row else {}),
                }
                for row in small_events()
            ]
        )
    )
    return file


def find_sample(_: Path) -> Path:
    """This will find the public sample, or skip, saying what is then not proved."""
    if not SAMPLE.is_dir():
        pytest.skip("not proved here: the public Ed-Fi sample is not beside this checkout")
    return next(SAMPLE.glob("student_school_attendance_events_*.csv"))


# What must come of it


@dataclass(frozen=True)
class Year:
    """One student's school year."""

    level: str
    days_enrolled: int
    days_absent: int


def read_back(file: Path) -> tuple[list[Row], list[Row]]:
    """This will read events and sessions again, with none of the system's code."""
    written = json.loads(next(file.parent.glob("*sessions*.json")).read_text())
    if file.suffix == ".json":
        sessions = [
            {
                "school": str(row["schoolReference"]["schoolId"]),
                "first": row["beginDate"],
                "last": row["endDate"],
                "days": str(row["totalInstructionalDays"]),
            }
            for row in written
        ]
        events = [
            {
                "student": row["studentReference"]["studentUniqueId"],
                "school": str(row["schoolReference"]["schoolId"]),
                "day": row["eventDate"],
                "category": row["attendanceEventCategoryDescriptor"].split("#")[1],
                "share": str(row.get("eventDuration", "")),
                "modified": row.get("_lastModifiedDate", ""),
            }
            for row in json.loads(file.read_text())
        ]
        return events, sessions
    sessions = [
        {
            "school": row["SchoolId"],
            "first": row["BeginDate"],
            "last": row["EndDate"],
            "days": row["TotalInstructionalDays"],
        }
        for row in written["sessions"]
    ]
    with file.open(newline="") as opened:
        events = [
            {
                "student": row["studentUniqueId"],
                "school": row["schoolId"],
                "day": row["eventDate"],
                "category": row["category"],
                "share": row["eventDuration"],
                "modified": "",
            }
            for row in csv.DictReader(opened)
        ]
    return events, sessions


def years_of(file: Path) -> dict[str, Year]:
    """This will say what each student's year comes to."""
    events, sessions = read_back(file)
    event_days = {row["day"] for row in events}
    school_days: dict[str, set[str]] = {}
    first_day: dict[str, str] = {}
    for session in sessions:
        school, first, last = session["school"], session["first"], session["last"]
        days = [date.fromisoformat(first) + timedelta(days=n) for n in range(366)]
        open_days = [str(day) for day in days if day.weekday() < 5 and str(day) <= last]
        with_events = [day for day in open_days if day in event_days]
        without = [day for day in open_days if day not in event_days]
        school_days.setdefault(school, set()).update((with_events + without)[: int(session["days"])])
        first_day[school] = min(first, first_day.get(school, first))

    standing: dict[tuple[str, str, str], tuple[tuple[str, bool], bool]] = {}
    for row in events:
        absence = "Absence" in row["category"]
        missed = absence
        if row["share"] and row["category"] != "Tardy":
            share = Fraction(row["share"])
            missed = (share < Fraction(1, 2)) if row["category"] == "In Attendance" else (share > Fraction(1, 2))
        place, rank = (row["student"], row["school"], row["day"]), (row["modified"], absence)
        if place not in standing or rank > standing[place][0]:
            standing[place] = rank, missed

    years: dict[str, Year] = {}
    for student in {row["student"] for row in events if len(row["student"]) <= 64}:
        verdict: dict[str, bool] = {}
        schools = {row["school"] for row in events if row["student"] == student}
        for school in sorted(schools, key=lambda school: (first_day[school], school)):
            for day in school_days[school]:
                verdict[day] = standing.get((student, school, day), (None, False))[1]
        absent = {day for day in verdict if verdict[day]}
        years[student] = Year(level_of(set(verdict), absent), len(verdict), len(absent))
    return years


def level_of(counted: set[str], absent: set[str]) -> str:
    """This will apply the standard policy; the files hold no year before, so nobody was chronically absent in it."""
    if len(counted) >= 10 and 10 * len(absent) >= len(counted):
        return LEVELS[3] if 5 * len(absent) >= len(counted) else LEVELS[2]
    early = len(set(sorted(counted)[:20]) & absent) >= 2
    return LEVELS[1] if early and (len(counted) <= 20 or 20 * len(absent) >= len(counted)) else LEVELS[0]


def test_the_small_district_stands_on_both_sides_of_each_line(tmp_path: Path) -> None:
    none, at_risk, chronic, severe = LEVELS
    by_hand = {
        "100": Year(none, 60, 0),  # tardy is present
        "102": Year(none, 60, 5),
        "103": Year(chronic, 60, 6),
        "104": Year(chronic, 60, 11),
        "105": Year(severe, 60, 12),
        "108": Year(at_risk, 60, 3),
        "109": Year(none, 60, 2),
        "110": Year(none, 60, 0),
        "111": Year(chronic, 60, 8),
        "112": Year(severe, 60, 12),
        "113": Year(none, 60, 0),
        "114": Year(chronic, 74, 13),
    }
    years = years_of(write_csv(tmp_path))
    assert len(years) == 20
    assert {number: years[number] for number in by_hand} == by_hand
    assert years["119"] == Year(chronic, 60, 7)
    (tmp_path / "api").mkdir()
    assert years_of(write_json(tmp_path / "api")) == {**years, "119": Year(none, 60, 0)}


# The running system


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All five services, with a district for each file."""
    districts = (CSV_DISTRICT, JSON_DISTRICT, SAMPLE_DISTRICT)
    running = await start_stack(tmp_path_factory.mktemp("edfi"), districts)
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
        self, service: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """This will send one request and return the status and the JSON answer."""
        address = self.stack.processes[service].address
        answer = await self.http.request(method, f"{address}{path}", json=body, headers=headers)
        return answer.status_code, answer.json() if answer.content else None

    async def get(self, service: str, path: str) -> Any:
        """This will read what must be there."""
        status, answer = await self.ask(service, "GET", path)
        assert status == 200, (path, status, answer)
        return answer


def key_of(stack: Stack, district: str, number: str, person: bytes) -> UUID:
    """This will hash a number as the district's secret says."""
    secret = json.loads(stack.districts_file.read_text())["districts"][district]["secret"]
    return UUID(blake2b(number.encode(), key=bytes.fromhex(secret), digest_size=16, person=person).hexdigest())


async def push(stack: Stack, district: str, file: Path) -> dict[str, dict[str, Any]]:
    """This will upload the file as `leap push` does, check that each receipt adds up, and return them by kind."""
    receipts = await asyncio.to_thread(
        upload,
        Screen(as_json=True),
        list(uploads_of(file, None)),
        address=stack.processes["ingest"].address,
        district=district,
        token=f"test-token-of-{district}",
    )
    for receipt in receipts:
        assert receipt["pending"] == 0
        assert receipt["rows"] == receipt["accepted"] + receipt["rejected_rows"] + receipt["duplicate"]
    await stack.settled()
    return {receipt["kind"]: receipt for receipt in receipts}


async def standing_flags(stack: Stack, district: str) -> dict[UUID, str]:
    """This will read the flags that stand."""
    async with stack.sql("flagging") as connection:
        rows = await connection.fetch("SELECT student_key, level FROM flag WHERE district = $1 AND level > 0", district)
    return {row["student_key"]: LEVELS[row["level"]] for row in rows}


async def households_in(stack: Stack, topic: str, district: str, event_types: tuple[str, ...]) -> set[str]:
    """This will name the households of which a topic ever told one of these things."""
    events = [json.loads(value) for value in await stack.read(topic)]
    ours = [event for event in events if event["district"] == district and event["event_type"] in event_types]
    return {event["household_key"] for event in ours}


@pytest.mark.parametrize(
    ("district", "file_in"),
    [
        pytest.param(CSV_DISTRICT, write_csv, id="csv"),
        pytest.param(JSON_DISTRICT, write_json, id="json"),
        pytest.param(SAMPLE_DISTRICT, find_sample, id="public-sample"),
    ],
)
async def test_a_file_becomes_flags_and_a_flag_becomes_a_logged_visit(
    stack: Stack, tmp_path: Path, district: str, file_in: Callable[[Path], Path]
) -> None:
    file = file_in(tmp_path)
    receipts = await push(stack, district, file)
    assert_rejections_are_as_written(receipts, file)
    expected = {key_of(stack, district, number, b"student"): year for number, year in years_of(file).items()}
    flagged = {key: year.level for key, year in expected.items() if year.level != "none"}
    assert await standing_flags(stack, district) == flagged

    repeated = await push(stack, district, file)
    assert {kind: receipt["rows"] for kind, receipt in repeated.items()} == {
        kind: receipt["rows"] for kind, receipt in receipts.items()
    }
    assert repeated["attendance"]["duplicate"] > receipts["attendance"]["duplicate"]
    assert await standing_flags(stack, district) == flagged

    async with httpx.AsyncClient(timeout=30) as http:
        desk = Desk(stack, http)
        for key, year in expected.items():
            answer = await desk.get("flagging", f"/v1/students/{key}/absence")
            (whole,) = (each for each in answer["accumulators"] if each["accumulator"] == "district")
            assert Year(answer["level"], whole["days_enrolled"], whole["days_absent"]) == year
        households = {
            str(key_of(stack, district, number, b"household"))
            for number, year in years_of(file).items()
            if year.level != "none"
        }
        queue = await desk.get("scheduling", f"/v1/requests?district={district}&limit=1000")
        assert sorted(request["household_key"] for request in queue["requests"]) == sorted(households)

        await visit_a_family(desk, district, queue["requests"][0])
        await assert_the_funnel_tells_it(desk, district)


def assert_rejections_are_as_written(receipts: dict[str, dict[str, Any]], file: Path) -> None:
    """The row with the impossible number comes back from both doors, and its number is not repeated."""
    rows_back = {kind: receipt["rejected_rows"] for kind, receipt in receipts.items()}
    wrong = sum(row["student"] == NO_STUDENT_NUMBER for row in read_back(file)[0])
    assert rows_back == {"roster": wrong, "attendance": wrong}
    assert NO_STUDENT_NUMBER not in json.dumps(receipts)


async def visit_a_family(desk: Desk, district: str, request: dict[str, Any]) -> None:
    """From the claim to the log, as a scheduler and a visitor would."""
    path, version = f"/v1/requests/{request['request_id']}", request["version"]
    pair = [f"{district}-visitor-{n}" for n in (1, 2)]
    now = datetime.now(UTC)

    async def change(what: str, **fields: object) -> dict[str, Any]:
        nonlocal version
        status, answer = await desk.ask(
            "scheduling", "POST", f"{path}/{what}", {"version": version, **fields}, SCHEDULER
        )
        assert status == 200, (what, answer)
        version = answer["version"]
        return dict(answer)

    assert (await change("claim"))["stage"] == "claimed"
    assert (await change("answer", answer="agreed"))["stage"] == "agreed"
    for visitor in pair:
        trained = {"leap101_valid_from": str(now.date()), "leap101_valid_until": str(now.date() + timedelta(days=365))}
        body = {"visitor_id": visitor, "district": district, **trained}
        assert (await desk.ask("scheduling", "POST", "/v1/visitors", body, SCHEDULER))[0] == 201
    starts_at = (now + timedelta(days=2)).isoformat()
    appointed = await change("appointment", starts_at=starts_at, place="home", pair=pair)
    assert appointed["stage"] == "paired"

    log_path = f"/v1/visit-logs/{uuid4()}"
    log = {
        "visit_id": appointed["visit_id"],
        "outcome": "took_place",
        "started_at": (now - timedelta(minutes=50)).isoformat(),
        "ended_at": (now - timedelta(minutes=5)).isoformat(),
        "pair": pair,
    }
    answers: list[int] = []

    async def visit_is_known() -> bool:
        answers.append((await desk.ask("visitlog", "PUT", log_path, log, VISITOR))[0])
        return answers[-1] != 404  # until the appointment has arrived

    await eventually(visit_is_known, "visit log knows the appointment")
    assert answers[-1] == 201
    assert (await desk.ask("visitlog", "PUT", log_path, log, VISITOR))[0] == 200
    other = {**log, "outcome": "family_not_home"}
    assert (await desk.ask("visitlog", "PUT", log_path, other, VISITOR))[0] == 409

    async def desk_knows() -> bool:
        return bool((await desk.get("scheduling", path))["stage"] == "visited")

    await eventually(desk_knows, "the request stands as visited")


async def assert_the_funnel_tells_it(desk: Desk, district: str) -> None:
    """A flag that stood between two batches and fell again was flagged too: the topics say who ever was."""
    raised = await households_in(desk.stack, "absence-flags", district, ("absence-flag.raised.v1",))
    requested = await households_in(desk.stack, "home-visits", district, ("visit.requested.v1",))
    line = {
        "district": district,
        "flagged": len(raised),
        "requested": len(requested),
        "agreed": 1,
        "visited": 1,
        "declined": 0,
    }

    async def told() -> bool:
        return line in (await desk.get("reporting", "/v1/funnel"))["districts"]

    await eventually(told, f"the funnel's line {line}")
