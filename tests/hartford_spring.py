"""Hartford's first spring, April to June 2021, as events: 210 documented visits, half of the state's; 30 trained.

The totals are published (DOMAIN: "30 staff trained (the most), 210 visits (half of all documented statewide)"). Who
went when is made up, by counting and not by chance: the same events every time. No visitor is in two places at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from uuid import UUID

from contracts import events
from contracts.events import Level, Outcome, Place
from tests.builders import key
from tests.zones import HERE

HARTFORD = "hartford"
HARTFORD_VISITS, STATE_VISITS = 210, 420
HARTFORD_TRAINED = 30
FIRST_DAY, LAST_DAY = date(2021, 4, 12), date(2021, 6, 11)

# The other fourteen districts of 2021: visits made and visitors trained, each fewer than Hartford's.
ELSEWHERE: dict[str, tuple[int, int]] = {
    "bridgeport": (24, 12), "crec": (12, 8), "danbury": (14, 8), "east-hartford": (16, 8), "manchester": (14, 8),
    "meriden": (16, 8), "new-britain": (20, 10), "new-haven": (26, 14), "new-london": (8, 4), "norwich": (8, 4),
    "stamford": (16, 10), "torrington": (6, 4), "waterbury": (22, 12), "windham": (8, 4),
}  # fmt: skip

_HOURS = (15, 17, 19)
_SCHOOLS = ("01", "02", "03", "04", "05")

E = TypeVar("E", bound=events.Event)


@dataclass(frozen=True, slots=True)
class Happened:
    """One event with the topic and the key under which it is published."""

    topic: str
    key: str
    event: events.Event


def visits_of(district: str) -> int:
    """How many visits of the spring were the district's."""
    return HARTFORD_VISITS if district == HARTFORD else ELSEWHERE[district][0]


def trained_of(district: str) -> int:
    """How many visitors the district had trained."""
    return HARTFORD_TRAINED if district == HARTFORD else ELSEWHERE[district][1]


def households_of(district: str) -> int:
    """How many households were visited: of seven visits two are the second to a household."""
    return visits_of(district) - visits_of(district) * 2 // 7


def hartford_spring() -> list[Happened]:
    """Return the spring of all fifteen districts, in the order in which it happened."""
    spring = [happened for district in (HARTFORD, *ELSEWHERE) for happened in _district(district)]
    return sorted(spring, key=lambda happened: happened.event.occurred_at)


def _district(district: str) -> Iterator[Happened]:
    for number in range(trained_of(district)):
        yield _trained(district, number)
    for number in range(visits_of(district)):
        household = number % households_of(district)
        if number == household:
            yield _requested(district, household)
        yield from _visit(district, number, household)


def _trained(district: str, number: int) -> Happened:
    visitor_id = _visitor(district, number)
    event = _event(
        events.VisitorChanged,
        f"{visitor_id} trained",
        district,
        datetime(2021, 4, 5, 14, 0, tzinfo=UTC) + timedelta(minutes=number),
        visitor_id=visitor_id,
        affiliation=("school", "district", "agency")[number % 3],
        languages=("en", "es") if number % 2 else ("en",),
        leap101_valid_from=date(2021, 4, 5),
        leap101_valid_until=date(2022, 6, 30),
        version=1,
    )
    return Happened("visitors", visitor_id, event)


def _requested(district: str, household: int) -> Happened:
    event = _event(
        events.VisitRequested,
        f"{district} request {household}",
        district,
        datetime(2021, 4, 6, 14, 0, tzinfo=UTC) + timedelta(minutes=household),
        **_request(district, household, version=1),
        school=_school(district, household),
        students=(
            events.FlaggedStudent(
                student_key=key(f"{district} student {household}"),
                school=_school(district, household),
                level=Level.SEVERELY_CHRONICALLY_ABSENT if household % 3 == 0 else Level.CHRONICALLY_ABSENT,
                days_absent=28 if household % 3 == 0 else 16,
                days_enrolled=130,
            ),
        ),
    )
    return Happened("home-visits", str(event.household_key), event)


def _visit(district: str, number: int, household: int) -> Iterator[Happened]:
    starts_at = _starts_at(district, number)
    second = number >= households_of(district)
    agreed: dict[str, Any] = {
        "visit_id": key(f"{district} visit {number}"),
        "pair": _pair(district, number),
        "place": Place.COMMUNITY if number % 5 == 4 else Place.HOME,
        "language": "es" if number % 4 == 1 else "en",
    }
    scheduled = _event(
        events.VisitScheduled,
        f"{district} scheduled {number}",
        district,
        # The day before, and after the request.
        starts_at - timedelta(days=1),
        **_request(district, household, version=8 if second else 4),
        **agreed,
        starts_at=starts_at,
        follow_up=second,
    )
    yield Happened("home-visits", str(scheduled.household_key), scheduled)
    ended_at = starts_at + timedelta(minutes=45)
    completed = _event(
        events.VisitCompleted,
        f"{district} completed {number}",
        district,
        ended_at + timedelta(hours=1),
        **agreed,
        household_key=_household(district, household),
        log_id=key(f"{district} log {number}"),
        outcome=Outcome.TOOK_PLACE,
        started_at=starts_at,
        ended_at=ended_at,
        efforts=tuple(
            events.Effort(visitor_id=visitor_id, minutes=45, travel_minutes=25, mileage_tenths=62)
            for visitor_id in agreed["pair"]
        ),
    )
    yield Happened("visit-log", str(completed.household_key), completed)


def _weekdays() -> list[date]:
    days = (FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1))
    return [day for day in days if day.weekday() < 5]


def _starts_at(district: str, number: int) -> datetime:
    # Evenly over the spring, earlier visits first; the hours take turns.
    days = _weekdays()
    day = days[number * len(days) // visits_of(district)]
    return datetime.combine(day, time(_HOURS[number % len(_HOURS)]), HERE).astimezone(UTC)


def _pair(district: str, number: int) -> tuple[str, str]:
    trained = trained_of(district)
    return _visitor(district, 2 * number % trained), _visitor(district, (2 * number + 1) % trained)


def _request(district: str, household: int, *, version: int) -> dict[str, Any]:
    request_id = key(f"{district} request of {household}")
    return {"household_key": _household(district, household), "request_id": request_id, "version": version}


def _household(district: str, household: int) -> UUID:
    return key(f"{district} household {household}")


def _school(district: str, household: int) -> str:
    return f"{district[:3].upper()}{_SCHOOLS[household % len(_SCHOOLS)]}"


def _visitor(district: str, number: int) -> str:
    return f"{district}-{number:02}"


def _event(model: type[E], word: str, district: str, occurred_at: datetime, **fields: Any) -> E:
    envelope = {"event_id": key(f"spring {word}"), "event_type": model.EVENT_TYPE, "occurred_at": occurred_at}
    return model.model_validate({**envelope, "district": district, **fields})
