"""Who may go together: every hard rule at its line, and what the sentences say."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import AppointmentRefused, Away, Reason, Window, because, say
from services.scheduling.rules.policy import Policy
from tests.unit.scheduling.who_goes import FAMILY, NOW, TUESDAY, at, booking, meeting, visitor
from tests.zones import HERE

POLICY = Policy(min_notice_hours=0)


def codes(reasons: list[Reason]) -> list[str]:
    return [reason.code for reason in reasons]


def against(*, name: str = "ana", bookings: Any = (), starts_at: datetime | None = None, **fields: Any) -> list[str]:
    who = visitor(name, **fields)
    return codes(pairing.hindrances(visitor=who, meeting=meeting(starts_at), bookings=bookings, policy=POLICY))


def test_a_trained_free_visitor_may_go() -> None:
    assert against() == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"district": "danbury"}, "another_district"),
        ({"active": False}, "inactive"),
        ({"leap101_valid_until": TUESDAY - timedelta(days=1)}, "leap101"),
        ({"leap101_valid_from": TUESDAY + timedelta(days=1)}, "leap101"),
        ({"excluded_households": frozenset({FAMILY})}, "excluded"),
        ({"away": (Away(first_day=TUESDAY, last_day=TUESDAY),)}, "away"),
        ({"windows": (Window(weekday=3, begins=time(8), ends=time(20)),)}, "not_available"),
        ({"weekly_cap": 0}, "weekly_cap"),
    ],
)
def test_each_hard_rule_hinders_with_its_own_reason(fields: dict[str, Any], code: str) -> None:
    assert against(**fields) == [code]


def test_training_counts_on_its_first_and_its_last_day() -> None:
    assert against(leap101_valid_from=TUESDAY, leap101_valid_until=TUESDAY) == []


def test_the_day_of_training_is_the_local_day() -> None:
    # Eight in the evening in Hartford is already tomorrow in UTC.
    evening = at(19)
    assert evening.astimezone(NOW.tzinfo).date() == TUESDAY
    assert against(starts_at=evening, leap101_valid_until=TUESDAY) == []


@pytest.mark.parametrize(
    ("begins", "ends", "free"), [(16, 17, True), (15, 18, True), (16, 16.75, False), (16.25, 18, False)]
)
def test_hours_must_cover_the_whole_visit(begins: float, ends: float, free: bool) -> None:
    hours = [time(int(hour), int(hour % 1 * 60)) for hour in (begins, ends)]
    window = Window(weekday=2, begins=hours[0], ends=hours[1])
    assert (against(windows=(window,)) == []) is free


def test_hours_that_touch_are_one_and_hours_with_a_gap_are_two() -> None:
    afternoon = Window(weekday=2, begins=time(12), ends=time(16, 30))
    evening = Window(weekday=2, begins=time(16, 30), ends=time(20))
    late = Window(weekday=2, begins=time(16, 31), ends=time(20))
    assert against(windows=(evening, afternoon)) == []
    assert against(windows=(late, afternoon)) == ["not_available"]


def test_a_visitor_who_told_no_hours_can_at_all_of_them() -> None:
    assert against(windows=()) == []


@pytest.mark.parametrize(
    ("other_begins", "clash"),
    [((14, 30), False), ((14, 31), True), ((16, 0), True), ((17, 29), True), ((17, 30), False)],
)
def test_two_visits_need_the_way_between_them(other_begins: tuple[int, int], clash: bool) -> None:
    found = against(bookings=[booking(at(*other_begins))])
    assert found == (["booked"] if clash else [])


def test_the_visit_that_is_being_moved_is_in_nobodys_way() -> None:
    standing = booking(at(16))
    who = visitor(weekly_cap=1)
    found = pairing.hindrances(
        visitor=who, meeting=meeting(at(16, 30)), bookings=[standing], policy=POLICY, moving=standing.visit_id
    )
    assert found == []


def test_the_cap_counts_the_week_from_monday_to_sunday() -> None:
    sunday_before, monday, sunday = at(10, days=-2), at(10, days=-1), at(10, days=5)
    next_monday = at(10, days=6)
    outside = [booking(sunday_before, number=1), booking(next_monday, number=2)]
    assert against(bookings=outside, weekly_cap=1) == []
    inside = [booking(monday, number=3), booking(sunday, number=4)]
    assert against(bookings=outside + inside, weekly_cap=3) == []
    assert against(bookings=outside + inside, weekly_cap=2) == ["weekly_cap"]


@pytest.mark.parametrize(
    ("starts_at", "minutes", "code"),
    [
        (at(8), 60, None),
        (at(19), 60, None),
        (at(7, 59), 60, "night"),
        (at(19, 1), 60, "night"),
        (at(23, 30), 60, "night"),
        (NOW, 60, "past"),
        (NOW + timedelta(minutes=1), 60, None),
        (NOW + timedelta(days=367), 60, "too_far"),
        (datetime.max.replace(tzinfo=NOW.tzinfo), 60, "too_far"),
        (datetime(1, 1, 2, tzinfo=NOW.tzinfo), 60, "past"),
        (at(12), 14, "length"),
        (at(12), 241, "length"),
    ],
)
def test_visits_are_agreed_ahead_and_by_day(starts_at: datetime, minutes: int, code: str | None) -> None:
    found = pairing.hindrances_of_time(starts_at=starts_at, minutes=minutes, policy=POLICY, as_of=NOW, zone=HERE)
    assert codes(found) == ([code] if code else [])


def test_a_district_may_ask_for_notice() -> None:
    asks = Policy(min_notice_hours=24)
    for hours, found in ((23, ["notice"]), (24, [])):
        starts_at = NOW + timedelta(hours=hours)
        assert (
            codes(pairing.hindrances_of_time(starts_at=starts_at, minutes=60, policy=asks, as_of=NOW, zone=HERE))
            == found
        )


def pair_of(*names: str, language: str = "en", interpreter: bool | None = None, **known: Any) -> list[str]:
    visitors = {"ana": visitor("ana"), "ben": visitor("ben"), **known}
    wished = meeting(language=language, interpreter=interpreter)
    found = pairing.hindrances_of_pair(pair=names, visitors=visitors, meeting=wished, bookings={}, policy=POLICY)
    return codes(found)


def test_a_pair_is_two_different_known_people() -> None:
    assert pair_of("ana", "ben") == []
    assert pair_of("ana") == pair_of("ana", "ana") == pair_of("ana", "ben", "cem") == ["not_a_pair"]
    assert pair_of("ana", "zoe") == ["not_registered"]


def test_all_reasons_against_a_pair_are_told_at_once() -> None:
    found = pair_of("ana", "cem", cem=visitor("cem", active=False, weekly_cap=0))
    assert found == ["inactive", "weekly_cap"]


def test_one_of_the_pair_speaks_the_language_or_an_interpreter_comes() -> None:
    cem = visitor("cem", languages=("en", "pt-BR"))
    assert pair_of("ana", "ben", language="pt") == []
    assert pair_of("ana", "ben", language="pt", interpreter=False) == ["language"]
    assert pair_of("ana", "cem", language="pt", interpreter=False, cem=cem) == []
    wished = meeting(language="pt")
    assert pairing.needs_interpreter(pair=[visitor("ana"), visitor("ben")], meeting=wished)
    assert not pairing.needs_interpreter(pair=[visitor("ana"), cem], meeting=wished)
    assert pairing.needs_interpreter(pair=[visitor("ana"), cem], meeting=meeting(language="pt", interpreter=True))


def test_a_refusal_says_who_is_booked_from_when_to_when() -> None:
    found = pairing.hindrances(visitor=visitor(), meeting=meeting(), bookings=[booking(at(15, 30))], policy=POLICY)
    refused = AppointmentRefused(found)
    assert str(refused) == (
        "ana is booked from 2026-10-06 15:30 to 2026-10-06 16:30 and free again at 2026-10-06 17:00, travel included"
    )
    assert (refused.code, refused.values["visitor"]) == ("booked", "ana")


def test_every_reason_has_a_sentence_that_its_values_fill() -> None:
    values: dict[str, Any] = {
        "visitor": "ana", "day": TUESDAY, "first_day": TUESDAY, "last_day": TUESDAY, "begins": time(8),
        "ends": time(9), "free_at": NOW, "visits": 3, "cap": 6, "language": "pt", "days": 366, "hours": 24,
        "earliest": "08:00", "latest": "20:00", "shortest": 15, "longest": 240, "school": "H01",
    }  # fmt: skip
    for code in pairing.SENTENCES:
        assert "%" not in say(because(code, **values))


def test_a_scarce_language_is_one_that_few_active_visitors_speak() -> None:
    many = [visitor(str(number), languages=("en", "es")) for number in range(3)]
    few = [visitor("pia", languages=("en", "pt-BR")), visitor("quinn", languages=("en", "pl"), active=False)]
    assert pairing.scarce_languages([*many, *few]) == {"pt"}


def test_a_week_begins_on_local_monday_also_when_the_clocks_change() -> None:
    begins, ends = pairing.week_around(datetime(2026, 11, 1, 23, 30, tzinfo=HERE), zone=HERE)
    assert (begins.date(), ends.date()) == (date(2026, 10, 26), date(2026, 11, 2))
