"""What each number means, once: the catalogue behind every table, chart, page and export.

Households are the unit of the funnel, because a household is the unit of a visit. A household counts at every step
before the furthest one it reached.
"""

from dataclasses import dataclass

MINIMUM_ENROLLED_DAYS = 10
"""Before a student has been enrolled so long, the rule on chronic absence does not speak (the standard policy, and
federal practice). The state's and all published tables go by it; a district's own pages by the district's policy."""

STEPS = ("flagged", "requested", "contacted", "agreed", "scheduled", "visited", "logged", "visited_again")
REFERRAL_STATUSES = ("offered", "accepted", "handed_over", "connected", "closed")
STAGES = ("new", "claimed", "contacting", "agreed", "paired", "confirmed", "visited", "logged")
BANDS = ("K-5", "6-8", "9-12")

_BAND_BY_GRADE = {
    **dict.fromkeys(("K", "1", "2", "3", "4", "5"), "K-5"),
    **dict.fromkeys(("6", "7", "8"), "6-8"),
    **dict.fromkeys(("9", "10", "11", "12"), "9-12"),
}


def N_(text: str) -> str:
    """Mark a sentence for the catalogues of translations."""
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number's name, heading, meaning and unit. `suppressed`: published only under the rule on small cells."""

    name: str
    title: str
    definition: str
    unit: str
    suppressed: bool = True


def grade_band(grade: str | None) -> str | None:
    """Name the grade's band; pre-K and an unknown grade have none (chronic absence is about K-12)."""
    return _BAND_BY_GRADE.get(grade or "")


def _measure(name: str, title: str, unit: str, definition: str, *, suppressed: bool = True) -> Measure:
    return Measure(name=name, title=title, definition=definition, unit=unit, suppressed=suppressed)


HOUSEHOLDS, REQUESTS, VISITS, STUDENTS, PEOPLE = "households", "requests", "visits", "students", "people"
POINTS = "points"
PERCENT, DAYS, MINUTES, MILES, PROMISES, REFERRALS = "percent", "days", "minutes", "miles", "promises", "referrals"

_ALL = (
    _measure("flagged", N_("Flagged"), HOUSEHOLDS,
             N_("Households with a student flagged this school year, also if the flag was cleared since.")),
    _measure("requested", N_("Requested"), HOUSEHOLDS, N_("Households for which a visit was ever requested.")),
    _measure("contacted", N_("Contacted"), HOUSEHOLDS, N_("Households that someone tried to reach at least once.")),
    _measure("agreed", N_("Agreed"), HOUSEHOLDS,
             N_("Households that agreed to a visit, also if they changed their mind since.")),
    _measure("scheduled", N_("Scheduled"), HOUSEHOLDS,
             N_("Households with a visit whose time, place and pair were agreed.")),
    _measure("visited", N_("Visited"), HOUSEHOLDS,
             N_("Households where a visit took place: in person, with both visitors.")),
    _measure("logged", N_("Logged"), HOUSEHOLDS, N_("Households with at least one visit documented in a log.")),
    _measure("visited_again", N_("Visited again"), HOUSEHOLDS,
             N_("Households with at least two documented visits this school year.")),
    _measure("share_of_former", N_("Of the step before"), PERCENT,
             N_("Households at this step per 100 at the step before it.")),
    _measure("days_since_former", N_("Days since the step before"), DAYS,
             N_("Median days between first reaching the step before and first reaching this one.")),
    _measure("declined", N_("Declined"), REQUESTS,
             N_("Requests whose latest answer is a decline. A decline is respected and counts against nobody.")),
    _measure("not_reached", N_("Not reached"), REQUESTS,
             N_("Requests closed after at least three attempts at varied hours without an answer.")),
    _measure("withdrawn", N_("Withdrawn"), REQUESTS,
             N_("Requests withdrawn because no flag stands behind them any more.")),
    _measure("visits", N_("Visits"), VISITS,
             N_("Documented visits that took place this school year: in person, with both visitors.")),
    _measure("share_of_state", N_("Share of the state"), PERCENT, N_("The district's visits per 100 in the state.")),
    _measure("visits_per_100_flagged", N_("Visits per 100 flagged"), VISITS,
             N_("Documented visits per 100 flagged households.")),
    _measure("repeat_share", N_("Visited more than once"), PERCENT,
             N_("Households visited again per 100 households with a documented visit.")),
    _measure("trained", N_("Trained visitors"), PEOPLE,
             N_("Active visitors whose LEAP 101 is valid on the day of the report."), suppressed=False),
    _measure("active", N_("Visiting"), PEOPLE,
             N_("Trained visitors who made at least one visit this school year."), suppressed=False),
    _measure("speakers", N_("Trained visitors"), PEOPLE,
             N_("Trained visitors who speak the language."), suppressed=False),
    _measure("median_load", N_("Visits per visitor"), VISITS,
             N_("Median number of visits of the visitors who made any this school year.")),
    _measure("largest_load", N_("Most visits of one visitor"), VISITS,
             N_("The largest number of visits one visitor made this school year.")),
    _measure("students", N_("Students"), STUDENTS,
             N_("Students in grades K to 12 enrolled in the district for at least 10 days this school year (a "
                "district's own pages: the days of its own policy), each once, at the school entered last. The whole "
                "state counts persons: a mover once, with the days of all districts.")),
    _measure("chronic", N_("Chronically absent"), STUDENTS,
             N_("Students in grades K to 12 absent on at least 10 % of the days enrolled so far, for any reason.")),
    _measure("chronic_rate", N_("Chronic absence rate"), PERCENT,
             N_("Chronically absent students per 100 students. Pre-K is not counted.")),
    _measure("quarter_waited", N_("A quarter waited at most"), DAYS,
             N_("Days from the first flag to the first visit: one household in four waited no longer.")),
    _measure("half_waited", N_("Half waited at most"), DAYS,
             N_("Median days from a household's first flag to its first documented visit.")),
    _measure("three_quarters_waited", N_("Three quarters waited at most"), DAYS,
             N_("Days from the first flag to the first visit: three households in four waited no longer.")),
    _measure("due", N_("Logs due"), VISITS, N_("Appointments whose time has passed and that were not cancelled.")),
    _measure("in_time", N_("Logged in time"), VISITS,
             N_("Past appointments logged within 5 business days (Monday to Friday).")),
    _measure("late", N_("Logged late"), VISITS, N_("Past appointments logged after more than 5 business days.")),
    _measure("waiting", N_("Not logged yet"), VISITS,
             N_("Past appointments without a log, while 5 business days have not passed.")),
    _measure("overdue", N_("Log overdue"), VISITS,
             N_("Past appointments without a log after 5 business days: nobody knows whether the visit took place.")),
    _measure("in_time_share", N_("In time"), PERCENT, N_("Logs in time per 100 logs due.")),
    _measure("promised", N_("Promised"), PROMISES, N_("Next visits and calls that a log promised and that were due.")),
    _measure("kept", N_("Kept"), PROMISES, N_("Promised visits and calls kept within a week of the promised day.")),
    _measure("kept_share", N_("Share kept"), PERCENT, N_("Promises kept per 100 promised.")),
    _measure("referrals", N_("Referrals"), REFERRALS, N_("Connections to a resource that were offered.")),
    *(
        _measure(f"referral_{status}", title, REFERRALS, N_("Referrals by how far they have come."))
        for status, title in zip(
            REFERRAL_STATUSES,
            (N_("Offered"), N_("Accepted"), N_("Handed over"), N_("Connected"), N_("Closed")),
            strict=True,
        )
    ),
    _measure("visit_minutes", N_("Minutes of visits"), MINUTES,
             N_("Time at the door and with families, per visitor, attempts included; for pay.")),
    _measure("travel_minutes", N_("Minutes of travel"), MINUTES, N_("Time on the road, per visitor; for pay.")),
    _measure("miles", N_("Miles"), MILES, N_("Way on the road, per visitor; for pay.")),
    _measure("open_requests", N_("Open requests"), REQUESTS, N_("Requests that stand at this stage now.")),
    _measure("median_days", N_("Median days here"), DAYS, N_("Half of these requests have stood here for longer.")),
    _measure("longest_days", N_("Longest here"), DAYS, N_("How long the oldest of these requests has stood here.")),
    _measure("families", N_("Families"), HOUSEHOLDS, N_("Households visited in the month.")),
    _measure("visits_of_visitor", N_("Visits"), VISITS, N_("Visits the visitor made this school year.")),
    _measure("flagged_students", N_("Students flagged now"), STUDENTS,
             N_("Students whose flag stands now, at any level.")),
    _measure("severe", N_("Severely"), STUDENTS,
             N_("Students flagged now who were absent on at least 20 % of the days enrolled.")),
    _measure("effect_students", N_("Students visited"), STUDENTS,
             N_("Students visited after they were flagged, with somebody to compare with; in tens.")),
    _measure("effect_compared", N_("Students compared with"), STUDENTS,
             N_("Students flagged in the same month as a visited one and not visited by then; in tens.")),
    _measure("effect", N_("Effect"), POINTS,
             N_("Days attended per 100 enrolled: how much more they changed, since the month before the flag, for "
                "visited students than for students flagged in the same month and not yet visited. It is right if who "
                "is visited when says nothing about how attendance would have gone on; where visitors go first to "
                "those who are worst off, it is too low.")),
    _measure("effect_low", N_("At least"), POINTS,
             N_("Lower end of the 95 % confidence interval; errors are clustered by household.")),
    _measure("effect_high", N_("At most"), POINTS,
             N_("Upper end of the 95 % confidence interval; errors are clustered by household.")),
    _measure("naive", N_("Before and after: includes natural recovery"), POINTS,
             N_("Days attended per 100 enrolled, against the month before the visit. Students are visited because of "
                "a bad spell, and spells end by themselves: this figure credits the visit with that too.")),
    _measure("chronic_before", N_("Chronically absent when visited"), STUDENTS,
             N_("Students chronically absent in the school year up to the month of the first visit; in tens.")),
    _measure("still_chronic_share", N_("Still chronically absent after the visit"), PERCENT,
             N_("Of these, students absent on at least 10 % of the days enrolled in the whole months since.")),
    _measure("count", N_("Number"), HOUSEHOLDS, N_("Counted this school year, as the line says.")),
)  # fmt: skip

MEASURES = {measure.name: measure for measure in _ALL}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """A table's name, heading, what its lines stand for, and its measures. `state` adds a line for the whole state."""

    name: str
    title: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    own_only: bool = False


def _kind(name: str, title: str, keys: tuple[str, ...], measures: tuple[str, ...], *, own: bool = False) -> TableKind:
    return TableKind(name=name, title=title, keys=keys, measures=measures, own_only=own)


_CHRONIC = ("students", "chronic", "chronic_rate")
_EFFECT = ("effect_students", "effect_compared", "effect", "effect_low", "effect_high", "naive")
_STILL = ("chronic_before", "still_chronic_share")

OF_MONTHS = ("chronic", "chronic-by-band", "chronic-by-school", "chronic-by-month")
"""Tables that count students by months that have closed, and so never up to this moment."""

EFFECT_TABLES = ("effect", "effect-by-band", "still-chronic", "still-chronic-by-band")

TABLES = {
    kind.name: kind
    for kind in (
        _kind("funnel", N_("From flag to visit"), ("district",), STEPS),
        _kind("conversions", N_("Conversions"), ("district", "step"), ("share_of_former", "days_since_former")),
        _kind("endings", N_("Requests that ended without a visit"), ("district",),
              ("declined", "not_reached", "withdrawn")),
        _kind("visits", N_("Visits"), ("district",),
              ("visits", "share_of_state", "visits_per_100_flagged", "repeat_share")),
        _kind("first-visit", N_("Days to the first visit"), ("district",),
              ("quarter_waited", "half_waited", "three_quarters_waited")),
        _kind("visitors", N_("Trained visitors"), ("district",),
              ("trained", "active", "median_load", "largest_load")),
        _kind("languages", N_("Languages of trained visitors"), ("language",), ("speakers",)),
        _kind("chronic", N_("Chronic absence by district"), ("district",), _CHRONIC),
        _kind("chronic-by-band", N_("Chronic absence by grade band"), ("district", "band"), _CHRONIC),
        _kind("chronic-by-school", N_("Chronic absence by school"), ("district", "school"), _CHRONIC),
        _kind("chronic-by-month", N_("Chronic absence by month"), ("month",), _CHRONIC),
        _kind("effect", N_("What visits change, by month since the first visit"), ("district", "months_since"),
              _EFFECT),
        _kind("effect-by-band", N_("What visits change, by grade band"), ("band", "months_since"), _EFFECT),
        _kind("still-chronic", N_("Still chronically absent after the visit"), ("district",), _STILL),
        _kind("still-chronic-by-band", N_("Still chronically absent, by grade band"), ("band",), _STILL),
        _kind("logs", N_("Logs: in time, late, missing"), ("district",),
              ("due", "in_time", "late", "waiting", "overdue", "in_time_share")),
        _kind("follow-ups", N_("Promises kept"), ("district",), ("promised", "kept", "kept_share")),
        _kind("referrals", N_("Referrals by resource"), ("resource",),
              ("referrals", *(f"referral_{status}" for status in REFERRAL_STATUSES))),
        _kind("compensation", N_("Time and travel to be paid"), ("district",),
              ("visit_minutes", "travel_minutes", "miles")),
        _kind("queue", N_("The queue now"), ("stage",), ("open_requests", "median_days", "longest_days"), own=True),
        _kind("visits-by-month", N_("Visits by month"), ("month",), ("visits", "families"), own=True),
        _kind("load", N_("Visits of each visitor"), ("visitor",), ("visits_of_visitor",), own=True),
        _kind("flagged-by-grade", N_("Flagged students by grade"), ("grade",), ("flagged_students", "severe"),
              own=True),
        _kind("school", N_("This school's families"), ("what",), ("count",), own=True),
    )
}  # fmt: skip
