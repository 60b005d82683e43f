"""The rules of a visitor's log."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.visitlog.rules.form import FollowUp, Log
from services.visitlog.rules.outcomes import PHONE_CLOCK_TOLERANCE, LogInvalid, check_log
from tests.zones import HERE

NOON = datetime(2026, 10, 5, 16, 0, tzinfo=UTC)
A_VISIT: dict[str, Any] = {
    "outcome": "took_place",
    "started_at": NOON - timedelta(hours=1),
    "ended_at": NOON - timedelta(minutes=20),
    "pair": ["ana", "ben"],
}


def check(**fields: Any) -> None:
    """The rule alone, without the bounds of the form."""
    check_log(log=Log.model_construct(visit_id=UUID(int=1), **fields), as_of=NOON, zone=HERE)


def call(due: date) -> FollowUp:
    return FollowUp(due=due, kind="call")


def test_a_visit_by_two_people_with_start_and_end_is_a_log() -> None:
    check(**A_VISIT)


@given(pair=st.lists(st.sampled_from(["ana", "ben", "cem"]), max_size=4))
def test_exactly_two_different_people_visit(pair: list[str]) -> None:
    if len(pair) == 2 and len(set(pair)) == 2:
        check(**A_VISIT | {"pair": pair})
    else:
        with pytest.raises(LogInvalid, match="two different"):
            check(**A_VISIT | {"pair": pair})


def test_only_an_attempt_may_have_no_end() -> None:
    check(**A_VISIT | {"outcome": "family_not_home", "ended_at": None})
    with pytest.raises(LogInvalid, match="has an end"):
        check(**A_VISIT | {"ended_at": None})


@given(minutes=st.integers(-60, 60))
def test_a_visit_ends_after_it_starts(minutes: int) -> None:
    started_at = NOON - timedelta(hours=2)
    log = A_VISIT | {"started_at": started_at, "ended_at": started_at + timedelta(minutes=minutes)}
    if minutes > 0:
        check(**log)
    else:
        with pytest.raises(LogInvalid, match="later than the start"):
            check(**log)


def test_a_phone_running_a_little_ahead_loses_no_log() -> None:
    check(**A_VISIT | {"ended_at": NOON + PHONE_CLOCK_TOLERANCE})
    with pytest.raises(LogInvalid, match="future"):
        check(**A_VISIT | {"ended_at": NOON + PHONE_CLOCK_TOLERANCE + timedelta(seconds=1)})


def test_a_follow_up_comes_after_its_visit() -> None:
    check(**A_VISIT | {"follow_up": call(date(2026, 10, 5))})
    with pytest.raises(LogInvalid, match="next visit or call"):
        check(**A_VISIT | {"follow_up": call(date(2026, 10, 4))})


def test_equal_logs_are_spelt_alike_whatever_their_time_zone_and_defaults() -> None:
    log = {"visit_id": "0c000000-0000-4000-8000-000000000001", "outcome": "took_place", "pair": ["ana", "ben"]}
    utc = Log.model_validate(log | {"started_at": "2026-10-05T15:00:00Z", "ended_at": "2026-10-05T15:40:00Z"})
    local = Log.model_validate(
        log
        | {
            "started_at": "2026-10-05T11:00:00-04:00",
            "ended_at": "2026-10-05T11:40:00.000-04:00",
            "referrals": [],
            "follow_up": None,
        }
    )
    assert utc.in_one_spelling() == local.in_one_spelling()
