"""The simulated state is the same for the same seed, and looks like Connecticut."""

import hashlib
import json
from collections import Counter
from datetime import date
from itertools import pairwise

import pytest

from deploy.demo import absences
from deploy.demo.calendars import first_school_day, latest_day_worth_replaying
from deploy.demo.districts import DISTRICT_BY_CODE, DISTRICTS
from deploy.demo.feed import DistrictDay, plan
from deploy.demo.records import CompletedRoll, Mark, whole_roll
from services.ingest.formats import own
from services.ingest.rules.landing import Rejection, Roll
from tests.unit.demo import recount

JUNE, NOVEMBER = date(2027, 6, 30), date(2026, 11, 20)


@pytest.fixture(scope="module")
def year() -> list[DistrictDay]:
    return list(plan(scale=0.05, seed=1, until=JUNE))


@pytest.fixture(scope="module")
def state(year: list[DistrictDay]) -> dict[str, recount.District]:
    return recount.read(year)


def digest(days: list[DistrictDay]) -> str:
    return hashlib.sha256(b"\n".join(sent.value for day in days for sent in (*day.roster, *day.attendance))).hexdigest()


def test_the_same_seed_sends_the_same_bytes() -> None:
    first, second, other = (list(plan(scale=0.01, seed=seed, until=NOVEMBER)) for seed in (7, 7, 8))

    assert digest(first) == digest(second)
    assert digest(first) != digest(other)


def test_a_replay_until_november_is_the_beginning_of_one_until_june(year: list[DistrictDay]) -> None:
    until_november = list(plan(scale=0.05, seed=1, until=NOVEMBER))

    assert until_november == year[: len(until_november)]
    assert until_november[-1].day == NOVEMBER


def test_only_the_named_districts_report_and_say_what_they_say_among_all(year: list[DistrictDay]) -> None:
    alone = list(plan(scale=0.05, seed=1, until=NOVEMBER, districts=frozenset({"hartford"})))

    assert {day.district for day in alone} == {"hartford"}
    assert alone == [day for day in year if day.district == "hartford" and day.day <= NOVEMBER]


def test_every_district_ends_the_year_near_its_published_share_of_chronic_absence(
    state: dict[str, recount.District],
) -> None:
    judged = {code: district.share_chronic() for code, district in state.items()}

    for district in DISTRICTS:
        tolerance = 0.03 if district.students * 0.05 > 500 else 0.07
        assert judged[district.code] == pytest.approx(district.chronic_percent / 100, abs=tolerance), district.code
    weighted = sum(judged[d.code] * d.students for d in DISTRICTS) / sum(d.students for d in DISTRICTS)
    published = sum(d.chronic_percent * d.students for d in DISTRICTS) / sum(d.students for d in DISTRICTS) / 100
    assert weighted == pytest.approx(published, abs=0.006)


def test_each_district_has_its_share_of_the_students(state: dict[str, recount.District]) -> None:
    for code, district in state.items():
        kindergarten_to_twelve = {
            stint["student"]
            for _, stint in district.stints.values()
            if stint["grade"] != "PK" and stint["entry_date"] < "2026-09-04"
        }
        assert len(kindergarten_to_twelve) == round(DISTRICT_BY_CODE[code].students * 0.05)


def test_fridays_are_missed_more_often_by_about_a_point_and_a_half(state: dict[str, recount.District]) -> None:
    enrolled, absent = Counter[bool](), Counter[bool]()
    for district in state.values():
        counted, missed, _ = district.days()
        for key, days in counted.items():
            enrolled.update(day.weekday() == 4 for day in days)
            absent.update(day.weekday() == 4 for day in missed[key])

    points = 100 * (absent[True] / enrolled[True] - absent[False] / enrolled[False])
    assert 0.8 < points < 3.0


def test_absences_come_in_spells(state: dict[str, recount.District]) -> None:
    after_absence, after_presence = Counter[bool](), Counter[bool]()
    enrolled, missed, _ = state["hartford"].days()
    for key, days in enrolled.items():
        for before, day in pairwise(sorted(days)):
            (after_absence if before in missed[key] else after_presence)[day in missed[key]] += 1

    assert after_absence[True] / after_absence.total() > 3 * after_presence[True] / after_presence.total()


def test_everybody_has_180_school_days_and_nobody_a_weekend(state: dict[str, recount.District]) -> None:
    for district in state.values():
        for _, days, _ in district.calendars.values():
            assert len(days) == 180
            assert all(day.weekday() < 5 for day in days)


def test_a_closed_school_is_told_by_a_later_version_of_its_calendar_before_the_winter_and_in_it(
    year: list[DistrictDay],
) -> None:
    versions = Counter(
        (day.day < date(2026, 12, 1), json.loads(sent.value)["version"] > 1)
        for day in year
        for sent in day.roster
        if b'"calendar"' in sent.value
    )

    assert versions[True, True] == 15
    assert versions[False, True] > 100


def test_movers_keep_their_state_number_across_districts(year: list[DistrictDay]) -> None:
    districts_by_number: dict[str, set[str]] = {}
    for day in year:
        for sent in day.roster:
            if b'"enrollment"' in sent.value:
                number = json.loads(sent.value)["state_student"]
                districts_by_number.setdefault(number, set()).add(day.district)

    movers = sum(len(districts) == 2 for districts in districts_by_number.values())
    assert 0.005 < movers / len(districts_by_number) < 0.03
    assert max(map(len, districts_by_number.values())) == 2


def test_siblings_share_a_household_and_every_student_lives_in_one(state: dict[str, recount.District]) -> None:
    sizes = Counter[int]()
    for district in state.values():
        living = {member["student"]: code for code, home in district.households.items() for member in home["students"]}
        sizes.update(len(home["students"]) for home in district.households.values())
        for _, stint in district.stints.values():
            assert living[stint["student"]] == stint["household"]

    assert sizes[1] > sizes[2] > sizes[3] > sizes[4] > 0


def test_phone_numbers_belong_to_nobody(state: dict[str, recount.District]) -> None:
    for district in state.values():
        for home in district.households.values():
            assert home["phones"][0][3:9] == "-555-0"
            assert 100 <= int(home["phones"][0][-4:]) <= 199


def test_full_feeds_mark_everybody_and_the_others_only_exceptions(year: list[DistrictDay]) -> None:
    marks, present = Counter[str](), Counter[str]()
    for day in year:
        for sent in day.attendance:
            if sent.kind != "garbage":
                marks[day.district] += sent.value.count(b'"mark"') + sent.value.count(b"],[") + sent.value.count(b"[[")
                present[day.district] += sent.value.count(b'"in_attendance"')

    for district in DISTRICTS:
        share = present[district.code] / marks[district.code]
        assert share > 0.75 if district.feed == "full" else share == 0


def test_trouble_of_every_kind_is_in_it(year: list[DistrictDay]) -> None:
    kinds, repeats, marks = Counter[str](), Counter[str](), 0
    for day in year:
        for sent in (*day.roster, *day.attendance):
            kinds[sent.kind] += 1
            repeats[sent.kind] += sent.repeat
            marks += sent.marks

    assert kinds["retractions"] > 500
    assert repeats["marks"] > 1_000
    assert repeats["rolls"] > 100
    assert 30 < kinds["garbage"] < 1_000
    assert marks > 300_000


def test_both_feeds_come_through_both_doors(year: list[DistrictDay]) -> None:
    assert {(district.feed, district.sends) for district in DISTRICTS} == {
        (feed, sends) for feed in ("exceptions", "full") for sends in ("rolls", "marks")
    }
    single, in_rolls, completed = Counter[str](), Counter[str](), Counter[str]()
    for day in year:
        for sent in day.attendance:
            single[day.district] += sent.kind == "marks"
            in_rolls[day.district] += sent.kind == "rolls" and sent.marks
            completed[day.district] += b'"roll_completed"' in sent.value and sent.kind != "garbage"
    for district in DISTRICTS:
        if district.sends == "rolls":
            # Late marks and corrections come one by one there too.
            assert 0 < single[district.code] < in_rolls[district.code], district.code
            assert completed[district.code] == 0, district.code
        else:
            assert (in_rolls[district.code], completed[district.code] > 0) == (0, True), district.code


def test_a_large_schools_roll_comes_in_pieces_that_ingest_takes_the_last_one_complete() -> None:
    marks = [Mark(f"{1_000_000 + n}", "H01", "2026-11-20", "early_departure", 2**51, 390, 395) for n in range(2_500)]
    sent = whole_roll(CompletedRoll("H01", "2026-11-20", "full"), marks)
    assert [each.marks for each in sent] == [1_000, 1_000, 500]
    assert max(len(each.value) for each in sent) < 64 * 1024
    read = [own.decode(each.value) for each in sent]
    assert all(isinstance(each, Roll) for each in read)
    assert [json.loads(each.value).get("complete", False) for each in sent] == [False, False, True]
    (nobody,) = whole_roll(CompletedRoll("H01", "2026-11-20", "exceptions"), [])
    assert json.loads(nobody.value)["marks"] == []
    assert json.loads(nobody.value)["complete"] is True


def test_ingest_takes_every_record_but_the_garbage(year: list[DistrictDay]) -> None:
    for day in year[:1_000]:
        for sent in (*day.roster, *day.attendance):
            if sent.kind != "garbage":
                own.decode(sent.value)


def test_ingest_refuses_all_of_the_garbage(state: dict[str, recount.District]) -> None:
    foreign = 0
    for district in state.values():
        for value in district.garbage:
            try:
                foreign += own.decode(value).district == "elsewhere" or refuse_to_accept(value)
            except Rejection:
                continue
    assert foreign > 0


def refuse_to_accept(value: bytes) -> bool:
    assert b'"student"' not in value, "only a record without a student may get this far"
    return False


def test_the_expected_share_solves_to_what_was_asked() -> None:
    for share in (0.13, 0.18, 0.23, 0.28):
        often = absences.often_share(chronic_share=share)
        mean = absences.seldom_mean(chronic_share=share)
        solved = often * absences.probability_chronic(mean=absences.OFTEN_MEAN, k=absences.OFTEN_K)
        solved += (1 - often) * absences.probability_chronic(mean=mean, k=absences.SELDOM_K)
        assert solved == pytest.approx(share, abs=1e-9)


def test_in_the_summer_the_year_that_is_over_is_replayed() -> None:
    assert first_school_day(2026) == date(2026, 8, 31)
    assert latest_day_worth_replaying(date(2026, 7, 15)) == date(2026, 6, 30)
    assert latest_day_worth_replaying(date(2026, 10, 15)) == date(2026, 10, 15)
