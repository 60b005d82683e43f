"""What a visit pays each of its visitors: whole cents, no floats, at the district's own rates and no guessed ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field

from contracts.events.envelope import District
from services.visitlog.rules.form import Day, Part
from services.visitlog.rules.outcomes import TOOK_PLACE

_MINUTES_PER_HOUR = 60
_TENTHS_PER_MILE = 10
_TENTH_CENTS_PER_CENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a district pays from a day on, until its next rate. A revision replaces the one of the same day."""

    district: str
    effective_from: date
    revision: int
    hourly_cents: int
    travel_hourly_cents: int
    mile_tenth_cents: int  # per mile, in tenths of a cent: public mileage rates have them
    show_up_cents: int  # the least that is paid for being there when no visit took place


_Cents = Annotated[int, Field(ge=0, le=100_000)]


class RateCommand(Part):
    """What is paid from a day on."""

    district: District
    effective_from: Day
    hourly_cents: _Cents
    travel_hourly_cents: _Cents
    mile_tenth_cents: _Cents
    show_up_cents: _Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """One visitor's pay for one log, by its parts, in cents."""

    time_cents: int
    travel_cents: int
    mileage_cents: int
    show_up_cents: int

    @property
    def total_cents(self) -> int:
        """Add the parts."""
        return self.time_cents + self.travel_cents + self.mileage_cents + self.show_up_cents


def rate_on(*, rates: Sequence[Rate], visited_on: date) -> Rate | None:
    """Find the rate of that day, its last revision; None where the district had set none."""
    holding = [rate for rate in rates if rate.effective_from <= visited_on]
    return max(holding, key=lambda rate: (rate.effective_from, rate.revision), default=None)


def compensation(*, rate: Rate, outcome: str, minutes: int, travel_minutes: int, mileage_tenths: int) -> Compensation:
    """Price one visitor's part of one log. Each part is rounded by itself, half a cent upwards.

    Whoever came and found no visit gets show-up pay, as far as the minutes there did not earn it.
    """
    time_cents = _rounded(minutes * rate.hourly_cents, _MINUTES_PER_HOUR)
    return Compensation(
        time_cents=time_cents,
        travel_cents=_rounded(travel_minutes * rate.travel_hourly_cents, _MINUTES_PER_HOUR),
        mileage_cents=_rounded(mileage_tenths * rate.mile_tenth_cents, _TENTHS_PER_MILE * _TENTH_CENTS_PER_CENT),
        show_up_cents=0 if outcome == TOOK_PLACE else max(0, rate.show_up_cents - time_cents),
    )


def dollars(cents: int) -> str:
    """Write whole cents as dollars, for a file that payroll reads."""
    return f"{cents // 100}.{cents % 100:02d}"


def _rounded(amount: int, divisor: int) -> int:
    return (2 * amount + divisor) // (2 * divisor)
