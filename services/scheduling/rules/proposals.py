"""The pairs that could make one visit, best first, each with its reasons; and why the others can't."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import combinations
from typing import NamedTuple
from uuid import UUID

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import POINTS, Bookings, Meeting, Reason, Visitor, because
from services.scheduling.rules.policy import Policy

GRID = timedelta(minutes=30)
LONGEST_WINDOW = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedPair:
    """Two visitors, the start that suits them best, and why they are proposed. `points` is the reasons' sum."""

    pair: tuple[str, str]
    starts_at: datetime
    interpreter: bool
    reasons: tuple[Reason, ...]
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindered:
    """A visitor who can't go at any start in the window, and the first reason at the first start."""

    visitor_id: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """Pairs, best first; where there is none, `why_none` says why."""

    pairs: tuple[ProposedPair, ...]
    hindered: tuple[Hindered, ...]
    why_none: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoCould:
    """Everybody who may be asked to make one visit, and what stands in their way or speaks for them.

    `visits_before` counts each visitor's visits to this household; `moving` is the visit that is being moved, which
    hinders nobody.
    """

    visitors: Sequence[Visitor]
    bookings: Bookings
    visits_before: Mapping[str, int] = field(default_factory=dict)
    moving: UUID | None = None


def starts_in(*, begins_at: datetime, ends_at: datetime, minutes: int) -> Iterator[datetime]:
    """Yield the starts to try: the window's beginning, then each half hour, as long as the visit fits."""
    latest = ends_at - timedelta(minutes=minutes)
    start = begins_at
    while start <= latest:
        yield start
        since_midnight = timedelta(hours=start.hour, minutes=start.minute)
        start = start.replace(second=0, microsecond=0) + GRID - since_midnight % GRID


def hindrance_of_window(*, begins_at: datetime, ends_at: datetime, minutes: int, as_of: datetime) -> Reason | None:
    """Say what is wrong with a window: too long or short for the visit, over, or too far ahead."""
    if not timedelta(minutes=minutes) <= ends_at - begins_at <= LONGEST_WINDOW:
        return because("window")
    if ends_at <= as_of:
        return because("past")
    if begins_at - as_of > pairing.FURTHEST:
        return because("too_far", days=pairing.FURTHEST.days)
    return None


def propose_pairs(
    *, meeting: Meeting, ends_at: datetime, who: WhoCould, policy: Policy, as_of: datetime, limit: int = 5
) -> Proposals:
    """Rank the pairs that break no hard rule at some start between `meeting.starts_at` and `ends_at`.

    The same facts give the same answer, whatever the visitors' order.
    """
    wrong = hindrance_of_window(begins_at=meeting.starts_at, ends_at=ends_at, minutes=meeting.minutes, as_of=as_of)
    if wrong is not None:
        return Proposals(pairs=(), hindered=(), why_none=wrong)
    search = _Search(meeting=meeting, who=who, policy=policy)
    for start in starts_in(begins_at=meeting.starts_at, ends_at=ends_at, minutes=meeting.minutes):
        at_night = pairing.hindrances_of_time(
            starts_at=start, minutes=meeting.minutes, policy=policy, as_of=as_of, zone=meeting.zone
        )
        if at_night:
            search.wrong_time = search.wrong_time or at_night[0]
        else:
            search.try_start(start)

    ranked = [search.proposed(found) for found in search.best_first()[:limit]]
    hindered = (
        Hindered(visitor_id=visitor_id, reason=reason)
        for visitor_id, reason in sorted(search.refusals.items())
        if visitor_id not in search.ever_free
    )
    return Proposals(pairs=tuple(ranked), hindered=tuple(hindered), why_none=None if ranked else search.why_none())


class _Candidate(NamedTuple):
    """Somebody who is free at a start, with what speaks for them alone."""

    visitor: Visitor
    merits: list[Reason]
    points: int
    speaks: bool
    from_school: bool


class _Found(NamedTuple):
    """A pair at the start that suits it best so far; its reasons are put together only if it is proposed."""

    points: int
    meeting: Meeting
    one: _Candidate
    other: _Candidate

    @property
    def pair(self) -> tuple[str, str]:
        """The two, by their ids."""
        return self.one.visitor.visitor_id, self.other.visitor.visitor_id


class _Search:
    """What is known after each start tried: the best of every pair, and who was refused why."""

    def __init__(self, *, meeting: Meeting, who: WhoCould, policy: Policy) -> None:
        self.meeting, self.who, self.policy = meeting, who, policy
        self.visitors = sorted(who.visitors, key=lambda visitor: visitor.visitor_id)
        self.scarce = pairing.scarce_languages(self.visitors)
        self.best: dict[tuple[str, str], _Found] = {}
        self.refusals: dict[str, Reason] = {}
        self.ever_free: set[str] = set()
        self.wrong_time: Reason | None = None
        self.tried = self.wrong_language = False

    def try_start(self, start: datetime) -> None:
        """Keep, of every pair that is free at this start, the better of this and earlier starts."""
        self.tried = True
        meeting = replace(self.meeting, starts_at=start)
        for one, other in combinations(self._free(meeting), 2):
            heard = one.speaks or other.speaks
            if meeting.interpreter is False and not heard:
                self.wrong_language = True
                continue
            points = one.points + other.points
            points += POINTS.speaks * heard + POINTS.from_school * (one.from_school or other.from_school)
            found = _Found(points, meeting, one, other)
            standing = self.best.get(found.pair)
            if standing is None or points > standing.points:
                self.best[found.pair] = found

    def best_first(self) -> list[_Found]:
        """Rank the pairs; of equals the earlier, and then the order of their ids."""
        return sorted(self.best.values(), key=lambda found: (-found.points, found.meeting.starts_at, found.pair))

    def proposed(self, found: _Found) -> ProposedPair:
        """Put a pair's reasons together."""
        pair = (found.one.visitor, found.other.visitor)
        of_both = pairing.merits_of_pair(pair=pair, meeting=found.meeting)
        return ProposedPair(
            pair=found.pair,
            starts_at=found.meeting.starts_at,
            interpreter=pairing.needs_interpreter(pair=pair, meeting=found.meeting),
            reasons=(*of_both, *found.one.merits, *found.other.merits),
            points=found.points,
        )

    def _free(self, meeting: Meeting) -> list[_Candidate]:
        free = []
        for visitor in self.visitors:
            booked = self.who.bookings.get(visitor.visitor_id, ())
            against = pairing.hindrances(
                visitor=visitor, meeting=meeting, bookings=booked, policy=self.policy, moving=self.who.moving
            )
            if against:
                self.refusals.setdefault(visitor.visitor_id, against[0])
                continue
            self.ever_free.add(visitor.visitor_id)
            merits = pairing.merits(
                visitor=visitor,
                meeting=meeting,
                bookings=booked,
                visits_before=self.who.visits_before.get(visitor.visitor_id, 0),
                scarce=self.scarce,
                moving=self.who.moving,
            )
            points = sum(reason.points for reason in merits)
            heard = pairing.speaks(visitor, meeting.language)
            free.append(_Candidate(visitor, merits, points, heard, pairing.is_from_school(visitor, meeting.schools)))
        return free

    def why_none(self) -> Reason:
        """Name what must change before a pair can be proposed."""
        if not self.tried and self.wrong_time is not None:
            return self.wrong_time
        if self.wrong_language:
            return because("language", language=self.meeting.language)
        if len(self.ever_free) == 1:
            return because("only_one", visitor=next(iter(self.ever_free)))
        return because("never_together") if self.ever_free else because("nobody")
