"""The week as an integer program: the same rules in another formulation, solved by HiGHS to the proven optimum."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import POINTS, Meeting, Visitor
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.proposals import starts_in
from services.scheduling.rules.week import MOST_PRIORITY, PINNED, SCHEDULED, Wanted, Week, WeekPlan
from tests.zones import HERE

SOLVE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the solver found; `value` is in the planner's own currency."""

    proven: bool
    value: int


def best_possible(week: Week, policy: Policy) -> Verdict:
    """Prove how good the best plan of the week is."""
    return _Referee(week, policy).program.solved()


def value_of(week: Week, policy: Policy, plan: WeekPlan) -> Verdict:
    """Price a plan as it stands; not proven means that it breaks a rule."""
    referee = _Referee(week, policy)
    return referee.program.solved() if referee.insists_on(plan) else Verdict(False, 0)


@dataclass(slots=True)
class _Program:
    """Questions answered by yes (1) or no (0), what each yes is worth, and rows: bounded sums of answers."""

    worth: list[int] = field(default_factory=list)
    entries: list[tuple[int, int, int]] = field(default_factory=list)
    bounds: list[tuple[float, float]] = field(default_factory=list)

    def ask(self, worth: int = 0) -> int:
        """Add a question."""
        self.worth.append(worth)
        return len(self.worth) - 1

    def demand(
        self,
        plus: Iterable[int],
        minus: Iterable[int] = (),
        *,
        times: int = 1,
        least: float = -np.inf,
        most: float = np.inf,
    ) -> None:
        """Bound the answers of `plus`, less `times` those of `minus`."""
        row = len(self.bounds)
        self.entries += [(1, row, question) for question in plus]
        self.entries += [(-times, row, question) for question in minus]
        self.bounds.append((least, most))

    def solved(self) -> Verdict:
        """Find the answers that are worth most. Proven only if they keep every row exactly and no bound is above them.

        HiGHS reckons in floating point: so its answers are rounded and held against the rows as integers, and its bound
        must lie less than 1 above their worth, which is a whole number.
        """
        if not self.worth:
            return Verdict(True, 0)
        values, rows, columns = (np.array(part, dtype=np.int64) for part in zip(*self.entries, strict=True))
        matrix = coo_array((values, (rows, columns)), shape=(len(self.bounds), len(self.worth))).tocsr()
        least, most = (np.array(side) for side in zip(*self.bounds, strict=True))
        worth = np.array(self.worth, dtype=np.int64)
        found = milp(
            -worth.astype(float),
            integrality=np.ones(len(worth), dtype=np.int64),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix.astype(float), least, most),
            options={"mip_rel_gap": 0, "time_limit": SOLVE_SECONDS},
        )
        if found.status != 0:
            return Verdict(False, 0)
        answers = np.rint(found.x).astype(np.int64)
        sums, value = matrix @ answers, int(worth @ answers)
        kept = bool(np.all((least <= sums) & (sums <= most)))
        return Verdict(kept and -float(found.mip_dual_bound) < value + 1, value)


class _Referee:
    """The week's rules as rows: who can go when is asked of pairing, what they add up to is the program's own."""

    def __init__(self, week: Week, policy: Policy) -> None:
        self.week, self.policy, self.program = week, policy, _Program()
        self.people = [visitor for visitor in week.visitors if visitor.active]
        self.scarce = pairing.scarce_languages(self.people)
        # In UTC: across the night when the clocks change, two local times differ by an hour too many or too few.
        self.begins = datetime.combine(week.monday, time(), HERE).astimezone(UTC)
        self.ends = datetime.combine(week.monday + timedelta(days=7), time(), HERE).astimezone(UTC)
        self.held: dict[tuple[object, datetime], int] = {}
        self.goes: dict[tuple[object, datetime, str], int] = {}
        self.absences: dict[str, list[tuple[datetime, datetime, int]]] = {who.visitor_id: [] for who in self.people}
        for wanted in week.wanted:
            starts = self._starts(wanted)
            for starts_at in starts:
                self._offer(wanted, starts_at)
            self.program.demand((self.held[wanted.request_id, starts_at] for starts_at in starts), most=1)
        for visitor in self.people:
            self._one_place_at_a_time(visitor)
            self._load(visitor)

    def insists_on(self, plan: WeekPlan) -> bool:
        """Demand exactly this plan; False where it holds a visit that nobody could make, whatever else is planned."""
        visits = {(visit.request_id, visit.starts_at): visit for visit in plan.planned}
        goers = {(*place, who) for place, visit in visits.items() for who in visit.pair}
        if not len(visits) == len(plan.planned) == len(goers) / 2:
            return False
        if not visits.keys() <= self.held.keys() or not goers <= self.goes.keys():
            return False
        for question in [*(self.held[place] for place in visits), *(self.goes[goer] for goer in goers)]:
            self.program.demand([question], least=1)
        self.program.demand(self.held.values(), most=len(visits))
        return True

    def _offer(self, wanted: Wanted, starts_at: datetime) -> None:
        """Ask whether this visit is made at this start, and by whom: two, one of them a speaker if that is wished."""
        program = self.program
        reward = SCHEDULED + min(max(wanted.points, 0), MOST_PRIORITY) + PINNED * wanted.pinned
        held = self.held[wanted.request_id, starts_at] = program.ask(reward)
        two, speakers, teachers = [], [], []
        for visitor, merit in self._free(wanted, starts_at):
            goes = self.goes[wanted.request_id, starts_at, visitor.visitor_id] = program.ask(merit)
            free_at = starts_at + timedelta(minutes=wanted.minutes + self.policy.travel_minutes)
            self.absences[visitor.visitor_id].append((starts_at, free_at, goes))
            two.append(goes)
            if pairing.speaks(visitor, wanted.language):
                speakers.append(goes)
            if visitor.affiliation == "school" and visitor.school in wanted.schools:
                teachers.append(goes)
        program.demand(two, [held], times=2, least=0, most=0)
        if wanted.interpreter is False:
            program.demand(speakers, [held], least=0)
        for kind, points in ((speakers, POINTS.speaks), (teachers, POINTS.from_school)):
            program.demand(kind, [program.ask(points)], least=0)

    def _one_place_at_a_time(self, visitor: Visitor) -> None:
        # Intervals on a line that meet pairwise meet at one point, and one of them begins there.
        absences = self.absences[visitor.visitor_id]
        for moment in {begins for begins, _, _ in absences}:
            self.program.demand((goes for begins, ends, goes in absences if begins <= moment < ends), most=1)

    def _load(self, visitor: Visitor) -> None:
        # The n-th visit of a week costs n times the load: the cheaper steps are always taken first.
        before = pairing.visits_in_week(
            self.week.bookings.get(visitor.visitor_id, ()), self.begins, zone=self.week.zone
        )
        steps = [self.program.ask(POINTS.load * number) for number in range(before, visitor.weekly_cap)]
        self.program.demand(steps, (goes for _, _, goes in self.absences[visitor.visitor_id]), least=0, most=0)

    def _starts(self, wanted: Wanted) -> list[datetime]:
        found = set()
        for begins_at, ends_at in wanted.times:
            first, last = max(begins_at.astimezone(UTC), self.begins), min(ends_at.astimezone(UTC), self.ends)
            for starts_at in starts_in(begins_at=first, ends_at=last, minutes=wanted.minutes):
                if not pairing.hindrances_of_time(
                    starts_at=starts_at,
                    minutes=wanted.minutes,
                    policy=self.policy,
                    as_of=self.week.as_of,
                    zone=self.week.zone,
                ):
                    found.add(starts_at)
        return sorted(found)

    def _free(self, wanted: Wanted, starts_at: datetime) -> list[tuple[Visitor, int]]:
        """Who could go if nothing else were planned, and what speaks for each of them alone."""
        meeting = Meeting(
            household_key=wanted.household_key,
            district=self.week.district,
            schools=wanted.schools,
            starts_at=starts_at,
            minutes=wanted.minutes,
            language=wanted.language,
            zone=self.week.zone,
            interpreter=wanted.interpreter,
        )
        free = []
        for visitor in self.people:
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
            free.append((visitor, sum(reason.points for reason in merits if reason.code != "load")))
        return free
