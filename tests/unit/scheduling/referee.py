"""The week as CP-SAT sees it: the same rules in another formulation, solved to the proven optimum."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from ortools.sat.python import cp_model

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import POINTS, Meeting, Visitor
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.proposals import starts_in
from services.scheduling.rules.week import MOST_PRIORITY, PINNED, SCHEDULED, Wanted, Week, WeekPlan
from tests.zones import HERE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the solver found; `value` is in the planner's own currency."""

    proven: bool
    value: int


def best_possible(week: Week, policy: Policy) -> Verdict:
    """Prove how good the best plan of the week is."""
    return _solve(week, policy, plan=None)


def value_of(week: Week, policy: Policy, plan: WeekPlan) -> Verdict:
    """Price a plan as it stands; not proven means that it breaks a rule."""
    return _solve(week, policy, plan=plan)


def _solve(week: Week, policy: Policy, plan: WeekPlan | None) -> Verdict:
    model = cp_model.CpModel()
    people = [visitor for visitor in week.visitors if visitor.active]
    scarce = pairing.scarce_languages(people)
    monday = datetime.combine(week.monday, time(), HERE)
    worth: list[Any] = []
    goes: dict[str, list[Any]] = defaultdict(list)
    busy: dict[str, list[Any]] = defaultdict(list)
    chosen: dict[tuple[UUID, datetime], Any] = {}
    sent: dict[tuple[UUID, datetime, str], Any] = {}

    for wanted in week.wanted:
        made = []
        for starts_at in _starts(week, wanted, policy, monday):
            meeting = _meeting(week, wanted, starts_at)
            here = model.new_bool_var("")
            chosen[wanted.request_id, starts_at] = here
            made.append(here)
            two, speakers, teachers = [], [], []
            for visitor in people:
                bookings = week.bookings.get(visitor.visitor_id, ())
                if pairing.hindrances(visitor=visitor, meeting=meeting, bookings=bookings, policy=policy):
                    continue
                goer = model.new_bool_var("")
                sent[wanted.request_id, starts_at, visitor.visitor_id] = goer
                two.append(goer)
                goes[visitor.visitor_id].append(goer)
                begin = int((starts_at - monday).total_seconds() // 60)
                length = wanted.minutes + policy.travel_minutes
                busy[visitor.visitor_id].append(model.new_optional_fixed_size_interval_var(begin, length, goer, ""))
                worth.append(_merit(visitor, meeting, wanted, week, scarce) * goer)
                if pairing.speaks(visitor, wanted.language):
                    speakers.append(goer)
                if visitor.affiliation == "school" and visitor.school in wanted.schools:
                    teachers.append(goer)
            model.add(sum(two) == 2 * here)
            if wanted.interpreter is False:
                model.add(sum(speakers) >= here)
            for kind, points in ((speakers, POINTS.speaks), (teachers, POINTS.from_school)):
                any_of_kind = model.new_bool_var("")
                model.add(any_of_kind <= sum(kind))
                worth.append(points * any_of_kind)
        model.add_at_most_one(made)
        reward = SCHEDULED + min(wanted.points, MOST_PRIORITY) + PINNED * wanted.pinned
        worth.append(reward * sum(made))

    for visitor in people:
        who = visitor.visitor_id
        model.add_no_overlap(busy[who])
        before = pairing.visits_in_week(week.bookings.get(who, ()), monday, zone=week.zone)
        # The n-th visit of a week costs n times the load: the cheaper steps are always taken first.
        steps = [model.new_bool_var("") for _ in range(max(0, visitor.weekly_cap - before))]
        model.add(sum(steps) == sum(goes[who]))
        worth += [POINTS.load * (before + number) * step for number, step in enumerate(steps)]

    if plan is not None:
        for visit in plan.planned:
            model.add(chosen[visit.request_id, visit.starts_at] == 1)
            for who in visit.pair:
                model.add(sent[visit.request_id, visit.starts_at, who] == 1)
        model.add(sum(chosen.values()) == len(plan.planned))
    model.maximize(sum(worth))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 2
    solver.parameters.max_time_in_seconds = 120
    proven = solver.solve(model) == cp_model.OPTIMAL
    return Verdict(proven, round(solver.objective_value) if proven else 0)


def _starts(week: Week, wanted: Wanted, policy: Policy, monday: datetime) -> list[datetime]:
    found = set()
    for begins_at, ends_at in wanted.times:
        last = min(ends_at, monday + timedelta(days=7))
        for starts_at in starts_in(begins_at=max(begins_at, monday), ends_at=last, minutes=wanted.minutes):
            if not pairing.hindrances_of_time(
                starts_at=starts_at, minutes=wanted.minutes, policy=policy, as_of=week.as_of, zone=week.zone
            ):
                found.add(starts_at)
    return sorted(found)


def _meeting(week: Week, wanted: Wanted, starts_at: datetime) -> Meeting:
    return Meeting(
        household_key=wanted.household_key,
        district=week.district,
        schools=wanted.schools,
        starts_at=starts_at,
        minutes=wanted.minutes,
        language=wanted.language,
        zone=week.zone,
        interpreter=wanted.interpreter,
    )


def _merit(visitor: Visitor, meeting: Meeting, wanted: Wanted, week: Week, scarce: frozenset[str]) -> int:
    merits = pairing.merits(
        visitor=visitor,
        meeting=meeting,
        bookings=week.bookings.get(visitor.visitor_id, ()),
        visits_before=wanted.visits_before.get(visitor.visitor_id, 0),
        scarce=scarce,
    )
    return sum(reason.points for reason in merits if reason.code != "load")
