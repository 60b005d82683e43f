"""Who may go together, and who had best: hard rules filter, soft objectives rank. No clock, no database.

Every rule answers in reasons, a code with its values, so that a page can say it in the reader's language.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.calendar import local_day, monday_of, start_of_day
from services.scheduling.rules.bounds import Day, LocalTime, Part
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import NotPossible
from services.scheduling.rules.wording import N_

FURTHEST = timedelta(days=366)
SHORTEST_MINUTES, LONGEST_MINUTES = 15, 240
FEW_SPEAKERS = 2
"""A language that so many of a district's visitors speak, or fewer, is scarce."""

Value = str | int | date | time | datetime

SENTENCES = {
    # Hard: why not.
    "not_a_pair": N_("visits are made in pairs: name exactly two different visitors"),
    "not_registered": N_("%(visitor)s is not registered as a visitor; register them or name another"),
    "another_district": N_("%(visitor)s visits for another district; name another"),
    "inactive": N_("%(visitor)s does not visit any more; name another"),
    "leap101": N_("%(visitor)s has no LEAP 101 valid on %(day)s; name another or renew it"),
    "excluded": N_("%(visitor)s is not to visit this household; name another"),
    "away": N_("%(visitor)s is away from %(first_day)s to %(last_day)s; take another day or name another"),
    "not_available": N_("%(visitor)s is not available on %(day)s from %(begins)s to %(ends)s; take another time"),
    "booked": N_("%(visitor)s is booked from %(begins)s to %(ends)s and free again at %(free_at)s, travel included"),
    "weekly_cap": N_("%(visitor)s has %(visits)s visits that week and makes at most %(cap)s; name another"),
    "language": N_("nobody of the pair speaks %(language)s; book an interpreter or choose another pair"),
    "past": N_("a visit is agreed in advance: choose a time in the future"),
    "notice": N_("a visit is agreed at least %(hours)s hours ahead; choose a later time"),
    "too_far": N_("a visit can be agreed up to %(days)s days ahead; choose an earlier day"),
    "night": N_("visits are made between %(earliest)s and %(latest)s; choose a time inside those hours"),
    "length": N_("a visit takes between %(shortest)s and %(longest)s minutes"),
    "window": N_("name a window of at most one day that ends after it begins and is long enough for the visit"),
    "consent": N_("a visit needs the family's consent first; record the answer 'agreed'"),
    "place_text": N_("name the community place in at most 200 characters; a home needs no name"),
    "unchanged": N_("nothing would change; choose another time, place or pair"),
    "confirmed": N_("the visit is confirmed already"),
    "offered": N_("name up to twenty windows that end after they begin and lie ahead"),
    "none_scheduled": N_("no visit lies ahead of this request; agree one first"),
    "none_before": N_("this visit was never moved; there is no earlier appointment to go back to"),
    "not_confirmed": N_("the visit is not confirmed; there is nothing to take back"),
    "nobody": N_("no visitor is free at any time of the window"),
    "only_one": N_("only %(visitor)s is free in the window; visits need two"),
    "never_together": N_("no two visitors are free at the same time in the window"),
    "no_times": N_("the family has offered no time in this week; ask when it could"),
    "no_speaker": N_("no visitor who speaks %(language)s is free with another from %(begins)s to %(ends)s"),
    "taken": N_("whoever is free from %(begins)s to %(ends)s is proposed for other visits; ask for another time"),
    # Soft: why these two.
    "knows_family": N_("%(visitor)s has visited this family before (%(visits)s)"),
    "from_school": N_("%(visitor)s is from %(school)s"),
    "speaks": N_("%(visitor)s speaks %(language)s"),
    "interpreter": N_("nobody of the pair speaks %(language)s: an interpreter is to be booked"),
    "near": N_("%(visitor)s visits another family of %(school)s that day"),
    "load": N_("%(visitor)s has %(visits)s of %(cap)s visits that week"),
    "scarce": N_("%(visitor)s speaks %(language)s, which few visitors do and other families may need"),
    "hours_unknown": N_("%(visitor)s has not said when they are available"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a code and its values; `points` is what a soft reason adds to a pair, or takes.

    A moment among the values stands on the local clock.
    """

    code: str
    values: Mapping[str, Value] = field(default_factory=dict)
    points: int = 0

    @property
    def msgid(self) -> str:
        """The English sentence with placeholders, by which translations are found."""
        return SENTENCES[self.code]


def because(code: str, **values: Value) -> Reason:
    """Name a reason."""
    return Reason(code, values)


def worth(points: int, code: str, **values: Value) -> Reason:
    """Name a reason that counts for a pair, or against it."""
    return Reason(code, values, points)


def on_the_clock(moments: Mapping[str, datetime], *, zone: tzinfo) -> dict[str, datetime]:
    """Put moments on the local clock, as a reason has them."""
    return {name: moment.astimezone(zone) for name, moment in moments.items()}


def say(reason: Reason) -> str:
    """Say a reason in English."""
    return reason.msgid % spoken(reason)


def spoken(reason: Reason) -> dict[str, str | int]:
    """Give a reason's values as text that reads the same in every language, times on the local clock."""
    return {name: _spoken(value) for name, value in reason.values.items()}


def _spoken(value: Value) -> str | int:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, time):
        return f"{value:%H:%M}"
    return value.isoformat() if isinstance(value, date) else value


class AppointmentRefused(NotPossible):
    """The appointment breaks rules; each reason says which and what to do."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)
        first = self.reasons[0]
        super().__init__(first.code, first.msgid, **spoken(first))
        self.args = ("; ".join(map(say, reasons)),)


class Window(Part):
    """Hours of a weekday (1 is Monday) in which a visitor is available, local time."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    begins: LocalTime
    ends: LocalTime


class Away(Part):
    """Days on which a visitor is not available, both included."""

    first_day: Day
    last_day: Day


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person trained to visit. Without windows: available in all visiting hours."""

    visitor_id: str
    district: str
    affiliation: str
    school: str | None
    languages: tuple[str, ...]
    leap101_valid_from: date
    leap101_valid_until: date
    windows: tuple[Window, ...] = ()
    away: tuple[Away, ...] = ()
    weekly_cap: int
    excluded_households: frozenset[UUID] = frozenset()
    active: bool = True
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A visitor's part in an agreed visit; `free_at` is its end with the travel after it."""

    visit_id: UUID
    visitor_id: str
    household_key: UUID
    school: str
    starts_at: datetime
    ends_at: datetime
    free_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """A visit that is wanted: whom, how long, in which language. `interpreter` None: if it turns out to be needed.

    `zone` is where it is: its day, and the hours in which somebody is available, are those of the local clock.
    """

    household_key: UUID
    district: str
    schools: frozenset[str]
    starts_at: datetime
    minutes: int
    language: str
    zone: tzinfo
    interpreter: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """What each soft objective weighs. Sums are compared, so that every pair's rank can be read from its reasons."""

    knows_family: int = 40
    speaks: int = 30
    from_school: int = 20
    near: int = 10
    load: int = -4
    hours_unknown: int = -5
    scarce: int = -15


POINTS = Points()


Bookings = Mapping[str, Sequence[Booking]]


def speaks(visitor: Visitor, language: str) -> bool:
    """Compare languages without their regions: Portuguese of Brazil is understood in Lisbon."""
    wanted = language.partition("-")[0]
    return any(spoken.partition("-")[0] == wanted for spoken in visitor.languages)


def is_from_school(visitor: Visitor, schools: Container[str]) -> bool:
    """Say whether the visitor is a member of one of the schools."""
    return visitor.affiliation == "school" and visitor.school is not None and visitor.school in schools


def ends_at(meeting: Meeting) -> datetime:
    """Name the end of a meeting."""
    return meeting.starts_at + timedelta(minutes=meeting.minutes)


def hindrances_of_time(
    *, starts_at: datetime, minutes: int, policy: Policy, as_of: datetime, zone: tzinfo
) -> list[Reason]:
    """Say why nobody may visit then: past, at too short notice, too far ahead, too long, or at night."""
    if starts_at <= as_of:
        return [because("past")]
    if starts_at - as_of < timedelta(hours=policy.min_notice_hours):
        return [because("notice", hours=policy.min_notice_hours)]
    if starts_at - as_of > FURTHEST:
        return [because("too_far", days=FURTHEST.days)]
    if not SHORTEST_MINUTES <= minutes <= LONGEST_MINUTES:
        return [because("length", shortest=SHORTEST_MINUTES, longest=LONGEST_MINUTES)]
    begins, ends = starts_at.astimezone(zone), (starts_at + timedelta(minutes=minutes)).astimezone(zone)
    inside = begins.hour >= policy.earliest_hour and (ends.hour, ends.minute, ends.second) <= (policy.latest_hour, 0, 0)
    if begins.date() == ends.date() and inside:
        return []
    return [because("night", earliest=f"{policy.earliest_hour:02}:00", latest=f"{policy.latest_hour:02}:00")]


def week_around(moment: datetime, *, zone: tzinfo) -> tuple[datetime, datetime]:
    """Name the beginning of the local week of `moment`, Monday to Sunday, and of the next."""
    monday = monday_of(local_day(moment, zone=zone))
    return start_of_day(monday, zone=zone), start_of_day(monday + timedelta(days=7), zone=zone)


def visits_in_week(bookings: Iterable[Booking], moment: datetime, moving: UUID | None = None, *, zone: tzinfo) -> int:
    """Count a visitor's visits in the week of `moment`, without the one that is being moved."""
    begins_at, ends_at = week_around(moment, zone=zone)
    return sum(begins_at <= each.starts_at < ends_at for each in bookings if each.visit_id != moving)


def is_available(visitor: Visitor, *, begins: datetime, ends: datetime, zone: tzinfo) -> bool:
    """Say whether the visitor's hours cover all of the time; hours that touch are one."""
    if not visitor.windows:
        return True
    begins, ends = begins.astimezone(zone), ends.astimezone(zone)
    covered = begins.time()
    for window in sorted(visitor.windows, key=lambda w: w.begins):
        if window.weekday == begins.isoweekday() and window.begins <= covered <= window.ends:
            covered = window.ends
    return begins.date() == ends.date() and covered >= ends.time()


def hindrances(
    *, visitor: Visitor, meeting: Meeting, bookings: Sequence[Booking], policy: Policy, moving: UUID | None = None
) -> list[Reason]:
    """Say why this visitor can't go, all reasons, the most lasting first; none when they can.

    `bookings` are the visitor's own; `moving` is the visit that is being moved, which hinders nobody.
    """
    who = visitor.visitor_id
    found: list[Reason] = []
    ends = ends_at(meeting)
    day = local_day(meeting.starts_at, zone=meeting.zone)
    if visitor.district != meeting.district:
        return [because("another_district", visitor=who)]
    if not visitor.active:
        found.append(because("inactive", visitor=who))
    if not visitor.leap101_valid_from <= day <= visitor.leap101_valid_until:
        found.append(because("leap101", visitor=who, day=day))
    if meeting.household_key in visitor.excluded_households:
        found.append(because("excluded", visitor=who))
    for away in visitor.away:
        if away.first_day <= day <= away.last_day:
            found.append(because("away", visitor=who, first_day=away.first_day, last_day=away.last_day))
    if not is_available(visitor, begins=meeting.starts_at, ends=ends, zone=meeting.zone):
        when = on_the_clock({"begins": meeting.starts_at, "ends": ends}, zone=meeting.zone)
        hours = {name: moment.time() for name, moment in when.items()}
        found.append(because("not_available", visitor=who, day=day, **hours))
    free_at = ends + timedelta(minutes=policy.travel_minutes)
    for booking in bookings:
        if booking.visit_id != moving and booking.starts_at < free_at and meeting.starts_at < booking.free_at:
            when = {"begins": booking.starts_at, "ends": booking.ends_at, "free_at": booking.free_at}
            found.append(because("booked", visitor=who, **on_the_clock(when, zone=meeting.zone)))
    visits = visits_in_week(bookings, meeting.starts_at, moving, zone=meeting.zone)
    if visits >= visitor.weekly_cap:
        found.append(because("weekly_cap", visitor=who, visits=visits, cap=visitor.weekly_cap))
    return found


def hindrances_of_pair(
    *,
    pair: Sequence[str],
    visitors: Mapping[str, Visitor],
    meeting: Meeting,
    bookings: Bookings,
    policy: Policy,
    moving: UUID | None = None,
) -> list[Reason]:
    """Say why these two can't go, all reasons; none when they can."""
    if len(pair) != 2 or pair[0] == pair[1]:
        return [because("not_a_pair")]
    found: list[Reason] = []
    for who in pair:
        if who not in visitors:
            found.append(because("not_registered", visitor=who))
            continue
        found += hindrances(
            visitor=visitors[who], meeting=meeting, bookings=bookings.get(who, ()), policy=policy, moving=moving
        )
    known = [visitors[who] for who in pair if who in visitors]
    if meeting.interpreter is False and len(known) == 2 and not any(speaks(v, meeting.language) for v in known):
        found.append(because("language", language=meeting.language))
    return found


def needs_interpreter(*, pair: Iterable[Visitor], meeting: Meeting) -> bool:
    """Say whether an interpreter comes along: as wished, or because neither speaks the language."""
    if meeting.interpreter is not None:
        return meeting.interpreter
    return not any(speaks(visitor, meeting.language) for visitor in pair)


def scarce_languages(visitors: Iterable[Visitor]) -> frozenset[str]:
    """Name the languages that few of the active visitors speak."""
    speakers: dict[str, int] = {}
    for visitor in visitors:
        if visitor.active:
            for language in {spoken.partition("-")[0] for spoken in visitor.languages}:
                speakers[language] = speakers.get(language, 0) + 1
    return frozenset(language for language, count in speakers.items() if count <= FEW_SPEAKERS)


def merits(
    *,
    visitor: Visitor,
    meeting: Meeting,
    bookings: Sequence[Booking],
    visits_before: int,
    scarce: frozenset[str],
    moving: UUID | None = None,
) -> list[Reason]:
    """Say what speaks for a visitor, and against: what counts for each of the two alone."""
    who = visitor.visitor_id
    found: list[Reason] = []
    if visits_before:
        found.append(worth(POINTS.knows_family, "knows_family", visitor=who, visits=visits_before))
    day = local_day(meeting.starts_at, zone=meeting.zone)
    for booking in bookings:
        same_day = local_day(booking.starts_at, zone=meeting.zone) == day
        if booking.visit_id != moving and same_day and booking.school in meeting.schools:
            found.append(worth(POINTS.near, "near", visitor=who, school=booking.school))
            break
    visits = visits_in_week(bookings, meeting.starts_at, moving, zone=meeting.zone)
    found.append(worth(POINTS.load * visits, "load", visitor=who, visits=visits, cap=visitor.weekly_cap))
    wanted = meeting.language.partition("-")[0]
    for language in sorted({spoken.partition("-")[0] for spoken in visitor.languages} & scarce - {wanted}):
        found.append(worth(POINTS.scarce, "scarce", visitor=who, language=language))
    if not visitor.windows:
        found.append(worth(POINTS.hours_unknown, "hours_unknown", visitor=who))
    return found


def merits_of_pair(*, pair: Sequence[Visitor], meeting: Meeting) -> list[Reason]:
    """Say what counts once for both: one from the school, one who speaks the family's language."""
    found: list[Reason] = []
    speaker = next((v for v in pair if speaks(v, meeting.language)), None)
    if speaker is not None:
        who = speaker.visitor_id
        found.append(worth(POINTS.speaks, "speaks", visitor=who, language=meeting.language))
    else:
        found.append(because("interpreter", language=meeting.language))
    for visitor in pair:
        if visitor.school is not None and is_from_school(visitor, meeting.schools):
            found.append(worth(POINTS.from_school, "from_school", visitor=visitor.visitor_id, school=visitor.school))
            break
    return found
