"""Why a request stands where it stands: transparent points, and the sentence they come from.

Inputs are attendance, grade, siblings flagged, promises and waiting, and never who a family is: no race, ethnicity,
meals, disability, language, gender, discipline, immigration, and no earlier decline. One more absence never lowers a
rank (`policy.problems_with` says which weights would break that).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter
from typing import Any
from uuid import UUID

from services.scheduling.rules.policy import Weights
from services.scheduling.rules.wording import N_, say

RULE_VERSION = 1
"""Counts the changes of this rule. Requests priced by an older one are priced again."""

TRANSITION_GRADES = frozenset({"K", "6", "9"})
"""Kindergarten, the first middle grade, the first high grade: where habits begin anew."""

LEAST_DAYS = 20
"""A rate over fewer days enrolled is taken over these: two absences in the first four days are not half a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A flagged child of the household, as the newest flag says."""

    student_key: UUID
    grade: str | None
    level: str
    days_absent: int
    days_enrolled: int
    as_of: date | None = None
    absent_days: tuple[date, ...] = ()
    last_20_absent: int | None = None
    last_20_counted: int | None = None
    before_20_absent: int | None = None
    before_20_counted: int | None = None
    spell: int | None = None
    chronic_last_year: bool | None = None
    new_to_district: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that the points of one request are made of."""

    children: tuple[Child, ...]
    promise_due: date | None = None
    promise_kind: str | None = None
    days_beyond_target: int = 0
    rule_version: int = RULE_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One part of the sentence: English with gaps for `params`, the days it speaks of, and what it counted for."""

    code: str
    msgid: str
    params: Mapping[str, Any] = field(default_factory=dict)
    days: tuple[date, ...] = ()
    student_key: UUID | None = None
    points: int = 0

    def __str__(self) -> str:
        """The clause in English."""
        return say(self.msgid, self.params)


def rate_tenths(*, days_absent: int, days_enrolled: int) -> int:
    """Give the share of days missed in tenths of a percent, cut off, never rounded up over a line."""
    return 1000 * days_absent // days_enrolled if days_enrolled else 0


def points_of(child: Child, weights: Weights) -> dict[str, int]:
    """Give a child's points by what they are for. No figure of the recent days, no points for it."""
    rate = 1000 * child.days_absent // max(child.days_enrolled, LEAST_DAYS)
    points = {
        "rate": weights.rate * rate,
        "recent": weights.recent * (child.last_20_absent or 0),
        "worsening": weights.worsening * _worsening(child),
        "spell": weights.spell * (child.spell or 0),
        "chronic_last_year": weights.chronic_last_year if child.chronic_last_year else 0,
        "transition": weights.transition if in_transition(child) else 0,
    }
    return {name: count for name, count in points.items() if count}


def in_transition(child: Child) -> bool:
    """Tell whether the child began a kind of school, or came to the district, this year."""
    return child.grade in TRANSITION_GRADES or bool(child.new_to_district)


def base_points(children: Iterable[Child], weights: Weights) -> int:
    """Give a household's points for the flags of its children."""
    return household_points([points_of(child, weights) for child in children], weights)


def household_points(points_by_child: Iterable[Mapping[str, int]], weights: Weights) -> int:
    """Give a household's points: those of the child with the most, and the sibling's for each further one.

    The most, not the sum: a large family is not more urgent than its most absent child and the flagged siblings.
    """
    totals = [sum(points.values()) for points in points_by_child]
    return max(totals) + weights.sibling * (len(totals) - 1) if totals else 0


def waiting_points(days_beyond_target: int, weights: Weights) -> int:
    """Give the points for waiting: none while there is time, then so many a school day, without an end."""
    return weights.waiting * max(0, days_beyond_target)


def _worsening(child: Child) -> int:
    # Only against twenty full days: what has just begun can't have grown worse.
    if child.before_20_counted != 20 or child.last_20_absent is None or child.before_20_absent is None:
        return 0
    return max(0, child.last_20_absent - child.before_20_absent)


def why(inputs: Inputs, weights: Weights | None = None) -> list[Clause]:
    """Say why the request is here, clause by clause: the promise, the children, the wait.

    Each clause carries the days it speaks of, so that a page can show them.
    """
    standing = weights or Weights()
    clauses = []
    if inputs.promise_due is not None:
        clauses.append(_of_promise(inputs))
    children = sorted(inputs.children, key=lambda child: (-sum(points_of(child, standing).values()), child.student_key))
    for child in children:
        clauses += _of_child(child, standing)
    if len(children) > 1:
        clauses.append(
            Clause(
                code="sibling",
                msgid=N_("%(children)s children of the family are flagged."),
                params={"children": len(children)},
                points=standing.sibling * (len(children) - 1),
            )
        )
    if inputs.days_beyond_target > 0:
        clauses.append(
            Clause(
                code="waiting",
                msgid=N_("School days waited beyond the target: %(days)s."),
                params={"days": inputs.days_beyond_target},
                points=waiting_points(inputs.days_beyond_target, standing),
            )
        )
    return clauses


def _of_promise(inputs: Inputs) -> Clause:
    msgid = N_("A promised call is due.") if inputs.promise_kind == "call" else N_("A promised visit is due.")
    due = inputs.promise_due
    return Clause(code="promise", msgid=msgid, params={"due": due}, days=(due,) if due else ())


def _of_child(child: Child, weights: Weights) -> list[Clause]:
    points = points_of(child, weights)
    key = child.student_key
    tenths = rate_tenths(days_absent=child.days_absent, days_enrolled=child.days_enrolled)
    clauses = [
        Clause(
            code="rate",
            msgid=N_("Missed %(absent)s of %(enrolled)s days (%(percent)s %%)."),
            params={"absent": child.days_absent, "enrolled": child.days_enrolled, "percent": percent(tenths)},
            days=child.absent_days,
            student_key=key,
            points=points.get("rate", 0),
        )
    ]
    if child.last_20_absent:
        worse = points.get("worsening", 0)
        last = child.absent_days[-child.last_20_absent :]
        clauses.append(
            Clause(
                code="recent",
                msgid=N_("%(last)s of the last %(counted)s, %(before)s of the 20 before.")
                if worse
                else N_("%(last)s of the last %(counted)s."),
                params={
                    "last": child.last_20_absent,
                    "counted": child.last_20_counted,
                    "before": child.before_20_absent,
                },
                days=last,
                student_key=key,
                points=points.get("recent", 0) + worse,
            )
        )
    if (child.spell or 0) > 1:
        clauses.append(
            Clause(
                code="spell",
                msgid=N_("Missed the last %(days)s days in a row."),
                params={"days": child.spell},
                days=child.absent_days[-(child.spell or 0) :],
                student_key=key,
                points=points.get("spell", 0),
            )
        )
    clauses += _of_history(child, points)
    return clauses


def _of_history(child: Child, points: Mapping[str, int]) -> list[Clause]:
    key = child.student_key
    clauses = []
    if child.chronic_last_year:
        clauses.append(
            Clause(
                code="chronic_last_year",
                msgid=N_("Was chronically absent last year."),
                student_key=key,
                points=points.get("chronic_last_year", 0),
            )
        )
    if in_transition(child):
        msgid = {
            "K": N_("In kindergarten, the first year of school."),
            "6": N_("In grade 6, the first of middle school."),
            "9": N_("In grade 9, the first of high school."),
        }.get(child.grade or "", N_("New to the district this year."))
        clauses.append(Clause(code="transition", msgid=msgid, student_key=key, points=points.get("transition", 0)))
    return clauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A child whose flag was cleared, with the days that stood as absent and do no longer."""

    student_key: UUID
    days_absent: int
    days_enrolled: int
    corrected_days: tuple[date, ...] = ()


def corrections_of(students: Iterable[Mapping[str, Any]]) -> list[Correction]:
    """Read from the rows of a household's students whose flags are gone, and by which corrections."""
    return [
        Correction(
            student_key=each["student_key"],
            days_absent=each["days_absent"],
            days_enrolled=each["days_enrolled"],
            corrected_days=tuple(each["corrected_days"]),
        )
        for each in students
        if each["level"] == "none"
    ]


def why_gone(corrections: Sequence[Correction]) -> list[Clause]:
    """Say why no flag stands behind the request any more, with the corrected days of each child."""
    clauses = []
    for each in corrections:
        tenths = rate_tenths(days_absent=each.days_absent, days_enrolled=each.days_enrolled)
        count = len(each.corrected_days)
        msgid = N_("Missed %(absent)s of %(enrolled)s days by now (%(percent)s %%).")
        if count == 1:
            msgid = N_("One absence was corrected to present; now %(percent)s %%.")
        elif count > 1:
            msgid = N_("%(count)s absences were corrected to present; now %(percent)s %%.")
        clauses.append(
            Clause(
                code="corrected" if count else "improved",
                msgid=msgid,
                params={
                    "absent": each.days_absent,
                    "enrolled": each.days_enrolled,
                    "count": count,
                    "percent": percent(tenths),
                },
                days=each.corrected_days,
                student_key=each.student_key,
            )
        )
    return clauses


def percent(tenths: int) -> str:
    """Write tenths of a percent as people do: 16.1, and 16 instead of 16.0."""
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth}" if tenth else str(whole)


def to_json(inputs: Inputs) -> dict[str, Any]:
    """Put the inputs into the form in which they are stored with the request; `from_json` reads it."""
    return {
        "rule_version": inputs.rule_version,
        "promise_due": inputs.promise_due and inputs.promise_due.isoformat(),
        "promise_kind": inputs.promise_kind,
        "children": [
            {
                **dict(zip(_PLAIN, _plain(child), strict=True)),
                "student_key": str(child.student_key),
                "as_of": child.as_of and child.as_of.isoformat(),
                "absent_days": [day.isoformat() for day in child.absent_days],
            }
            for child in inputs.children
        ],
    }


def from_json(stored: Mapping[str, Any], *, days_beyond_target: int = 0) -> Inputs:
    """Read stored inputs; the wait goes on by itself and is kept beside them."""
    return Inputs(
        rule_version=stored["rule_version"],
        promise_due=_day(stored.get("promise_due")),
        promise_kind=stored.get("promise_kind"),
        days_beyond_target=days_beyond_target,
        children=tuple(map(child_of, stored["children"])),
    )


def child_of(stored: Mapping[str, Any]) -> Child:
    """Read one child from JSON: stored inputs, or the row of its flag."""
    plain: dict[str, Any] = dict(zip(_PLAIN, map(stored.get, _PLAIN), strict=True))
    return Child(
        **plain,
        student_key=UUID(stored["student_key"]),
        as_of=_day(stored.get("as_of")),
        absent_days=tuple(map(date.fromisoformat, stored["absent_days"])),
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


_PLAIN = (
    "grade",
    "level",
    "days_absent",
    "days_enrolled",
    "last_20_absent",
    "last_20_counted",
    "before_20_absent",
    "before_20_counted",
    "spell",
    "chronic_last_year",
    "new_to_district",
)
_plain = attrgetter(*_PLAIN)
