"""The rules of absence, held against plain sets of dates and fractions."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import school_year_of
from contracts.events import Category
from contracts.events import Level as ContractLevel
from services.flagging.rules import absence
from services.flagging.rules.absence import Level, Policy, StintDays
from services.flagging.rules.page import ALL_DAYS, Columns, Terms, days_of_all

POLICY = Policy()
CATEGORIES = absence.PRESENT_CATEGORIES + absence.ABSENT_CATEGORIES
day_sets = st.frozensets(st.integers(0, 365)).map(lambda places: sum(1 << n for n in places))


def level(days_absent: int, days_enrolled: int, *, late: bool = True, policy: Policy = POLICY) -> Level:
    counted = (1 << days_enrolled) - 1
    absent = ((1 << days_absent) - 1) << (days_enrolled - days_absent if late else 0)
    return absence.level(counted=counted, absent=absent, chronic_last_year=False, policy=policy)


@pytest.mark.parametrize(("days_absent", "chronic"), [(17, False), (18, True), (19, True)])
def test_eighteen_of_180_days_is_the_line(days_absent: int, chronic: bool) -> None:
    assert (level(days_absent, 180) is Level.chronically_absent) is chronic
    assert absence.is_chronically_absent(days_absent=days_absent, days_enrolled=180, min_enrolled_days=10) is chronic


@pytest.mark.parametrize(
    ("days_absent", "expected"),
    [(35, Level.chronically_absent), (36, Level.severely_chronically_absent), (37, Level.severely_chronically_absent)],
)
def test_a_fifth_of_the_days_is_severe(days_absent: int, expected: Level) -> None:
    assert level(days_absent, 180) is expected


@given(st.integers(1, 366), st.integers(0, 366), st.integers(1, 30))
def test_the_test_is_exact_at_every_line(days_enrolled: int, days_absent: int, minimum: int) -> None:
    days_absent = min(days_absent, days_enrolled)
    share = Fraction(days_absent, days_enrolled)
    judged = level(days_absent, days_enrolled, policy=Policy(min_enrolled_days=minimum))
    assert (judged >= Level.chronically_absent) == (days_enrolled >= minimum and share >= Fraction(1, 10))
    assert (judged is Level.severely_chronically_absent) == (days_enrolled >= minimum and share >= Fraction(1, 5))


@pytest.mark.parametrize(("days_enrolled", "expected"), [(9, Level.none), (10, Level.chronically_absent)])
def test_the_rule_is_silent_before_ten_enrolled_days(days_enrolled: int, expected: Level) -> None:
    assert level(1, days_enrolled) is expected


def test_two_absences_before_the_tenth_day_are_begun_to_miss() -> None:
    assert level(2, 9) is Level.at_risk
    assert level(1, 9) is Level.none


@pytest.mark.parametrize(
    ("present", "of", "absent"), [(193, 387, True), (194, 387, False), (1, 2, False), (0, 2, True), (199, 400, True)]
)
def test_half_of_the_day_attended_is_a_day_attended(present: int, of: int, absent: bool) -> None:
    for category in CATEGORIES:
        assert absence.is_absent(category=category, present_parts=present, day_parts=of) is absent


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_the_half_day_test_is_exact(present: int, of: int) -> None:
    missed = absence.is_absent(category="tardy", present_parts=present, day_parts=of)
    assert missed == (Fraction(present, of) < Fraction(1, 2))


def test_without_a_share_the_category_decides() -> None:
    absent = {name for name in CATEGORIES if absence.is_absent(category=name, present_parts=5, day_parts=None)}
    assert absent == {
        "excused_absence",
        "unexcused_absence",
        "mental_health_day",
        "out_of_school_suspension",
        "expulsion",
    }


def test_categories_and_levels_are_the_contracts_own_in_their_order() -> None:
    assert list(CATEGORIES) == [category.value for category in Category]
    assert [each.name for each in Level] == [each.value for each in ContractLevel]


@given(day_sets, day_sets, st.booleans(), st.integers(1, 4), st.integers(1, 40))
def test_begun_to_miss_looks_at_the_first_counted_days(
    counted: int, missed: int, chronic: bool, absences: int, days: int
) -> None:
    absent = counted & missed
    dates = absence.days_of(days=counted, school_year=2026)
    absent_dates = set(absence.days_of(days=absent, school_year=2026))
    early = len(absent_dates & set(dates[:days])) >= absences
    # Who comes after September has the first days for one.
    after_september = bool(dates) and dates[0] >= date(2026, 10, 1)
    september_days = set(dates[:days]) if after_september else {day for day in dates if day.month == 9}
    september = chronic and len(absent_dates & september_days) >= 2
    still = len(dates) <= days or Fraction(len(absent_dates), len(dates)) >= Fraction(1, 20)
    policy = Policy(early_absences=absences, early_days=days)
    begun = absence.has_begun_to_miss(counted=counted, absent=absent, chronic_last_year=chronic, policy=policy)
    assert begun == ((early or september) and still)


@pytest.mark.parametrize(("second", "expected"), [(19, Level.at_risk), (20, Level.none)])
def test_the_twentieth_day_is_the_last_early_one(second: int, expected: Level) -> None:
    absent = 1 | 1 << second
    judged = absence.level(counted=(1 << 40) - 1, absent=absent, chronic_last_year=False, policy=POLICY)
    assert judged is expected


def test_the_warning_ends_below_five_percent() -> None:
    absent = 0b11
    for days_enrolled, expected in ((40, Level.at_risk), (41, Level.none)):
        counted = (1 << days_enrolled) - 1
        assert absence.level(counted=counted, absent=absent, chronic_last_year=False, policy=POLICY) is expected


def test_september_warns_only_after_a_chronic_year() -> None:
    counted = ((1 << 40) - 1) << 40
    absent = 1 << 62 | 1 << 63
    for chronic, expected in ((True, Level.at_risk), (False, Level.none)):
        judged = absence.level(counted=counted, absent=absent, chronic_last_year=chronic, policy=POLICY)
        assert judged is expected


@given(st.lists(st.tuples(st.dates(date(2026, 8, 1), date(2026, 12, 1)), day_sets, day_sets), max_size=4))
def test_the_later_entry_wins_the_day_that_two_schools_claim(claims: list[tuple[date, int, int]]) -> None:
    parts = [
        StintDays(school=f"H{n}", stint=f"s{n}", entry_date=entry, counted=counted, absent=counted & missed)
        for n, (entry, counted, missed) in enumerate(claims)
    ]
    verdict: dict[date, bool] = {}
    for part in sorted(parts, key=lambda part: (part.entry_date, part.school)):
        absent = set(absence.days_of(days=part.absent, school_year=2026))
        verdict |= {day: day in absent for day in absence.days_of(days=part.counted, school_year=2026)}
    counted_days, absent_days = absence.overlay(parts=reversed(parts))
    assert absence.days_of(days=counted_days, school_year=2026) == sorted(verdict)
    assert absence.days_of(days=absent_days, school_year=2026) == sorted(day for day in verdict if verdict[day])


@given(st.dates(date(2000, 7, 1), date(2099, 12, 31)))
def test_a_day_and_its_bit_are_the_same_day(day: date) -> None:
    year = school_year_of(day)
    assert date(year, 7, 1) <= day < date(year + 1, 7, 1)
    assert absence.days_of(days=absence.day_bit(day=day), school_year=year) == [day]


@given(st.dates(date(2025, 1, 1), date(2028, 1, 1)), st.dates(date(2025, 1, 1), date(2028, 1, 1)))
def test_days_between_includes_both_ends_and_stays_in_the_year(first: date, last: date) -> None:
    days = absence.days_of(
        days=absence.days_between(first_day=first, last_day=last, school_year=2026) & ~(1 << 365), school_year=2026
    )
    year = [date(2026, 7, 1) + timedelta(days=n) for n in range(365)]
    assert days == [day for day in year if first <= day <= last]


@pytest.mark.parametrize(("counts", "last"), [(True, date(2026, 11, 5)), (False, date(2026, 11, 4))])
def test_whether_the_exit_day_counts_is_the_feeds_convention(counts: bool, last: date) -> None:
    assert absence.last_enrolled_day(exit_date=date(2026, 11, 5), exit_day_counts=counts, school_year=2026) == last


@given(day_sets, day_sets, day_sets, day_sets)
def test_a_day_counts_inside_an_enrolment_by_its_roll_or_by_a_full_feeds_mark(
    marked: int, enrolled: int, completed: int, open_days: int
) -> None:
    terms = Terms(completed, open_days, (ALL_DAYS,), enrols=False)
    ((counted, _),) = days_of_all(terms, Columns([enrolled], [marked], [0], [4], [0]))
    for place in range(366):
        by_roll = completed >> place & 1
        by_mark = marked >> place & 1 and open_days >> place & 1
        assert bool(counted >> place & 1) == bool(enrolled >> place & 1 and (by_roll or by_mark))


def said(days_absent: int, days_enrolled: int, *, late: bool = True, policy: Policy = POLICY) -> str:
    """The sentence about so many days, judged as the service judges them; `late`: the absences are the last days."""
    judged = level(days_absent, days_enrolled, late=late, policy=policy)
    return absence.why(level=judged, days_absent=days_absent, days_enrolled=days_enrolled, policy=policy)


@pytest.mark.parametrize(
    ("days_absent", "meaning"),
    [
        (17, "under 10 %, and no early warning."),
        (18, "10 % or more."),
        (19, "10 % or more."),
        (35, "10 % or more."),
        (36, "20 % or more."),
        (37, "20 % or more."),
    ],
)
def test_the_sentence_names_the_figures_and_the_line(days_absent: int, meaning: str) -> None:
    assert said(days_absent, 180) == f"Absent on {days_absent} of 180 enrolled days: {meaning}"


def test_a_warning_under_ten_percent_says_both() -> None:
    assert said(17, 180, late=False) == (
        "Absent on 17 of 180 enrolled days, with absences among the first days: under 10 %, and begun to miss."
    )


@pytest.mark.parametrize(
    ("days_absent", "days_enrolled", "sentence"),
    [
        (0, 9, "Absent on 0 of 9 enrolled days: too few days yet for the 10 % test, which needs 10."),
        (1, 9, "Absent on 1 of 9 enrolled days: too few days yet for the 10 % test, which needs 10."),
        (0, 10, "Absent on 0 of 10 enrolled days: under 10 %, and no early warning."),
        (1, 10, "Absent on 1 of 10 enrolled days: 10 % or more."),
        (2, 10, "Absent on 2 of 10 enrolled days: 20 % or more."),
        (0, 0, "Absent on 0 of 0 enrolled days: too few days yet for the 10 % test, which needs 10."),
    ],
)
def test_the_sentence_speaks_of_ten_percent_from_the_tenth_day(
    days_absent: int, days_enrolled: int, sentence: str
) -> None:
    assert said(days_absent, days_enrolled) == sentence


@pytest.mark.parametrize(("days_absent", "days_enrolled"), [(2, 9), (2, 5), (2, 2), (9, 9)])
def test_a_child_at_22_or_40_or_100_percent_is_never_said_to_be_under_ten(days_absent: int, days_enrolled: int) -> None:
    assert said(days_absent, days_enrolled) == (
        f"Absent on {days_absent} of {days_enrolled} enrolled days, with absences among the first days: "
        "too few days yet for the 10 % test, which needs 10, but begun to miss."
    )


@pytest.mark.parametrize(
    ("days_enrolled", "meaning"),
    [
        (
            19,
            "with absences among the first days: "
            "too few days yet for the 10 % test, which needs 20, but begun to miss.",
        ),
        (20, "10 % or more."),
        (21, "with absences among the first days: under 10 %, and begun to miss."),
    ],
)
def test_the_sentence_follows_a_policy_that_asks_for_twenty_days(days_enrolled: int, meaning: str) -> None:
    sentence = said(2, days_enrolled, late=False, policy=Policy(min_enrolled_days=20))
    assert sentence.startswith(f"Absent on 2 of {days_enrolled} enrolled days")
    assert sentence.endswith(meaning)


@given(st.integers(0, 366), st.integers(0, 366), st.integers(1, 40), st.booleans())
def test_no_sentence_says_a_false_figure(days_enrolled: int, days_absent: int, minimum: int, late: bool) -> None:
    days_absent = min(days_absent, days_enrolled)
    sentence = said(days_absent, days_enrolled, late=late, policy=Policy(min_enrolled_days=minimum))
    percent = Fraction(100 * days_absent, days_enrolled) if days_enrolled else Fraction(0)
    assert ("too few days yet" in sentence) == (days_enrolled < minimum)
    assert ("under 10 %" in sentence) == (days_enrolled >= minimum and percent < 10)
    assert ("10 % or more" in sentence) == (days_enrolled >= minimum and 10 <= percent < 20)
    assert ("20 % or more" in sentence) == (days_enrolled >= minimum and percent >= 20)
