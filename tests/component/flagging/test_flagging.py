"""From marks to flags on a real PostgreSQL: the story, the boundaries, the trouble."""

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.events import (
    Event,
    FlagChanged,
    FlagCleared,
    FlagRaised,
    Level,
    ReceiptProgressed,
    StudentMonthsTallied,
)
from services.flagging.app import FACTS
from tests.component.flagging.asking import ask, client, months, school_day, settle
from tests.component.flagging.builders import (
    FIRST_DAY,
    Feeder,
    calendar,
    conclusions,
    mark,
    published,
    retraction,
    roll,
    school_days,
    stint,
    student,
    transfer,
)
from tests.component.flagging.conftest import Clock
from tests.conftest import ServiceDatabase
from tests.delivering import deliver, record

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)
PERSON = UUID("0b8f6a52-6a3c-4f0e-8a53-3a6f9b9b4d10")


def a_year(days: list[date], *students: UUID, feed: str = "exceptions", **fields: Any) -> list[Event]:
    return [
        calendar(days, feed=feed),
        *(stint(who, **fields) for who in students),
        *(roll(day, feed=feed) for day in days),
    ]


async def flags(pool: "Pool[asyncpg.Record]") -> list[FlagRaised | FlagChanged | FlagCleared]:
    told = await published(pool, "flags")
    return [each for each in told if isinstance(each, FlagRaised | FlagChanged | FlagCleared)]


async def test_a_student_crosses_each_line_once_and_back(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    household = uuid4()
    await feeder.feed(a_year(days, ANNA, household_key=household))

    for day in days[10:14]:
        await feeder.feed([mark(ANNA, day)])
    for day in days[10:14]:
        await feeder.feed([mark(ANNA, day, "in_attendance", version=2)])

    events = await flags(pool)
    assert [(event.level, event.days_absent) for event in events] == [
        (Level.CHRONICALLY_ABSENT, 2),
        (Level.SEVERELY_CHRONICALLY_ABSENT, 4),
        (Level.CHRONICALLY_ABSENT, 3),
        (Level.NONE, 1),
    ]
    assert [each.version for each in events] == sorted({each.version for each in events}), "a later word is larger"
    assert [type(event) for event in events] == [FlagRaised, FlagChanged, FlagChanged, FlagCleared]
    assert {event.household_key for event in events} == {household}
    assert (events[0].days_enrolled, events[0].as_of, events[0].grade) == (20, days[-1], "4")


@pytest.mark.parametrize(("missed", "level"), [(17, Level.NONE), (18, Level.CHRONICALLY_ABSENT)])
async def test_18_of_180_days_raise_the_flag(service_database: ServiceDatabase, missed: int, level: Level) -> None:
    pool = await service_database("flagging")
    days = school_days(180)
    await Feeder(pool).feed([*a_year(days, ANNA), *(mark(ANNA, day) for day in days[100 : 100 + missed])])
    assert (await conclusions(pool)).flags.get((ANNA, 2026), Level.NONE) is level


async def test_silence_is_presence_only_once_the_roll_is_complete(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(12)
    await feeder.feed([calendar(days), stint(ANNA), stint(BEN), mark(ANNA, days[0])])
    before = (await conclusions(pool)).records
    assert (len(before[ANNA, 2026, "H01"].counted), len(before[BEN, 2026, "H01"].counted)) == (0, 0)

    await feeder.feed([roll(day) for day in days[:3]])
    after = (await conclusions(pool)).records
    assert (len(after[ANNA, 2026, "H01"].counted), len(after[BEN, 2026, "H01"].counted)) == (3, 3)


async def test_on_a_full_feed_a_mark_counts_before_the_roll_is_complete_and_no_mark_is_no_absence(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(12)
    await feeder.feed([calendar(days, feed="full"), stint(ANNA), stint(BEN), mark(ANNA, days[0]), mark(ANNA, days[1])])
    before = (await conclusions(pool)).records
    assert before[ANNA, 2026, "H01"].counted == before[ANNA, 2026, "H01"].absent == {days[0], days[1]}
    assert before[BEN, 2026, "H01"].counted == set()

    await feeder.feed([roll(day, feed="full") for day in days[:2]])
    after = (await conclusions(pool)).records
    assert after[BEN, 2026, "H01"].counted == {days[0], days[1]}
    assert after[BEN, 2026, "H01"].absent == set()


async def test_without_a_calendar_the_rolls_say_which_feed_it_is(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(3)
    await feeder.feed([stint(ANNA), mark(ANNA, days[0]), mark(ANNA, days[1])])
    assert (await conclusions(pool)).records[ANNA, 2026, "H01"].counted == set()
    await feeder.feed([roll(days[2], feed="full")])
    assert (await conclusions(pool)).records[ANNA, 2026, "H01"].counted == set(days)


async def test_a_retraction_is_present_where_the_roll_is_complete_and_uncounted_where_not(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(12)
    await feeder.feed([calendar(days), stint(ANNA), mark(ANNA, days[0]), mark(ANNA, days[1]), roll(days[0])])
    await feeder.feed([retraction(ANNA, days[0]), retraction(ANNA, days[1])])
    days_of_anna = (await conclusions(pool)).records[ANNA, 2026, "H01"]
    assert (set(days_of_anna.counted), set(days_of_anna.absent)) == ({days[0]}, set())


async def test_a_snow_day_changes_everyones_denominator(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*a_year(days, ANNA), mark(ANNA, days[15]), mark(ANNA, days[19])])
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.CHRONICALLY_ABSENT}

    await feeder.feed([calendar([day for day in days if day != days[19]], version=2)])
    assert (await conclusions(pool)).flags == {}
    assert [event.days_enrolled for event in await flags(pool)] == [20, 19]


async def test_a_mover_is_judged_over_the_districts_schools_together(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    transfer = days[10]
    await Feeder(pool).feed(
        [
            *(fact for school in ("H01", "H02") for fact in (calendar(days, school=school),)),
            *(roll(day, school=school) for school in ("H01", "H02") for day in days),
            stint(ANNA, school="H01", exit_date=transfer, exit_day_counts=True),
            stint(ANNA, school="H02", entry=transfer),
            mark(ANNA, transfer, school="H01"),
            mark(ANNA, days[15], school="H02"),
        ]
    )
    # On the transfer day the arriving school counts: one absence of 20 days, not two.
    assert (await conclusions(pool)).flags == {}
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    figures = {each["accumulator"]: (each["days_absent"], each["days_enrolled"]) for each in answer["accumulators"]}
    assert figures["district"] == (1, 20)


async def test_pre_kindergarten_is_outside_chronic_absence(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    await Feeder(pool).feed([*a_year(days, ANNA, grade="PK"), *(mark(ANNA, day) for day in days)])
    assert (await conclusions(pool)).flags == {}
    assert "outside" in (await ask(pool, f"/v1/students/{ANNA}/absence"))["sentence"]


async def test_a_chronic_year_makes_two_september_absences_a_warning(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    before, days = school_days(20, date(2025, 9, 2)), school_days(30)
    await feeder.feed([*a_year(days, ANNA), stint(ANNA, entry=before[0], stint="last", exit_date=date(2026, 6, 20))])
    await feeder.feed([calendar(before), *(roll(day) for day in before), mark(ANNA, days[3]), mark(ANNA, days[21])])
    assert (await conclusions(pool)).flags == {}

    # Last year is corrected now: the flag of this year follows.
    await feeder.feed([mark(ANNA, before[0]), mark(ANNA, before[1])])
    assert (await conclusions(pool)).flags == {
        (ANNA, 2025): Level.CHRONICALLY_ABSENT,
        (ANNA, 2026): Level.AT_RISK,
    }


async def test_the_answer_to_why_names_days_rule_and_history(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    marks = [mark(ANNA, days[10]), mark(ANNA, days[11], "excused_absence"), mark(ANNA, days[12], "tardy")]
    await Feeder(pool).feed([*a_year(days, ANNA, person_key=PERSON), *marks])
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    assert answer["level"] == "chronically_absent"
    assert answer["absent_days"] == [days[10].isoformat(), days[11].isoformat()]
    assert answer["sentence"] == "Absent on 2 of 20 enrolled days: 10 % or more."
    assert [each["accumulator"] for each in answer["accumulators"]] == ["school", "district", "state"]
    assert answer["rule"]["min_enrolled_days"] == 10
    assert [change["level"] for change in answer["history"]] == ["chronically_absent"]
    assert answer["as_of"] == days[-1].isoformat()
    assert answer["absences"] == {
        "unexcused_absence": [days[10].isoformat()],
        "excused_absence": [days[11].isoformat()],
    }
    assert answer["tardies"] == [days[12].isoformat()]


async def test_where_each_school_counts_alone_the_sentence_has_that_schools_days(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    await pool.execute("INSERT INTO policy (district, version, accumulator) VALUES ('hartford', 1, 'school')")
    days = school_days(20)
    await Feeder(pool).feed(
        [
            *(fact for school in ("H01", "H02") for fact in (calendar(days, school=school),)),
            *(roll(day, school=school) for school in ("H01", "H02") for day in days),
            stint(ANNA, school="H01", exit_date=days[10]),
            stint(ANNA, school="H02", entry=days[10]),
            mark(ANNA, days[15], school="H02"),
            mark(ANNA, days[16], school="H02"),
        ]
    )
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    # Over the district 2 of 20 would be 10 %: the sentence must not say 20 % of those days.
    assert answer["level"] == "severely_chronically_absent"
    assert answer["sentence"] == "Absent on 2 of 10 enrolled days: 20 % or more."


async def test_the_state_counts_a_mover_across_districts_once_the_first_has_let_go(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    elsewhere = student(99)
    days = school_days(20)
    feeder = Feeder(pool)
    await feeder.feed(
        [
            *a_year(days, ANNA, person_key=PERSON),
            stint(elsewhere, district="windham", entry=date(2026, 8, 24), exit_date=FIRST_DAY, person_key=PERSON),
            roll(date(2026, 8, 27), district="windham"),
            mark(elsewhere, date(2026, 8, 27), district="windham"),
        ]
    )
    alone = (await ask(pool, f"/v1/students/{ANNA}/absence"))["accumulators"][-1]
    assert alone == {"accumulator": "state", "days_enrolled": 20, "days_absent": 0, "enrolled_elsewhere": True}
    await feeder.feed([transfer(PERSON, "windham", "hartford")])
    joined = (await ask(pool, f"/v1/students/{ANNA}/absence"))["accumulators"][-1]
    assert joined == {"accumulator": "state", "days_enrolled": 21, "days_absent": 1, "enrolled_elsewhere": False}


async def test_another_district_s_student_is_answered_like_an_unknown_one(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed(a_year(school_days(20), ANNA))
    answers = []
    for person, whose in (("bea", ANNA), ("bea", uuid4()), ("state", ANNA), ("dana", ANNA)):
        async with client(pool, person) as http:
            answers.append(await http.get(f"/v1/students/{whose}/absence"))
    assert [answer.status_code for answer in answers] == [404, 404, 403, 200]
    assert answers[0].content == answers[1].content


async def test_an_unknown_student_is_not_found(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    async with client(pool) as http:
        assert (await http.get(f"/v1/students/{uuid4()}/absence")).status_code == 404
        assert (await http.get("/v1/students/nobody/absence")).status_code == 422


async def test_counts_tell_applied_from_duplicate(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(5)
    first = [mark(ANNA, day) for day in days]
    await feeder.feed([stint(ANNA), *(roll(day) for day in days)])
    await feeder.feed([*first, first[0]])
    await feeder.feed([*first, mark(BEN, days[0], district="windham")])
    counts = {each["district"]: each for each in (await ask(pool, "/v1/counts", "ops"))["districts"]}
    assert (counts["hartford"]["applied"], counts["hartford"]["duplicate"]) == (5, 6)
    assert (counts["windham"]["applied"], counts["windham"]["duplicate"]) == (1, 0)
    assert (counts["hartford"]["students"], counts["hartford"]["at_risk"]) == (1, 1)


async def test_a_receipt_hears_of_every_row(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    receipt = uuid4()
    days = school_days(3)
    marks: list[Event] = [mark(ANNA, day, receipt=receipt) for day in days]
    await Feeder(pool).feed([*marks, marks[0], mark(BEN, days[0])])
    [progress] = await published(pool, "receipt-progress")
    assert isinstance(progress, ReceiptProgressed)
    assert (progress.receipt, progress.accepted, progress.duplicate) == (receipt, 3, 1)


async def test_a_flag_tells_its_days_and_which_of_them_were_corrected(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    missed = [days[3], days[9], days[19]]
    await feeder.feed([*a_year(days, ANNA), *(mark(ANNA, day) for day in missed)])
    await feeder.feed([mark(ANNA, day, "in_attendance", version=2) for day in missed[:2]])

    raised, cleared = await flags(pool)
    assert list(raised.absent_days) == missed
    assert raised.corrected_days == ()
    assert raised.recent is not None
    assert (raised.recent.last_20_absent, raised.recent.last_20_counted, raised.recent.spell) == (3, 20, 1)
    assert isinstance(cleared, FlagCleared)
    assert list(cleared.absent_days) == missed[2:]
    assert list(cleared.corrected_days) == missed[:2]


async def test_a_completed_day_and_a_closed_month_are_tallied_and_tallied_again_when_corrected(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(24)
    moved_clock(days[-1])
    await feeder.feed([calendar(days), stint(ANNA), stint(BEN), mark(ANNA, days[1])])
    await feeder.feed([roll(day) for day in days if day.month < 10])
    await settle(pool)
    # Every school day of these months has its roll.
    assert {month for _, month in await months(pool)} == {date(2026, 8, 1), date(2026, 9, 1)}

    await feeder.feed([roll(day) for day in days if day.month == 10])
    await settle(pool)
    newest = await months(pool)
    assert {month for _, month in newest} == {date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)}
    assert newest[ANNA, date(2026, 9, 1)][0] == 1
    assert sum(enrolled for _, enrolled, _ in newest.values()) == 2 * 24

    await feeder.feed([mark(BEN, days[1])])
    (last,) = (await published(pool, "school-months"))[-1:]
    assert isinstance(last, StudentMonthsTallied)
    assert (last.students, last.month, last.days_absent) == ((BEN,), date(2026, 9, 1), (1,))
    assert last.version > newest[BEN, date(2026, 9, 1)][2]
    assert await school_day(pool, days[1]) == (2, 2)
    assert await school_day(pool, days[2]) == (2, 0)


async def test_what_postgresql_could_not_take_is_set_aside_and_the_rest_counts(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    good = mark(ANNA, school_days(1)[0]).model_dump_json().encode()
    bad = [
        None,
        b"",
        b"{",
        b"[]",
        good[:-5],
        good.replace(b"unexcused_absence", b"gone_fishing"),
        good.replace(b'"school":"H01"', b'"school":"H\\u0000"'),
        good.replace(b'"school":"H01"', b'"school":"H\xff"'),
        good.replace(b'"school":"H01"', b'"school":"\\ud800"'),
        good.replace(b'"2026-08-31"', b'"2026-02-30"'),
        good.replace(b'"2026-08-31"', b'"0001-01-01"'),
        good.replace(b'"source_version":1', b'"source_version":9223372036854775808'),
        good.replace(str(ANNA).encode(), b"somebody"),
    ]
    assert len(set(bad)) == len(bad)
    values = [*bad, good.replace(b"{", b'{"later_field":"\xff",', 1), good]
    outcome = await deliver(pool, FACTS, [record("attendance", 0, n, value) for n, value in enumerate(values)])
    assert outcome is not None
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") in (len(bad), len(bad) + 1)
    assert await pool.fetchval("SELECT sum(length(codes)) FROM roll_page") == 1


async def test_a_line_was_reached_when_todays_facts_reach_it_and_not_when_they_came(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(40)
    feeder = Feeder(pool)
    await feeder.feed([*(mark(ANNA, day) for day in days[3:7]), calendar(days), *(roll(day) for day in days)])
    await feeder.feed([stint(ANNA)])
    (raised,) = await flags(pool)
    # 4 of 40 today; 4 of 10 on the tenth day already, when the rule first spoke.
    assert (raised.level, raised.first_reached, raised.as_of) == (Level.CHRONICALLY_ABSENT, days[9], days[39])
    # Somebody who looked on the fifth day would have seen two absences among the first days.
    assert raised.first_flagged == days[4]
