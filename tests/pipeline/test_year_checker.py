"""The checker of a year, checked: by cases worked out by hand, by the tests' oracle, by faults that it must find."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from contracts import events
from deploy.demo.feed import DistrictDay, plan
from tests import oracle, oracle_told
from tests.pipeline.year.checker import AT_RISK, CHRONIC, NONE, SEVERE, Checker, Judged, Tally
from tests.pipeline.year.compared import LEVELS, Compared, Difference
from tests.pipeline.year.landed import Landed, Unforeseen
from tests.pipeline.year.shown import Pseudonyms

HARTFORD, FULL = "hartford", "torrington"
NOON = datetime(2027, 6, 30, 12, tzinfo=UTC)
SUMMER = date(2027, 6, 30)
_SPACE = UUID(int=7)
Record = dict[str, Any]


def weekdays(count: int) -> list[date]:
    """Give the first weekdays of the year."""
    days = (date(2026, 8, 31) + timedelta(days=n) for n in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count]


def landed(records: Iterable[Record | bytes], district: str = HARTFORD, into: Landed | None = None) -> Landed:
    """Land records in their order."""
    facts = Landed() if into is None else into
    for record in records:
        value = record if isinstance(record, bytes) else json.dumps(record, default=str).encode()
        facts.take(district, value, landed_at=NOON)
    return facts


def child(records: Iterable[Record], number: str = "1", today: date = SUMMER) -> Judged:
    """Judge one child."""
    return Checker(landed=landed(records), today=today).children[HARTFORD, number]


def stint(school: str = "H01", number: str = "1", code: str = "a", version: int = 1, **more: Any) -> Record:
    known = {"entry_date": date(2026, 8, 31), "grade": "4", "household": "h"} | more
    return {"type": "enrollment", "id": code, "student": number, "school": school, "version": version, **known}


def calendar(days: Sequence[date], school: str = "H01", feed: str = "exceptions") -> Record:
    return {"type": "calendar", "school": school, "school_year": 2026, "feed": feed, "school_days": [*days],
            "version": 1}  # fmt: skip


def rolls(days: Iterable[date], school: str = "H01", feed: str = "exceptions") -> list[Record]:
    return [{"type": "roll_completed", "school": school, "date": day, "feed": feed} for day in days]


def mark(day: date, category: str = "unexcused_absence", number: str = "1", **more: Any) -> Record:
    known = {"school": "H01", "version": 1, "student": number} | more
    return {"type": "mark", "date": day, "category": category, **known}


@pytest.mark.parametrize(
    ("absent", "counted", "level"),
    [(17, 180, AT_RISK), (18, 180, CHRONIC), (36, 180, SEVERE), (1, 9, NONE), (2, 9, AT_RISK), (1, 10, CHRONIC)],
)
def test_the_lines_are_integers(absent: int, counted: int, level: int) -> None:
    days = weekdays(counted)
    judged = child([stint(), calendar(days), *rolls(days), *map(mark, days[:absent])])
    assert (len(judged.absent_days), len(judged.days), judged.level) == (absent, counted, level)


def test_marks_outside_every_enrolment_wait_and_a_late_exit_takes_days_back() -> None:
    days = weekdays(60)
    of_school = [calendar(days), *rolls(days), *map(mark, days[50:])]
    left = stint(version=2, exit_date=days[50])
    assert (child([stint(), *of_school]).level, child([stint(), *of_school, left]).level) == (CHRONIC, NONE)
    assert len(child([left, stint(), *of_school]).days) == 50
    with pytest.raises(KeyError):
        child([*of_school, stint(withdrawn=True)])


def test_a_day_counts_with_its_roll_and_on_a_full_feed_with_its_mark() -> None:
    days = weekdays(20)
    marks = [*map(mark, days[:12])]
    assert child([stint(), calendar(days), *marks]).days == ()
    assert len(child([stint(), calendar(days, feed="full"), *marks]).days) == 12
    taken_back = {"type": "retraction", "school": "H01", "date": days[0], "student": "1", "version": 2}
    assert len(child([stint(), calendar(days, feed="full"), *marks, taken_back]).days) == 11


def test_half_a_day_is_a_day_and_the_newest_version_stands() -> None:
    days = weekdays(12)
    of_school = [stint(), calendar(days), *rolls(days)]
    half = mark(days[0], "tardy", version=3, present_parts=193, day_parts=386)
    less = mark(days[1], "tardy", version=3, present_parts=193, day_parts=387)
    assert child([*of_school, half, less, mark(days[0]), mark(days[1], "in_attendance")]).absent_days == [days[1]]


def test_a_day_of_two_schools_goes_to_the_later_entry_and_two_numbers_are_one_child() -> None:
    days = weekdays(40)
    both = [calendar(days), calendar(days, "H02"), *rolls(days), *rolls(days, "H02")]
    moved = stint("H02", code="b", entry_date=days[20], state_student="9")
    by_state = [{**mark(day, school="H02"), "student": None, "state_student": "9"} for day in days[20:24]]
    judged = child([stint(), moved, *both, *by_state])
    assert (len(judged.days), len(judged.absent_days), judged.school) == (40, 4, "H02")
    assert [len(judged.by_school[school]) for school in ("H01", "H02")] == [40, 20]


def test_a_month_closes_with_its_last_roll_or_ten_school_days_later() -> None:
    days = weekdays(60)
    september = [day for day in days if day.month == 9]
    for missing, today, closed in ((0, days[30], True), (1, days[30], False), (1, days[45], True)):
        facts = landed([stint(), calendar(days), *rolls(days[: len(days) - 20])])
        if missing:
            landed([{"type": "roll_reopened", "school": "H01", "date": september[3], "feed": "exceptions"}], into=facts)
        facts.latest = min(facts.latest, today)
        found = Checker(landed=facts, today=today).is_closed((HARTFORD, "H01"), date(2026, 9, 1))
        assert found is closed, (missing, today)


def test_what_no_rule_is_known_for_is_refused() -> None:
    days = weekdays(20)
    with pytest.raises(Unforeseen):
        landed([{"type": "feed", "feed": "full", "rosters": False}])
    with pytest.raises(Unforeseen):
        Checker(landed=landed([*map(mark, days)]), today=days[0])
    with pytest.raises(Unforeseen):
        landed([mark(days[0]), mark(days[0], "in_attendance")])


YEAR: list[DistrictDay] = []


def replayed(until: date) -> Landed:
    """Land a small year of an exceptions-only district and a full feed up to a day."""
    if not YEAR:
        YEAR.extend(plan(scale=0.01, seed=3, until=SUMMER, districts=frozenset((HARTFORD, FULL))))
    facts = Landed()
    for each in YEAR:
        if each.day <= until:
            landed([record.value for record in (*each.roster, *each.attendance)], each.district, facts)
    return facts


@pytest.fixture(scope="module")
def summer() -> Compared:
    """The truth at the end of the year."""
    return truth(SUMMER)


def truth(until: date) -> Compared:
    """Give the truth of a day."""
    pseudonyms = {each: Pseudonyms(each.encode(), b"state") for each in (HARTFORD, FULL)}
    return Compared(Checker(landed=replayed(until), today=until), pseudonyms)


def test_the_oracle_comes_to_the_same_year() -> None:
    facts = replayed(SUMMER)
    checker = Checker(landed=facts, today=SUMMER)
    told = list(_as_events(facts))
    concluded, world = oracle.conclude(told, today=SUMMER), oracle.World(told, SUMMER)
    seen = {_key(child): judged for child, judged in checker.children.items()}

    flagged = {(key, 2026): LEVELS[judged.level] for key, judged in seen.items() if judged.level}
    assert flagged == {who: level.value for who, level in concluded.flags.items()}
    assert len(flagged) > 50
    days = {key: {day.day: day.absent for day in judged.days} for key, judged in seen.items() if judged.grade != "PK"}
    assert days == {who: verdicts for (who, _), verdicts in concluded.verdicts.items()}
    assert {tuple(where): tuple(tally) for where, tally in checker.school_days.items()} == {
        (*school, day): tally for (school, day), tally in oracle_told.school_days(concluded).items() if tally[0]
    }
    for school, month in checker.months:
        assert oracle_told.is_closed(world, school, month)


def _key(child: tuple[str, str]) -> UUID:
    return uuid5(_SPACE, " ".join(child))


def _as_events(facts: Landed) -> Iterable[events.Event]:
    of_event: dict[str, Any] = {"event_id": uuid4(), "occurred_at": NOON}
    for (district, school, number), days in facts.marks.items():
        for day, each in days.items():
            said = {**of_event, "district": district, "school": school, "student_key": _key((district, number)),
                    "school_day": day, "source_version": each.version}  # fmt: skip
            if each.absent is None:
                yield events.AttendanceRetracted(event_type="attendance.retracted.v1", **said)
            else:
                category = events.Category.EXCUSED_ABSENCE if each.absent else events.Category.IN_ATTENDANCE
                yield events.AttendanceRecorded(event_type="attendance.recorded.v1", category=category, **said)
    for where, roll in facts.rolls.items():
        yield events.RollCompleted(event_type="roll.completed.v1", **of_event, district=where.district,
                                   school=where.school, school_day=where.day, feed=events.Feed(roll.feed))  # fmt: skip
    for stands in facts.stints.values():
        yield events.EnrollmentChanged(
            event_type="enrollment.changed.v1", **of_event, district=stands.district, school=stands.school,
            student_key=_key((stands.district, stands.child)), stint=stands.code, grade=events.Grade(stands.grade),
            entry_date=stands.entry, exit_date=stands.exit, exit_day_counts=stands.exit_day_counts,
            withdrawn=stands.withdrawn, source_version=stands.version,
        )  # fmt: skip
    for (district, school, year, _), (version, feed, days_) in facts.calendars.items():
        yield events.SchoolCalendarChanged(
            event_type="school-calendar.changed.v1", **of_event, district=district, school=school, school_year=year,
            feed=events.Feed(feed), school_days=tuple(sorted(days_)), source_version=version,
        )  # fmt: skip


def as_shown(compared: Compared) -> list[Record]:
    """Show every flagged child as a request, as the desk would by this truth."""
    return [
        {
            "request_id": key, "household_key": compared.household_of(who), "stage": "new", "why": [],
            "students": [figures(compared, who)], "priority": {"children": [figures(compared, who)]},
        }
        for key, who in compared.child_of.items()
        if who[0] == HARTFORD and compared.checker.children[who].level
    ]  # fmt: skip


def figures(compared: Compared, who: tuple[str, str]) -> Record:
    """Show a child's figures."""
    judged = compared.checker.children[who]
    return {
        "student_key": compared.key_of(who), "level": LEVELS[judged.level], "grade": judged.grade,
        "school": judged.school, "days_absent": len(judged.absent_days), "days_enrolled": len(judged.days),
        "as_of": judged.days[-1].day.isoformat(), "absent_days": [day.isoformat() for day in judged.absent_days],
        **judged.recent._asdict(),
    }  # fmt: skip


def test_the_truth_does_not_differ_from_itself(summer: Compared) -> None:
    assert list(summer.requests(HARTFORD, as_shown(summer))) == []


def kinds(differences: Iterable[Difference]) -> set[tuple[str, str]]:
    """Name what differs where."""
    return {(each.where, each.what) for each in differences}


def test_a_desk_that_stands_still_since_the_last_crossing_is_found(summer: Compared) -> None:
    found = kinds(summer.requests(HARTFORD, as_shown(truth(date(2027, 6, 1)))))
    assert {("the desk", "days_enrolled"), ("the desk", "as_of"), ("points", "days_enrolled")} <= found


def test_one_absence_more_or_a_child_who_is_missing_is_found(summer: Compared) -> None:
    shown = as_shown(summer)
    shown[0]["students"][0]["days_absent"] += 1
    assert [each.what for each in summer.requests(HARTFORD, shown)] == ["days_absent"]
    assert kinds(summer.requests(HARTFORD, as_shown(summer)[1:])) == {("the desk", "household")}


def test_days_that_two_schools_both_count_are_found() -> None:
    days = weekdays(40)
    records = [stint(), stint("H02", code="b", entry_date=days[20]), calendar(days), calendar(days, "H02")]
    facts = landed([*records, *rolls(days), *rolls(days, "H02")])
    true = Compared(Checker(landed=facts, today=days[-1]), {HARTFORD: Pseudonyms(b"hartford", b"state")})
    own = {(*school, month, true.key_of((HARTFORD, "1"))): tally
           for (school, month), children in true.checker.months.items() for tally in children.values()}  # fmt: skip
    assert list(true.months(own)) == []
    both = own | {(HARTFORD, "H01", date(2026, 9, 1), true.key_of((HARTFORD, "1"))): Tally(22, 0)}
    assert kinds(true.months(both)) == {("student months", "figures")}


def test_a_month_that_was_told_before_its_corrections_is_found(summer: Compared) -> None:
    october = truth(date(2026, 11, 3)).checker
    assert october.months_that_closed(HARTFORD)[-1] == date(2026, 10, 1)
    line = {"month": "2026-10-01", **october.shares(HARTFORD, date(2026, 10, 1))[""]._asdict()}
    tables: dict[str, list[Record]] = {"chronic-by-month": [line], "chronic": [], "chronic-by-school": []}
    tables["flagged-by-grade"] = []
    found = [each for each in summer.own_tables(HARTFORD, tables) if "2026-10-01" in each.whose]
    assert len(found) == (line["chronic"] != summer.checker.shares(HARTFORD, date(2026, 10, 1))[""].chronic)
    assert {each.where for each in summer.own_tables(HARTFORD, tables)} >= {"by month", "by school"}
