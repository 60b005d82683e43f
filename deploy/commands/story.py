"""`leap story`: two guided minutes. One child from three absences to a line in the report; another is corrected."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from rich.console import Console

from contracts.calendar import is_business_day, school_year_of
from deploy.commands import districts, life, people, push, state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.demo.staff import Door
from services.ingest.districts_file import load_districts
from services.ingest.rules.pseudonyms import Pseudonyms

DISTRICT, SCHOOL = "hartford", "STORY"
SCHEDULER, COORDINATOR, READER, AUDITOR = "ana", "carl", "dana", "audit"
PAIR = ("marisol", "omar")
SCHOOL_DAYS = 12
ABSENT, LATER_CORRECTED = (2, 6, 9), (3, 8)
EFFECT_SECONDS = 60.0
POLL_SECONDS = 0.1


class StoryStuck(Exception):
    """What should have followed did not come in time; the message says what was waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A made-up child of the story, known to the district by number and household."""

    number: str
    given_name: str
    household: str


def _version() -> int:
    """A later record has a larger version: the district's modification time in µs."""
    return time.time_ns() // 1000


class School:
    """The story's own small school: two children, and the days on which it took its rolls."""

    def __init__(self, *, today: date) -> None:
        # New children each time the story is told: none of them has a past.
        told_at = datetime.now(UTC).strftime("%m%d%H%M%S")
        self.first = Child(number=f"S1{told_at}", given_name="Wren", household=f"SH1{told_at}")
        self.second = Child(number=f"S2{told_at}", given_name="Linnet", household=f"SH2{told_at}")
        self.days = [day for n in range(40, 0, -1) if is_business_day(day := today - timedelta(days=n))][-SCHOOL_DAYS:]

    def roster(self) -> list[dict[str, Any]]:
        """Say when the school teaches, who attends it, and how to reach the households."""
        school_year = school_year_of(self.days[0])
        taught = [day.isoformat() for n in range(120) if is_business_day(day := self.days[0] + timedelta(days=n))]
        rows: list[dict[str, Any]] = [
            {
                "type": "calendar", "school": SCHOOL, "school_year": school_year, "feed": "exceptions",
                "school_days": taught, "version": _version(),
            }
        ]  # fmt: skip
        for child in (self.first, self.second):
            rows += [
                {
                    "type": "enrollment", "id": child.number, "student": child.number, "household": child.household,
                    "school": SCHOOL, "grade": "3", "entry_date": self.days[0].isoformat(), "version": _version(),
                },
                {
                    "type": "household", "household": child.household, "contact_name": "Robin Madeup",
                    "phones": ["860-555-0123"], "address": "1 Sample Street, Hartford", "language": "es",
                    "interpreter_needed": False, "version": _version(),
                    "students": [
                        {"student": child.number, "given_name": child.given_name, "family_name": "Madeup"}
                    ],
                },
            ]  # fmt: skip
        return rows

    def marks(self, child: Child, places: tuple[int, ...], category: str) -> list[dict[str, Any]]:
        """Mark the child on the days at these places."""
        return [
            {
                "type": "mark", "student": child.number, "school": SCHOOL, "date": self.days[place].isoformat(),
                "category": category, "version": _version(),
            }
            for place in places
        ]  # fmt: skip

    def rolls(self) -> list[dict[str, Any]]:
        """Say that every day's roll is complete."""
        return [
            {"type": "roll_completed", "school": SCHOOL, "date": day.isoformat(), "feed": "exceptions"}
            for day in self.days
        ]


class Story:
    """The story on running services. Each step returns what it came to; nothing waits longer than it must."""

    def __init__(self, found: State, screen: Screen) -> None:
        self.school = School(today=life.today())
        self.zone = found.zone()
        self._screen = screen
        self._addresses = {name: found.address_of(name) for name in found.services}
        self._doors = {name: Door(address, people.acting_as) for name, address in self._addresses.items()}
        self._pseudonyms: Pseudonyms = load_districts(districts.districts_file()).pseudonyms[DISTRICT]

    def close(self) -> None:
        """Hang up at every service."""
        for door in self._doors.values():
            door.close()

    def ask(self, service: str, person: str, method: str, path: str, body: object = None) -> Any:
        """Ask and expect an answer. Raises StoryStuck where the service says no."""
        status, answer = self._doors[service].ask(person, method, path, body)
        if status >= 400:
            raise StoryStuck(f"{service} said {status} to {method} {path.partition('?')[0]}: {answer}")
        return answer

    def send(self, kind: str, records: list[dict[str, Any]]) -> dict[str, Any]:
        """Upload records as the district does, and give the receipt."""
        (receipt,) = push.upload(
            Screen(as_json=True, progress=Console(quiet=True)),
            [push.ndjson(kind, records)],
            address=self._addresses["ingest"],
            district=DISTRICT,
            token=districts.token_of(DISTRICT),
        )
        return receipt

    def absence(self, child: Child) -> dict[str, Any]:
        """Ask flagging why the child is, or isn't, flagged."""
        key = self._pseudonyms.student_key(student=child.number, state_student=None)
        status, answer = self._doors["flagging"].ask(AUDITOR, "GET", f"/v1/students/{key}/absence")
        return answer if status == 200 else {}

    def request_of(self, child: Child) -> dict[str, Any] | None:
        """Find the open request of the child's household in the district's queue."""
        household_key = self._pseudonyms.household_key(child.household)
        path = f"/v1/requests?district={DISTRICT}&limit=1000"
        queue = self.ask("scheduling", SCHEDULER, "GET", path)["requests"]
        return next((each for each in queue if each["household_key"] == household_key), None)

    def change(self, request: dict[str, Any], what: str, **more: object) -> dict[str, Any]:
        """Change the request as the scheduler."""
        path = f"/v1/requests/{request['request_id']}/{what}"
        answer: dict[str, Any] = self.ask(
            "scheduling", SCHEDULER, "POST", path, {"version": request["version"], **more}
        )
        return answer

    def visited(self) -> int:
        """Read the report's line: households visited in the district."""
        lines = self.ask("reporting", READER, "GET", "/v1/funnel")["districts"]
        return next((line["visited"] for line in lines if line["district"] == DISTRICT), 0)

    def page_of(self, request: dict[str, Any]) -> str:
        """Give the address of the request's page."""
        return f"{self._addresses['scheduling']}/requests/{request['request_id']}"

    def know_the_pair(self) -> None:
        """Register the two visitors, if nobody has."""
        for visitor, languages in zip(PAIR, (["en", "es"], ["en"]), strict=True):
            facts = {
                "visitor_id": visitor, "district": DISTRICT, "languages": languages,
                "leap101_valid_from": str(life.today() - timedelta(days=60)),
                "leap101_valid_until": str(life.today() + timedelta(days=600)),
            }  # fmt: skip
            self._doors["scheduling"].ask(COORDINATOR, "POST", "/v1/visitors", facts)  # 409: known already

    def appoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Agree the first time, in the coming days, at which both of the pair can go."""
        for n in range(2, 12):
            day = datetime.combine(life.today() + timedelta(days=n), datetime.min.time(), self.zone)
            for hour in (16, 11, 18, 9, 14):
                starts_at = day.replace(hour=hour).isoformat()
                body = {"version": request["version"], "starts_at": starts_at, "place": "home", "pair": list(PAIR)}
                path = f"/v1/requests/{request['request_id']}/appointment"
                status, answer = self._doors["scheduling"].ask(SCHEDULER, "POST", path, body)
                if status == 200:
                    return dict(answer)
        raise StoryStuck(f"{' and '.join(PAIR)} have no time in the next ten days; press on with another pair")

    def log(self, agreed: dict[str, Any]) -> str:
        """Write the log as one of the pair; the story does not wait for the day of the visit."""
        began, ended = (life.now() - timedelta(minutes=minutes) for minutes in (50, 5))
        body = {
            "visit_id": agreed["visit_id"], "outcome": "took_place", "pair": list(PAIR), "place": "home",
            "started_at": began.isoformat(), "ended_at": ended.isoformat(), "language": "es",
            "voice": {"hopes": "Reading together in the evening.", "obstacles": ["barriers"]},
            "small_step": {"what": "Shoes and bag by the door at eight", "whose": "family"},
        }  # fmt: skip
        path = f"/v1/visit-logs/{uuid4()}"

        def written() -> bool:
            # 404 until the appointment has travelled from the desk to the visit log.
            status, _ = self._doors["visitlog"].ask(PAIR[0], "PUT", path, body)
            return status in (200, 201)

        self.until(written, "the visit log takes the log")
        return f"{self._addresses['visitlog']}{path}"

    def until(self, reached: Callable[[], Any], what: str) -> Any:
        """Ask again until something came. Raises StoryStuck after a minute."""
        deadline = time.monotonic() + EFFECT_SECONDS
        while not (found := reached()):
            if time.monotonic() > deadline:
                raise StoryStuck(f"waited {EFFECT_SECONDS:.0f} s in vain: {what}; `leap status` says what runs")
            time.sleep(POLL_SECONDS)
        return found


def tell(story: Story) -> Iterator[tuple[str, str]]:
    """Go through the story step by step: a title and what happened, each when it is true."""
    school, first, second = story.school, story.school.first, story.school.second
    story.know_the_pair()
    story.send("roster", school.roster())
    visited_before = story.visited()
    yield "A school", f"{first.given_name} and {second.given_name} (made up) attend school {SCHOOL} in Hartford."

    receipt = story.send(
        "attendance",
        [
            *school.marks(first, ABSENT, "unexcused_absence"),
            *school.marks(second, LATER_CORRECTED, "unexcused_absence"),
            *school.rolls(),
        ],
    )
    yield (
        f"{SCHOOL_DAYS} school days",
        f"{first.given_name} missed three, {second.given_name} two. The district's receipt: {receipt['accepted']}"
        f" accepted, {receipt['rejected_rows']} rejected, {receipt['duplicate']} known already.",
    )

    story.until(lambda: story.absence(first).get("level", "none") != "none", "the flag")
    absence = story.absence(first)
    (whole,) = (each for each in absence["accumulators"] if each["accumulator"] == "district")
    yield (
        "A flag",
        f"{whole['days_absent']} of {whole['days_enrolled']} days: {absence['level'].replace('_', ' ')}."
        f" `leap why {absence['student_key'][:8]}` shows the days and the rule.",
    )

    request = story.until(lambda: story.request_of(first), "the request on the desk")
    yield "A request on the desk", f"sign in as {SCHEDULER} and see  {story.page_of(request)}"

    claimed = story.change(request, "claim")
    yield "A claim", f"{SCHEDULER} holds it for 15 minutes; nobody else can."

    answered = story.change(claimed, "answer", way="call", answer="agreed")
    yield "An agreement", "The family was called, and wishes a visit. A decline would have needed no reason."

    agreed = story.appoint(answered)
    starts_at = datetime.fromisoformat(agreed["starts_at"]).astimezone(story.zone)
    yield (
        "A pair",
        f"{' and '.join(PAIR)} go on {starts_at:%A, %d %B, %H:%M}: both trained, both free, one speaks Spanish.",
    )

    story.log(agreed)
    yield "A log", f"{PAIR[0]} wrote down what was said (today already: the story doesn't wait for {starts_at:%A})."

    visited = story.until(lambda: (now := story.visited()) > visited_before and now, "the line in the report")
    yield "A line in the report", f"Hartford: {visited_before} households visited before, {visited} now."

    other = story.until(lambda: story.request_of(second), "the second request")
    yield "Another request", f"{second.given_name}'s two absences flagged too:  {story.page_of(other)}"

    story.send("attendance", school.marks(second, LATER_CORRECTED, "in_attendance"))
    story.until(lambda: story.absence(second).get("level") == "none", "the flag to clear")
    story.until(lambda: story.request_of(second) is None, "the request to be withdrawn")
    yield (
        "A correction",
        f"The school found that {second.given_name} was there. The flag cleared, and the request nobody had touched was"
        " withdrawn; its page says which correction did it.",
    )


def story(screen: Screen, *, pace_seconds: float) -> int:
    """Tell the story, with time to read between its steps; 0 when it came to its end."""
    told: list[dict[str, str]] = []
    with closing(Story(state.load_running(), screen)) as here:
        for nth, (title, happened) in enumerate(tell(here), start=1):
            if told:
                time.sleep(pace_seconds)
            told.append({"step": title, "happened": happened})
            screen.say(f"\n {nth:2}  {title}\n     {happened}")
    screen.give({"story": told})
    screen.say("\n     The end. Every step was a real event on Kafka and a real row in PostgreSQL.")
    return 0
