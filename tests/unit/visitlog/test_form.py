"""The log's model and the form's fields: strict, limited, and never an exception that nobody expects."""

import json
from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import events
from contracts.events import Labelled
from services.runtime.web.forms import Form
from services.runtime.web.languages import Language
from services.visitlog.pages.fields import as_text, read_log, scaled, uuid7
from services.visitlog.rules.form import (
    LONG_TEXT,
    OUTCOME_TOLD,
    PLACE_TOLD,
    Log,
    Outcome,
    Place,
    efforts_of,
    referral_id_of,
)
from services.visitlog.rules.outcomes import LogInvalid
from services.visitlog.rules.policy import ExtraField, LogPolicy, check_extra
from tests.unit.visitlog.test_outcomes import NOON
from tests.zones import HERE

VISIT = UUID("0c000000-0000-4000-8000-000000000001")
LOG: dict[str, Any] = {
    "visit_id": str(VISIT),
    "outcome": "took_place",
    "started_at": "2026-10-05T15:00:00Z",
    "ended_at": "2026-10-05T15:40:00Z",
    "pair": ["marisol", "omar"],
}
ENGLISH = Language("en", ())
FIELDS = [
    "outcome", "place", "day", "start", "end", "pair", "language", "interpreter", "took_part", "left", "left_note",
    "voice.hopes", "voice.obstacles", "small_step.what", "small_step.whose", "promises.0.what", "promises.0.due",
    "referrals.0.resource", "referrals.0.status", "follow_up.kind", "follow_up.due", "efforts.0.miles",
    "efforts.0.minutes", "efforts.1.travel_minutes", "extra.bus", "private_note", "written_at",
]  # fmt: skip
SAID = [
    "took_place",
    "family_not_home",
    "home",
    "2026-10-05",
    "16:00",
    "16:45",
    "marisol",
    "omar",
    "12.5",
    "99999",
    "-1",
]


@pytest.mark.parametrize(
    "change",
    [
        {"wage": 3},
        {"voice": {"strengths": "x" * (LONG_TEXT + 1)}},
        {"voice": {"shoe_size": "9"}},
        {"voice": {"hopes": "\x00"}},
        {"voice": {"hopes": "a\ud800"}},
        {"voice": {"obstacles": ["laziness"]}},
        {"small_step": {"what": " "}},
        {"promises": [{"what": "Call"}]},
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"started_at": "9999-12-31T23:59:59-12:00"},
        {"started_at": "2026-10-05T15:00:00"},
        {"started_at": 1e300},
        {"follow_up": {"due": "9999-12-31", "kind": "visit"}},
        {"efforts": [{"visitor_id": "omar", "travel_minutes": 1441}]},
        {"efforts": [{"visitor_id": "omar", "mileage_tenths": -1}]},
        {"extra": {"Bus line": "30"}},
        {"language": "Spanish"},
    ],
)
def test_what_is_not_asked_or_too_much_is_refused(change: dict[str, Any]) -> None:
    Log.model_validate(LOG)
    with pytest.raises(ValidationError):
        Log.model_validate(LOG | change)


def test_line_ends_and_defaults_make_no_log_another_one() -> None:
    typed = Log.model_validate(LOG | {"voice": {"hopes": "a\r\nb "}, "written_at": "2026-10-05T20:00:00Z"})
    sent = Log.model_validate(LOG | {"voice": {"hopes": "a\nb", "obstacles": []}, "took_part": []})
    assert typed.in_one_spelling() == sent.in_one_spelling()
    assert json.loads(typed.in_one_spelling())["voice"]["hopes"] == "a\nb"


def test_both_have_an_effort_and_who_is_not_mentioned_was_there() -> None:
    log = Log.model_validate(LOG | {"efforts": [{"visitor_id": "omar", "minutes": 30, "travel_minutes": 20}]})
    assert [(each.visitor_id, each.minutes, each.travel_minutes) for each in efforts_of(log)] == [
        ("marisol", 40, 0),
        ("omar", 30, 20),
    ]


def test_a_referral_has_the_same_id_whenever_its_log_is_sent() -> None:
    assert referral_id_of(VISIT, 0) == referral_id_of(VISIT, 0)
    assert referral_id_of(VISIT, 0) != referral_id_of(VISIT, 1)


@given(fields=st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(SAID) | st.text(max_size=40)), max_size=30))
def test_whatever_a_form_holds_it_is_a_log_or_says_what_to_correct(fields: list[tuple[str, str]]) -> None:
    read = read_log(Form(fields), visit_id=VISIT, zone=HERE)
    if read.value is not None:
        assert as_text(json.loads(read.value.in_one_spelling()))
        return
    errors = read.said(ENGLISH)
    assert errors
    # What to correct never repeats what was typed: it may name a family.
    assert not any(text in message for _, text in fields if len(text) > 12 for message in errors.values())


def test_an_attempts_form_leaves_out_what_only_a_visit_has() -> None:
    fields = [
        ("outcome", "family_not_home"),
        ("day", "2026-10-05"),
        ("start", "16:00"),
        ("pair", "marisol"),
        ("pair", "omar"),
        ("voice.hopes", "typed before the outcome changed"),
        ("follow_up.due", "2026-10-12"),
        ("efforts.1.miles", "3,5"),
    ]
    log = read_log(Form(fields), visit_id=VISIT, zone=HERE).value
    assert log is not None
    assert not log.of_a_visit_only()
    assert log.follow_up is not None
    assert log.follow_up.kind == "visit"
    assert [effort.mileage_tenths for effort in log.efforts] == [0, 35]


def test_what_is_wrong_is_said_in_the_row_in_which_it_was_typed() -> None:
    fields = [
        ("outcome", "took_place"),
        ("day", "2026-10-05"),
        ("start", "16:00"),
        ("end", "late"),
        ("pair", "marisol"),
        ("pair", "omar"),
        ("efforts.1.miles", "many"),
        ("promises.0.whose", "visitors"),
        ("promises.1.what", "Call the nurse"),
        ("promises.1.due", "soon"),
        ("referrals.2.resource", "Food!"),
        ("language", "Spanish"),
    ]
    assert read_log(Form(fields), visit_id=VISIT, zone=HERE).said(ENGLISH) == {
        "end": "Write a time like 16:30.",
        "efforts.1.miles": "Write miles like 12.5.",
        "promises.1.due": "Choose a day.",
        "referrals.2.resource": "This can't be written like that.",
        "language": "Write a code like en or pt-BR.",
    }


@pytest.mark.parametrize(
    ("text", "places", "whole"),
    [("28.5", 2, 2850), ("28,50", 2, 2850), (" 7 ", 1, 70), (".5", 1, 5), ("", 2, None), ("7.55", 1, None),
     ("-1", 2, None), ("٣", 2, None), ("123456", 0, None)],
)  # fmt: skip
def test_a_decimal_number_is_read_exactly_or_not_at_all(text: str, places: int, whole: int | None) -> None:
    assert scaled(text, places) == whole


def test_whatever_the_form_asks_other_services_are_told_what_they_can_read() -> None:
    assert set(OUTCOME_TOLD) == set(Outcome)
    assert set(PLACE_TOLD) == set(Place)
    # An attempt told as a visit that took place would be counted as one, and the other way round.
    took_place = [asked for asked, told in OUTCOME_TOLD.items() if told is events.Outcome.TOOK_PLACE]
    assert took_place == [Outcome.TOOK_PLACE]


def test_an_id_sorts_by_its_time_and_is_of_version_seven() -> None:
    ids = [uuid7(NOON) for _ in range(50)]
    assert {each.version for each in ids} == {7}
    assert {each.variant for each in ids} == {"specified in RFC 4122"}
    assert len(set(ids)) == 50
    assert all(each.hex[:12] == f"{int(NOON.timestamp() * 1000):012x}" for each in ids)


def test_a_district_asks_for_more_and_an_old_phone_may_answer_what_it_asked_before() -> None:
    bus = ExtraField(code="bus", labels={"en": "Bus line", "es": "Línea"}, kind="number")
    ride = ExtraField(
        code="ride", labels={"es": "Viaje"}, kind="choice", choices=(Labelled(code="walk", labels={"en": "Walks"}),)
    )
    versions = [LogPolicy(extra_fields=(ride,)), LogPolicy(extra_fields=(bus,))]
    check_extra(extra={"bus": "30", "ride": "walk"}, versions=versions)
    for extra in ({"bus": "thirty"}, {"ride": "fly"}, {"shoe": "9"}):
        with pytest.raises(LogInvalid):
            check_extra(extra=extra, versions=versions)
    said = defaultdict(list)
    for field in (bus, ride):
        for language in ("en", "es", "pl"):
            said[field.code].append(field.label(language))
    assert said == {"bus": ["Bus line", "Línea", "Bus line"], "ride": ["Viaje", "Viaje", "Viaje"]}
