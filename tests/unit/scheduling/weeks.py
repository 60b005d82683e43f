"""Made-up weeks for the planner: drawn by a seed, so that a failing one can be drawn again."""

import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import Booking, Meeting, Reason, Visitor, Window
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.week import Planned, Wanted, Week
from tests.unit.scheduling.who_goes import visitor
from tests.zones import HERE

MONDAY = date(2026, 10, 5)
SUNDAY_EVENING = datetime(2026, 10, 4, 18, 0, tzinfo=HERE)
POLICY = Policy(min_notice_hours=0)


def moment(day: int, hour: float) -> datetime:
    """A time of the week on the local clock."""
    return datetime.combine(MONDAY + timedelta(days=day), time(int(hour), int(hour % 1 * 60)), HERE)


def wanted(number: int, *times: tuple[datetime, datetime], **fields: object) -> Wanted:
    """An hour's visit to an English-speaking family of H01."""
    ordinary: dict[str, object] = {
        "request_id": UUID(int=0x0C << 120 | number),
        "household_key": UUID(int=0x0B << 120 | number),
        "schools": frozenset({"H01"}),
        "language": "en",
        "minutes": 60,
        "times": times,
    }
    return Wanted(**{**ordinary, **fields})  # type: ignore[arg-type]


def week(visitors: list[Visitor], wishes: list[Wanted], bookings: dict[str, list[Booking]] | None = None) -> Week:
    """These visitors and these wishes, seen from the evening before."""
    return Week(
        monday=MONDAY,
        district="hartford",
        visitors=tuple(visitors),
        wanted=tuple(wishes),
        bookings=bookings or {},
        as_of=SUNDAY_EVENING,
        zone=HERE,
    )


def meeting_of(world: Week, wish: Wanted, starts_at: datetime) -> Meeting:
    """The wish as the appointment it would be at that time."""
    return Meeting(
        household_key=wish.household_key,
        district=world.district,
        schools=wish.schools,
        starts_at=starts_at,
        minutes=wish.minutes,
        language=wish.language,
        zone=world.zone,
        interpreter=wish.interpreter,
    )


def against(world: Week, planned: Sequence[Planned], visit: Planned) -> list[Reason]:
    """What the desk would say against one visit of a plan if all of the plan were booked."""
    wishes = {wish.request_id: wish for wish in world.wanted}
    wish = wishes[visit.request_id]
    bookings = {who: list(booked) for who, booked in world.bookings.items()}
    for other in planned:
        for who in other.pair:
            bookings.setdefault(who, []).append(
                Booking(
                    visit_id=other.request_id,
                    visitor_id=who,
                    household_key=wishes[other.request_id].household_key,
                    school="H01",
                    starts_at=other.starts_at,
                    ends_at=other.ends_at,
                    free_at=other.ends_at + timedelta(minutes=POLICY.travel_minutes),
                )
            )
    found = pairing.hindrances_of_pair(
        pair=visit.pair,
        visitors={person.visitor_id: person for person in world.visitors},
        meeting=meeting_of(world, wish, visit.starts_at),
        bookings=bookings,
        policy=POLICY,
        moving=visit.request_id,
    )
    found += pairing.hindrances_of_time(
        starts_at=visit.starts_at, minutes=wish.minutes, policy=POLICY, as_of=world.as_of, zone=world.zone
    )
    if not any(begins <= visit.starts_at and visit.ends_at <= ends for begins, ends in wish.times):
        found.append(pairing.because("no_times"))
    return found


def drawn_week(seed: int, *, visitors: int, requests: int, days: int = 5) -> Week:
    """Evenings and a few afternoons, three schools, three languages, too few people for all of it."""
    chance = random.Random(seed)
    people = [
        visitor(
            f"v{number:02}",
            affiliation=chance.choice(["school", "district", "agency"]),
            school=chance.choice(["H01", "H02", "H03"]),
            languages=("en", *chance.choice([(), (), ("es",), ("pt",)])),
            windows=tuple(
                Window(weekday=day, begins=time(chance.choice([8, 12, 15])), ends=time(20))
                for day in chance.sample(range(1, days + 1), chance.randint(min(2, days), days))
            ),
            weekly_cap=chance.choice([2, 3, 4]),
        )
        for number in range(visitors)
    ]
    bookings: dict[str, list[Booking]] = {}
    for number, person in enumerate(people[::3]):
        starts_at = moment(chance.randrange(days), chance.choice([9, 16]))
        ends_at = starts_at + timedelta(minutes=60)
        bookings[person.visitor_id] = [
            Booking(
                visit_id=UUID(int=0x0D << 120 | number),
                visitor_id=person.visitor_id,
                household_key=UUID(int=0x0B << 120 | 9000 + number),
                school="H02",
                starts_at=starts_at,
                ends_at=ends_at,
                free_at=ends_at + timedelta(minutes=30),
            )
        ]
    wishes = []
    for number in range(requests):
        times = []
        for day in chance.sample(range(days), chance.randint(1, min(2, days))):
            begins = chance.choice([10, 15, 16, 16.5, 17])
            times.append((moment(day, begins), moment(day, begins + chance.choice([1, 1.5, 2, 3]))))
        wishes.append(
            wanted(
                number,
                *times,
                schools=frozenset({chance.choice(["H01", "H02", "H03"])}),
                language=chance.choice(["en", "en", "es", "pt"]),
                interpreter=chance.choice([None, None, False]),
                minutes=chance.choice([45, 60, 60]),
                points=chance.randint(0, 400),
                pinned=chance.random() < 0.1,
                visits_before={chance.choice(people).visitor_id: 1} if chance.random() < 0.3 else {},
            )
        )
    return week(people, wishes, bookings)
