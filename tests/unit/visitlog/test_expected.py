"""When a log is missing, and what is no missing log; which referral steps and which second logs can be."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.visitlog.rules.outcomes import (
    Due,
    LogInvalid,
    ReferralBackwards,
    Training,
    check_referral_change,
    check_substitutes,
    due_of,
    is_same_door,
    overdue_before,
)
from tests.zones import HERE

MONDAY = datetime(2026, 11, 16, 15, 0, tzinfo=HERE)


def due(starts_at: datetime, as_of: datetime, *, cancelled: bool = False, outcomes: tuple[str, ...] = ()) -> Due:
    limit = overdue_before(as_of=as_of, business_days=5, zone=HERE)
    return due_of(cancelled=cancelled, outcomes=outcomes, starts_at=starts_at, overdue_before=limit)


@pytest.mark.parametrize(("days_later", "state"), [(0, "expected"), (4, "expected"), (7, "expected"), (8, "overdue")])
def test_a_mondays_visit_is_overdue_from_the_second_tuesday(days_later: int, state: str) -> None:
    assert due(MONDAY, MONDAY + timedelta(days=days_later)) == state


def test_a_visit_that_was_tried_or_called_off_is_not_missing() -> None:
    later = MONDAY + timedelta(days=30)
    assert due(MONDAY, later) is Due.OVERDUE
    assert due(MONDAY, later, cancelled=True) is Due.CANCELLED
    assert due(MONDAY, later, outcomes=("family_not_home",)) is Due.ATTEMPTED
    assert due(MONDAY, later, cancelled=True, outcomes=("took_place",)) is Due.LOGGED
    assert due(MONDAY, later, outcomes=("family_not_home", "took_place")) is Due.LOGGED


@given(
    as_of=st.integers(0, 3 * 365 * 24).map(lambda hours: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hours)),
    business_days=st.integers(1, 30),
)
def test_overdue_means_that_so_many_whole_business_days_lie_between(as_of: datetime, business_days: int) -> None:
    today = as_of.astimezone(HERE).date()

    def whole_days_since(day: date) -> int:
        between = [day + timedelta(days=n) for n in range(1, (today - day).days)]
        return sum(each.weekday() < 5 for each in between)

    limit = overdue_before(as_of=as_of, business_days=business_days, zone=HERE).date()
    assert whole_days_since(limit - timedelta(days=1)) >= business_days
    assert whole_days_since(limit) < business_days


@given(
    standing=st.sampled_from(["offered", "accepted", "handed_over", "connected", "closed"]),
    status=st.sampled_from(["offered", "accepted", "handed_over", "connected", "closed"]),
)
def test_a_referral_goes_forwards_or_stays(standing: str, status: str) -> None:
    order = ["offered", "accepted", "handed_over", "connected", "closed"]
    if order.index(status) < order.index(standing):
        with pytest.raises(ReferralBackwards):
            check_referral_change(standing=standing, status=status)
    else:
        assert check_referral_change(standing=standing, status=status) is (status != standing)


@pytest.mark.parametrize(
    ("outcome", "minutes_later", "same"),
    [("took_place", 600, True), ("family_not_home", 29, True), ("family_not_home", 30, False)],
)
def test_attempts_may_repeat_and_a_visit_takes_place_once(outcome: str, minutes_later: int, same: bool) -> None:
    again = MONDAY + timedelta(minutes=minutes_later)
    assert is_same_door(standing_outcome=outcome, standing_started_at=MONDAY, started_at=again) is same
    assert is_same_door(standing_outcome=outcome, standing_started_at=again, started_at=MONDAY) is same


def test_who_steps_in_is_trained_here_and_on_that_day() -> None:
    cem = Training(
        visitor_id="cem",
        district="hartford",
        valid_from=date(2026, 8, 1),
        valid_until=date(2026, 11, 16),
        active=True,
    )

    def step_in(training: Training, day: date) -> None:
        check_substitutes(
            pair=["ana", "cem"], agreed_pair=["ana", "ben"], trainings=[training], district="hartford", visited_on=day
        )

    step_in(cem, date(2026, 11, 16))
    for training, day in (
        (cem, date(2026, 11, 17)),
        (cem, date(2026, 7, 31)),
        (Training(**{name: getattr(cem, name) for name in cem.__slots__} | {"active": False}), date(2026, 11, 16)),
        (
            Training(**{name: getattr(cem, name) for name in cem.__slots__} | {"district": "danbury"}),
            date(2026, 11, 16),
        ),
    ):
        with pytest.raises(LogInvalid, match="LEAP 101"):
            step_in(training, day)
