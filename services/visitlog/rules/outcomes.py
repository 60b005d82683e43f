"""The rules of a visitor's log. No clock, no database: every rule is told what time it is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from uuid import UUID

from contracts.calendar import local_day, log_overdue_before, start_of_day
from services.visitlog.rules.form import Log
from services.visitlog.rules.wording import N_ as _

PHONE_CLOCK_TOLERANCE = timedelta(minutes=5)
"""A visitor's phone may run ahead by this much; a log must not be lost over it."""

LOGGED_WITHIN = timedelta(days=366)
LONGEST_VISIT = timedelta(hours=12)
ANOTHER_TRY_AFTER = timedelta(minutes=30)
"""Two logs of one visit that start closer together tell of the same door: the pair wrote it twice."""

TOOK_PLACE = "took_place"
REFERRAL_ORDER = ("offered", "accepted", "handed_over", "connected", "closed")


class Refusal(Exception):
    """A log that can't be accepted. The message says what to do instead, and never names a family."""


class VisitUnknown(Refusal):
    """No such visit was agreed, its news is still on the way, or it is none of this person's."""

    def __init__(self) -> None:
        super().__init__(_("No visit of yours is known by this id. If it was agreed just now, try again in a moment."))


class LogUnknown(Refusal):
    """There is no log with this client id, or it is none of this person's."""

    def __init__(self) -> None:
        super().__init__(_("There is no log of yours with this id. Write it first."))


class WordsNotKept(Refusal):
    """The family wished to be forgotten, or the log is older than its district keeps words: nothing is added to it."""

    def __init__(self) -> None:
        super().__init__(_("Words of this log are not kept any more, so nothing can be added to it."))


class LogDiffers(Refusal):
    """Another log stands under this client id: logs are never overwritten."""

    def __init__(self, *, standing: Mapping[str, object], sent: Mapping[str, object]) -> None:
        self.standing = standing
        self.sent = sent
        super().__init__(_("Another log stands under this id. Add to it with an amendment; nothing is overwritten."))


class VisitLogged(Refusal):
    """The visit has a log: the other visitor of the pair was faster, or a second page was open."""

    def __init__(self, *, log_id: UUID) -> None:
        self.log_id = log_id
        super().__init__(_("This visit is logged already. What you wrote can be added to that log as an amendment."))


class ReferralBackwards(Refusal):
    """A referral only goes forwards."""

    def __init__(self) -> None:
        super().__init__(_("A referral only goes forwards, and a closed one stays closed. Make a new one instead."))


class LogInvalid(Refusal):
    """The log contradicts itself or the clock."""


def check_log(*, log: Log, as_of: datetime, zone: tzinfo) -> None:
    """Raise LogInvalid unless two people were there, the times can be, and promises lie ahead of them."""
    ended_at = log.ended_at
    efforts_of = [effort.visitor_id for effort in log.efforts]
    if len(log.pair) != 2 or log.pair[0] == log.pair[1]:
        raise LogInvalid(_("Visits are made in pairs. Name exactly two different visitors."))
    if len(set(efforts_of)) != len(efforts_of) or not set(efforts_of) <= set(log.pair):
        raise LogInvalid(_("Time and travel belong to the two visitors of the pair, once each."))
    if log.outcome == TOOK_PLACE and ended_at is None:
        raise LogInvalid(_("A visit that took place has an end. Say when it ended."))
    if ended_at is not None and ended_at <= log.started_at:
        raise LogInvalid(_("The end must be later than the start."))
    if ended_at is not None and ended_at - log.started_at > LONGEST_VISIT:
        raise LogInvalid(_("A visit is not longer than twelve hours. Check the start and the end."))
    if max(log.started_at, ended_at or log.started_at) > as_of + PHONE_CLOCK_TOLERANCE:
        raise LogInvalid(_("A log tells what happened. Start and end can't lie in the future."))
    if log.started_at < as_of - LOGGED_WITHIN:
        raise LogInvalid(_("This visit is more than a year ago. Check the date."))
    visited_on = local_day(log.started_at, zone=zone)
    if log.follow_up is not None and log.follow_up.due < visited_on:
        raise LogInvalid(_("The next visit or call comes after this one. Choose a later day."))
    if any(promise.due < visited_on for promise in log.promises):
        raise LogInvalid(_("A promise is kept after the visit. Choose a later day."))
    if log.outcome != TOOK_PLACE and log.of_a_visit_only():
        raise LogInvalid(_("If the visit did not take place, the log ends after place and time. Take the rest out."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Of a visitor: where they belong, and when their LEAP 101 holds."""

    visitor_id: str
    district: str
    valid_from: date
    valid_until: date
    active: bool


def check_substitutes(
    *, pair: Sequence[str], agreed_pair: Sequence[str], trainings: Sequence[Training], district: str, visited_on: date
) -> None:
    """Raise LogInvalid unless whoever was there instead of an agreed visitor is trained for that day."""
    trained = {
        training.visitor_id
        for training in trainings
        if training.active
        and training.district == district
        and training.valid_from <= visited_on <= training.valid_until
    }
    if not set(pair) <= {*agreed_pair, *trained}:
        raise LogInvalid(_("Whoever steps in for a visitor needs a valid LEAP 101 in this district on that day."))


def is_same_door(*, standing_outcome: str, standing_started_at: datetime, started_at: datetime) -> bool:
    """Tell a second log of one event from another try: a visit takes place once, attempts may repeat."""
    return standing_outcome == TOOK_PLACE or abs(started_at - standing_started_at) < ANOTHER_TRY_AFTER


class Due(StrEnum):
    """What is known of an agreed visit's log. A missing log is not a visit that did not happen."""

    EXPECTED = "expected"  # agreed, and there is still time to log it
    OVERDUE = "overdue"  # the time to log it is over, and nobody said what happened
    LOGGED = "logged"  # it took place
    ATTEMPTED = "attempted"  # the visitors were there, and it did not take place
    CANCELLED = "cancelled"  # it was called off before


def due_of(*, cancelled: bool, outcomes: Collection[str], starts_at: datetime, overdue_before: datetime) -> Due:
    """Say where a visit's log stands. What happened happened: a log outweighs a cancellation."""
    if TOOK_PLACE in outcomes:
        return Due.LOGGED
    if outcomes:
        return Due.ATTEMPTED
    if cancelled:
        return Due.CANCELLED
    return Due.OVERDUE if starts_at < overdue_before else Due.EXPECTED


def overdue_before(*, as_of: datetime, business_days: int, zone: tzinfo) -> datetime:
    """Give the moment before which a visit without a log must have begun to be overdue by now.

    The day of the visit does not count: a visit on Monday with 5 business days is overdue from the next Tuesday.
    """
    today = local_day(as_of, zone=zone)
    return start_of_day(log_overdue_before(today, business_days=business_days), zone=zone)


def check_referral_change(*, standing: str, status: str) -> bool:
    """Tell whether the change is news. Raises ReferralBackwards unless it goes forwards."""
    if status == standing:
        return False
    if standing == "closed" or REFERRAL_ORDER.index(status) < REFERRAL_ORDER.index(standing):
        raise ReferralBackwards
    return True
