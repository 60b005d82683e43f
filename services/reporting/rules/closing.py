"""When a month's numbers may be told, and what they lack: schools that have not closed it, rolls that are missing."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from contracts.calendar import first_day_of, school_year_of
from services.reporting.rules.measures import N_
from services.reporting.rules.policies import STANDARD, Policy

PUBLISHED_ON = 15
"""The day of the next month on which a month is published at the latest."""

SILENT_DAYS, WAITS_DAYS = 4, 5
"""Of longer silence it is the service that is behind, not the state: then a publication waits so many days more."""

NAMED = 12
"""So many are named in a sentence; the JSON names all."""

Say = Callable[..., str]


class School(NamedTuple):
    """A school, by its district's code and its own."""

    district: str
    school: str


class SchoolMonth(NamedTuple):
    """That a school taught in a month, and whether the month has closed for it."""

    month: date
    school: School
    closed: bool


class MissingRolls(NamedTuple):
    """How many school days a school's closed months have without a complete roll."""

    school: School
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacks:
    """What numbers up to a month's end do not hold.

    `districts`: none of whose schools has closed the month; `schools`: those that have not, in other districts; neither
    is counted at all. `rolls`: missing in months that have closed.
    """

    districts: tuple[str, ...] = ()
    schools: tuple[School, ...] = ()
    rolls: tuple[MissingRolls, ...] = ()

    def of_districts(self, visible: Collection[str]) -> "Lacks":
        """Leave out what is said of other districts."""
        return Lacks(
            districts=tuple(each for each in self.districts if each in visible),
            schools=tuple(each for each in self.schools if each.district in visible),
            rolls=tuple(each for each in self.rolls if each.school.district in visible),
        )

    def sentence(self, say: Say, place: Callable[[str], str] = str) -> str:
        """Tell it in one sentence."""

        def school(each: School) -> str:
            return f"{each.school} ({place(each.district)})"

        told = []
        if self.districts:
            named = _named((place(each) for each in self.districts), len(self.districts), say)
            told.append(say(N_("the month has not closed in %(districts)s"), districts=named))
        if self.schools:
            named = _named(map(school, self.schools), len(self.schools), say)
            told.append(say(N_("the month has not closed at %(schools)s"), schools=named))
        if self.rolls:
            days = sum(each.days for each in self.rolls)
            rolls = (f"{school(each.school)}: {each.days}" for each in self.rolls)
            named = _named(rolls, len(self.rolls), say)
            told.append(
                say(N_("school days without a complete roll: %(days)s, at %(schools)s"), days=days, schools=named)
            )
        if not told:
            return say(N_("Nothing is missing: every known school has closed the month, and every roll is complete."))
        return say(N_("Missing: %(what)s."), what="; ".join(told))


def is_behind(*, today: date, heard_on: date | None) -> bool:
    """Say whether what is due on the 15th should wait: what is frozen while a service catches up stays wrong."""
    waits = PUBLISHED_ON <= today.day < PUBLISHED_ON + WAITS_DAYS
    return waits and (heard_on is None or (today - heard_on).days > SILENT_DAYS)


class Closed(NamedTuple):
    """A month up to which students are counted, cumulative from the school year's first, and by which policy.

    `as_of` is the last school day that counts.
    """

    first_month: date
    month: date
    as_of: date
    lacks: Lacks = Lacks()
    policy: Policy = STANDARD


def lacking(month: date, told: Iterable[SchoolMonth], *, flagged: Iterable[str] = ()) -> Lacks:
    """Say which districts and schools have not closed a month.

    Known are the schools that taught in it or in the month before, of the same school year, and the districts with a
    flag this year. A month in which nobody is known to teach lacks nothing.
    """
    before = (month - timedelta(days=1)).replace(day=1)
    months = {month} if month == first_day_of(school_year_of(month)) else {before, month}
    of_months = [each for each in told if each.month in months]
    known = {each.school for each in of_months}
    closed = {each.school for each in of_months if each.closed and each.month == month}
    closing = {each.district for each in closed}
    districts = {each.district for each in known} | ({*flagged} if known else set())
    return Lacks(
        districts=tuple(sorted(districts - closing)),
        schools=tuple(sorted(each for each in known - closed if each.district in closing)),
    )


def is_due(month: date, told: Iterable[SchoolMonth], *, today: date, lacks: Lacks) -> bool:
    """Say whether the month's numbers are told: when it has closed for all who are known, at the latest on the 15th."""
    latest = day_after_month(month).replace(day=PUBLISHED_ON)
    has_closed = any(each.closed for each in told if each.month == month)
    return today >= latest or (has_closed and not lacks.districts and not lacks.schools)


def day_after_month(month: date) -> date:
    """Give the first day of the next month."""
    return (month + timedelta(days=31)).replace(day=1)


def as_document(lacks: Lacks) -> dict[str, Any]:
    """Make the JSON of it, the sentence in English with it."""
    return {
        "sentence": lacks.sentence(lambda text, **values: text % values if values else text),
        "districts": list(lacks.districts),
        "schools": [each._asdict() for each in lacks.schools],
        "rolls": [{**each.school._asdict(), "days": each.days} for each in lacks.rolls],
    }


def from_document(document: dict[str, Any]) -> Lacks:
    """Read back what `as_document` wrote."""
    return Lacks(
        districts=tuple(document["districts"]),
        schools=tuple(School(each["district"], each["school"]) for each in document["schools"]),
        rolls=tuple(MissingRolls(School(each["district"], each["school"]), each["days"]) for each in document["rolls"]),
    )


def _named(names: Iterable[str], count: int, say: Say) -> str:
    first = ", ".join(name for name, _ in zip(names, range(NAMED), strict=False))
    if count <= NAMED:
        return first
    return say(N_("%(names)s and %(more)s more"), names=first, more=count - NAMED)
