"""Proposals for a week: ruin and recreate. People confirm; an agreed visit never moves by itself.

The same week, seed and number of iterations give the same plan. Every rule is pairing's own; here is only the search:
some visits are taken out of the plan (ruin), put back where they fit best (recreate), and the better plan is kept.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple
from uuid import UUID

from contracts.calendar import start_of_day
from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import POINTS, Booking, Bookings, Meeting, Reason, Visitor, because
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.proposals import starts_in

# A visit more is worth more than the best pair for all the others it may disturb.
SCHEDULED, PINNED, MOST_PRIORITY = 1000, 2000, 1000
_RUINED_AT_MOST = 8
_WORSE_AT_FIRST = 100
_BLINK = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A visit to which a family agreed: when it could, and how urgent it is."""

    request_id: UUID
    household_key: UUID
    schools: frozenset[str]
    language: str
    minutes: int
    times: tuple[tuple[datetime, datetime], ...]
    points: int = 0
    pinned: bool = False
    interpreter: bool | None = None
    visits_before: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What is to be planned from a Monday on, for one district. `bookings` stand: they are planned around."""

    monday: date
    district: str
    visitors: tuple[Visitor, ...]
    wanted: tuple[Wanted, ...]
    bookings: Bookings
    as_of: datetime
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long to search, counted and not timed, so that the answer can be had again."""

    iterations: int = 2000
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A proposed visit and why these two; the load counts the plan's other visits too."""

    request_id: UUID
    starts_at: datetime
    ends_at: datetime
    pair: tuple[str, str]
    interpreter: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscheduled:
    """A visit that found no slot, and the first thing that stands in its way."""

    request_id: UUID
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekPlan:
    """The proposal. `value` is what the search maximised: visits, their urgency, and how well the pairs suit."""

    planned: tuple[Planned, ...]
    unscheduled: tuple[Unscheduled, ...]
    value: int


class _Free(NamedTuple):
    visitor: int
    merit: int
    kind: int  # 1 if they speak the language, plus 2 if they are from the school


class _Option(NamedTuple):
    starts_at: datetime
    minutes_taken: int  # a bit for each minute of the week, travel after the visit included
    free: tuple[_Free, ...]


class _Slot(NamedTuple):
    worth: int  # when it was found: what the pair is worth, and what their load takes
    suits: int  # what the pair is worth without their load
    option: _Option
    one: int
    other: int


def propose(week: Week, policy: Policy, budget: Budget) -> WeekPlan:
    """Plan as much of the week as it can, the most urgent first, and say of the rest why not."""
    search = _Search(week, policy, random.Random(budget.seed))
    search.recreate(search.by_urgency)
    best, best_value = search.snapshot(), search.value
    for iteration in range(budget.iterations):
        before, value_before = search.snapshot(), search.value
        search.ruin()
        search.recreate(search.some_order())
        # At first a little worse may lead on to better; at the end only better counts.
        patience = _WORSE_AT_FIRST * (budget.iterations - iteration) // budget.iterations
        if search.value > best_value:
            best, best_value = search.snapshot(), search.value
        elif search.value < best_value - patience or (patience == 0 and search.value < value_before):
            search.restore(before)
    search.restore(best)
    return search.plan()


class _Search:
    """A plan under construction: which visit has which slot, and what that leaves of everybody's week."""

    def __init__(self, week: Week, policy: Policy, chance: random.Random) -> None:
        self.week, self.policy, self.chance = week, policy, chance
        self.visitors = sorted((v for v in week.visitors if v.active), key=lambda v: v.visitor_id)
        self.wanted = sorted(week.wanted, key=lambda w: w.request_id)
        # In UTC: on the days when the clocks change, local times would be subtracted an hour wrong.
        self.begins = start_of_day(week.monday, zone=week.zone).astimezone(UTC)
        self.ends = start_of_day(week.monday + timedelta(days=7), zone=week.zone).astimezone(UTC)
        self.scarce = pairing.scarce_languages(self.visitors)
        self.fixed = [
            pairing.visits_in_week(week.bookings.get(v.visitor_id, ()), self.begins, zone=week.zone)
            for v in self.visitors
        ]
        self.wrong_time: dict[int, Reason] = {}
        self.options = [self._options(number) for number in range(len(self.wanted))]
        self.reward = [SCHEDULED + min(max(w.points, 0), MOST_PRIORITY) + PINNED * w.pinned for w in self.wanted]
        self.by_urgency = sorted(range(len(self.wanted)), key=lambda n: (-self.reward[n], len(self.options[n]), n))
        self.restore({})

    def snapshot(self) -> dict[int, _Slot]:
        """Remember the plan."""
        return dict(self.slots)

    def restore(self, slots: Mapping[int, _Slot]) -> None:
        """Go back to a plan that was remembered."""
        self.slots: dict[int, _Slot] = {}
        self.taken = [0] * len(self.visitors)
        self.visits = list(self.fixed)
        self.value = 0
        for number, slot in slots.items():
            self._put(number, slot)

    def ruin(self) -> None:
        """Take visits out that stand in each other's way: around one that has no slot, or around any."""
        if not self.wanted:
            return
        unplaced = [n for n in range(len(self.wanted)) if n not in self.slots and self.options[n]]
        around = self.chance.choice(unplaced if unplaced and self.chance.random() < 0.5 else range(len(self.wanted)))
        options = self.options[around]
        minutes = 0
        for option in self.chance.sample(options, min(len(options), 3)):
            minutes |= option.minutes_taken
        near = [n for n, slot in self.slots.items() if slot.option.minutes_taken & minutes]
        others = list(self.slots) if self.chance.random() < 0.3 or not near else near
        how_many = self.chance.randint(1, _RUINED_AT_MOST)
        for number in self.chance.sample(others, min(how_many, len(others))):
            self._take(number)
        if around in self.slots:
            self._take(around)

    def some_order(self) -> list[int]:
        """Choose in which order to put back: the urgent first, the difficult first, or any."""
        numbers = list(self.by_urgency)
        way = self.chance.randrange(3)
        if way == 1:
            numbers.sort(key=lambda n: (len(self.options[n]), -self.reward[n], n))
        elif way == 2:
            self.chance.shuffle(numbers)
        return numbers

    def recreate(self, order: Sequence[int]) -> None:
        """Give each visit without a slot, in this order, the best slot that is left for it."""
        for number in order:
            if number not in self.slots and self.options[number]:
                slot = self._best_slot(number)
                if slot is not None:
                    self._put(number, slot)

    def _best_slot(self, number: int) -> _Slot | None:
        needs_speaker = self.wanted[number].interpreter is False
        best: _Slot | None = None
        for option in self.options[number]:
            if self.chance.random() < _BLINK:
                continue  # what always looks best is not looked at each time
            found = self._best_pair(option, needs_speaker)
            if found is not None and (best is None or found.worth > best.worth):
                best = found
        return best

    def _best_pair(self, option: _Option, needs_speaker: bool) -> _Slot | None:
        # The pair's own merits ask only for kinds: the best two of each kind are enough to find the best pair.
        best_of_kind: list[list[tuple[int, int, int]]] = [[], [], [], []]
        for visitor, merit, kind in option.free:
            visits = self.visits[visitor]
            if self.taken[visitor] & option.minutes_taken or visits >= self.visitors[visitor].weekly_cap:
                continue
            two, found = best_of_kind[kind], (merit + POINTS.load * visits, merit, visitor)
            if len(two) < 2:
                two.append(found)
            elif found[0] > min(two)[0]:
                two[two.index(min(two))] = found
        free = [(*found, kind) for kind, two in enumerate(best_of_kind) for found in two]
        best: _Slot | None = None
        for index, (worth, merit, one, kind) in enumerate(free):
            for other_worth, other_merit, other, other_kind in free[index + 1 :]:
                kinds = kind | other_kind
                if needs_speaker and not kinds & 1:
                    continue
                bonus = POINTS.speaks * (kinds & 1) + POINTS.from_school * (kinds >> 1)
                if best is None or worth + other_worth + bonus > best.worth:
                    best = _Slot(worth + other_worth + bonus, merit + other_merit + bonus, option, one, other)
        return best

    def _put(self, number: int, slot: _Slot) -> None:
        self.slots[number] = slot
        self.value += self.reward[number] + slot.suits
        for visitor in (slot.one, slot.other):
            self.value += POINTS.load * self.visits[visitor]
            self.taken[visitor] |= slot.option.minutes_taken
            self.visits[visitor] += 1

    def _take(self, number: int) -> None:
        slot = self.slots.pop(number)
        self.value -= self.reward[number] + slot.suits
        for visitor in (slot.one, slot.other):
            self.visits[visitor] -= 1
            self.taken[visitor] &= ~slot.option.minutes_taken
            self.value -= POINTS.load * self.visits[visitor]

    def _options(self, number: int) -> list[_Option]:
        """Every start at which two visitors could go if nothing else were planned."""
        wanted = self.wanted[number]
        options = []
        for begins_at, ends_at in wanted.times:
            first, last = max(begins_at.astimezone(UTC), self.begins), min(ends_at.astimezone(UTC), self.ends)
            for starts_at in starts_in(begins_at=first, ends_at=last, minutes=wanted.minutes):
                wrong = pairing.hindrances_of_time(
                    starts_at=starts_at,
                    minutes=wanted.minutes,
                    policy=self.policy,
                    as_of=self.week.as_of,
                    zone=self.week.zone,
                )
                if wrong:
                    self.wrong_time.setdefault(number, wrong[0])
                    continue
                begin = int((starts_at - self.begins).total_seconds() // 60)
                taken = (1 << wanted.minutes + self.policy.travel_minutes) - 1 << begin
                options.append(_Option(starts_at, taken, self._free(wanted, starts_at)))
        return options

    def _free(self, wanted: Wanted, starts_at: datetime) -> tuple[_Free, ...]:
        meeting = self._meeting(wanted, starts_at)
        free = []
        for index, visitor in enumerate(self.visitors):
            bookings = self.week.bookings.get(visitor.visitor_id, ())
            if pairing.hindrances(visitor=visitor, meeting=meeting, bookings=bookings, policy=self.policy):
                continue
            merits = pairing.merits(
                visitor=visitor,
                meeting=meeting,
                bookings=bookings,
                visits_before=wanted.visits_before.get(visitor.visitor_id, 0),
                scarce=self.scarce,
            )
            merit = sum(reason.points for reason in merits if reason.code != "load")
            from_school = pairing.is_from_school(visitor, wanted.schools)
            free.append(_Free(index, merit, pairing.speaks(visitor, wanted.language) + 2 * from_school))
        return tuple(free)

    def _meeting(self, wanted: Wanted, starts_at: datetime) -> Meeting:
        return Meeting(
            household_key=wanted.household_key,
            district=self.week.district,
            schools=wanted.schools,
            starts_at=starts_at,
            minutes=wanted.minutes,
            language=wanted.language,
            zone=self.week.zone,
            interpreter=wanted.interpreter,
        )

    def plan(self) -> WeekPlan:
        """Put the plan into words."""
        bookings = self._all_bookings()
        planned = [self._planned(number, slot, bookings) for number, slot in self.slots.items()]
        unscheduled = [
            Unscheduled(request_id=self.wanted[number].request_id, reason=self._why_not(number))
            for number in self.by_urgency
            if number not in self.slots
        ]
        planned.sort(key=lambda visit: (visit.starts_at, visit.request_id))
        return WeekPlan(planned=tuple(planned), unscheduled=tuple(unscheduled), value=self.value)

    def _all_bookings(self) -> dict[str, list[Booking]]:
        bookings = {who: list(booked) for who, booked in self.week.bookings.items()}
        for number, slot in self.slots.items():
            wanted, starts_at = self.wanted[number], slot.option.starts_at
            ends_at = starts_at + timedelta(minutes=wanted.minutes)
            for visitor in (slot.one, slot.other):
                who = self.visitors[visitor].visitor_id
                bookings.setdefault(who, []).append(
                    Booking(
                        visit_id=wanted.request_id,
                        visitor_id=who,
                        household_key=wanted.household_key,
                        school=min(wanted.schools, default=""),
                        starts_at=starts_at,
                        ends_at=ends_at,
                        free_at=ends_at + timedelta(minutes=self.policy.travel_minutes),
                    )
                )
        return bookings

    def _planned(self, number: int, slot: _Slot, bookings: Bookings) -> Planned:
        wanted = self.wanted[number]
        meeting = self._meeting(wanted, slot.option.starts_at)
        pair = [self.visitors[slot.one], self.visitors[slot.other]]
        pair.sort(key=lambda visitor: visitor.visitor_id)
        reasons = pairing.merits_of_pair(pair=pair, meeting=meeting)
        for visitor in pair:
            reasons += pairing.merits(
                visitor=visitor,
                meeting=meeting,
                bookings=bookings.get(visitor.visitor_id, ()),
                visits_before=wanted.visits_before.get(visitor.visitor_id, 0),
                scarce=self.scarce,
                moving=wanted.request_id,
            )
        return Planned(
            request_id=wanted.request_id,
            starts_at=meeting.starts_at,
            ends_at=pairing.ends_at(meeting),
            pair=(pair[0].visitor_id, pair[1].visitor_id),
            interpreter=pairing.needs_interpreter(pair=pair, meeting=meeting),
            reasons=tuple(reasons),
        )

    def _why_not(self, number: int) -> Reason:
        wanted, options = self.wanted[number], self.options[number]
        if not options:
            return self.wrong_time.get(number, because("no_times"))
        ever_free = {free.visitor for option in options for free in option.free}
        if not ever_free:
            return because("nobody")
        if len(ever_free) == 1:
            return because("only_one", visitor=self.visitors[ever_free.pop()].visitor_id)
        together = [option for option in options if len(option.free) >= 2]
        if not together:
            return because("never_together")
        last = options[-1].starts_at + timedelta(minutes=wanted.minutes)
        when = pairing.on_the_clock({"begins": options[0].starts_at, "ends": last}, zone=self.week.zone)
        if wanted.interpreter is False and not any(free.kind & 1 for option in together for free in option.free):
            return because("no_speaker", language=wanted.language, **when)
        return because("taken", **when)
