"""What a visit pays: whole cents, at the rate of its day."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.visitlog.rules.pay import Rate, compensation, dollars, rate_on

RATE = Rate(
    district="hartford",
    effective_from=date(2026, 7, 1),
    revision=1,
    hourly_cents=3000,
    travel_hourly_cents=2000,
    mile_tenth_cents=725,
    show_up_cents=1500,
)
rates = st.builds(
    Rate,
    district=st.just("hartford"),
    effective_from=st.dates(date(2025, 1, 1), date(2027, 1, 1)),
    revision=st.integers(1, 3),
    hourly_cents=st.integers(0, 100_000),
    travel_hourly_cents=st.integers(0, 100_000),
    mile_tenth_cents=st.integers(0, 100_000),
    show_up_cents=st.integers(0, 100_000),
)
efforts = st.fixed_dictionaries(
    {
        "minutes": st.integers(0, 1440),
        "travel_minutes": st.integers(0, 1440),
        "mileage_tenths": st.integers(0, 10_000),
    }
)


def test_three_quarters_of_an_hour_and_the_way() -> None:
    paid = compensation(rate=RATE, outcome="took_place", minutes=45, travel_minutes=24, mileage_tenths=65)
    # 45 min at $30; 24 min at $20; 6.5 miles at 72.5 cents are 471.25 cents.
    assert (paid.time_cents, paid.travel_cents, paid.mileage_cents, paid.show_up_cents) == (2250, 800, 471, 0)
    assert dollars(paid.total_cents) == "35.21"


@pytest.mark.parametrize(("minutes", "show_up_cents"), [(0, 1500), (10, 1000), (30, 0), (45, 0)])
def test_whoever_found_nobody_home_is_paid_at_least_for_coming(minutes: int, show_up_cents: int) -> None:
    paid = compensation(rate=RATE, outcome="family_not_home", minutes=minutes, travel_minutes=0, mileage_tenths=0)
    assert paid.show_up_cents == show_up_cents
    assert paid.total_cents >= RATE.show_up_cents


@given(rate=rates, effort=efforts, outcome=st.sampled_from(["took_place", "family_not_home"]))
def test_each_part_is_within_half_a_cent_of_the_exact_amount(rate: Rate, effort: dict[str, int], outcome: str) -> None:
    paid = compensation(rate=rate, outcome=outcome, **effort)
    exact = {
        paid.time_cents: Fraction(effort["minutes"] * rate.hourly_cents, 60),
        paid.travel_cents: Fraction(effort["travel_minutes"] * rate.travel_hourly_cents, 60),
        paid.mileage_cents: Fraction(effort["mileage_tenths"] * rate.mile_tenth_cents, 100),
    }
    assert all(abs(cents - amount) <= Fraction(1, 2) for cents, amount in exact.items())
    assert paid.total_cents == paid.time_cents + paid.travel_cents + paid.mileage_cents + paid.show_up_cents


@given(rate=rates, effort=efforts)
def test_more_time_or_way_never_pays_less(rate: Rate, effort: dict[str, int]) -> None:
    for outcome in ("took_place", "family_not_home"):
        paid = compensation(rate=rate, outcome=outcome, **effort)
        for more in effort:
            longer = compensation(rate=rate, outcome=outcome, **effort | {more: effort[more] + 1})
            assert longer.total_cents >= paid.total_cents


@given(known=st.lists(rates, max_size=8), visited_on=st.dates(date(2024, 12, 1), date(2027, 2, 1)))
def test_the_rate_of_a_day_is_the_last_that_had_begun_by_then(known: list[Rate], visited_on: date) -> None:
    rate = rate_on(rates=known, visited_on=visited_on)
    begun = [each for each in known if each.effective_from <= visited_on]
    if rate is None:
        assert begun == []
    else:
        assert rate in begun
        assert all((each.effective_from, each.revision) <= (rate.effective_from, rate.revision) for each in begun)


def test_a_new_rate_changes_no_pay_of_days_before_it() -> None:
    raised = Rate(**{name: getattr(RATE, name) for name in RATE.__slots__} | {"effective_from": date(2026, 11, 1)})
    the_day_before = raised.effective_from - timedelta(days=1)
    assert rate_on(rates=[RATE, raised], visited_on=the_day_before) == RATE
    assert rate_on(rates=[RATE, raised], visited_on=raised.effective_from) == raised
    assert rate_on(rates=[], visited_on=the_day_before) is None
