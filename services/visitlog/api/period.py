"""From which local day until which one a list goes."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import HTTPException, Query

from services.runtime import clock
from services.runtime.web.languages import N_
from services.visitlog.rules.form import Day
from services.visitlog.rules.outcomes import LOCAL

MOST_ROWS = 500
LONGEST_PERIOD = timedelta(days=400)
From = Annotated[Day | None, Query(alias="from", description="first local day; 30 days before `until` unless said")]
Until = Annotated[Day | None, Query(description="last local day; today unless said")]


def period(first: date | None, last: date | None) -> tuple[date, date]:
    """Give the first and the last day, also where they were not said."""
    last = last or clock.now().astimezone(LOCAL).date()
    first = first or last - timedelta(days=30)
    if not timedelta(0) <= last - first <= LONGEST_PERIOD:
        raise HTTPException(422, N_("choose a period of at most 400 days, its first day before its last"))
    return first, last
