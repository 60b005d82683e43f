"""Who asks, about what, and of which days: what the routes under /v1 have in common."""

from datetime import date, timedelta, tzinfo
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, HTTPException, Path, Query

from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.web.languages import N_
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in
from services.visitlog.rules.form import Day

Who = Annotated[Person, Depends(signed_in)]
MOST_ROWS = 500
LONGEST_PERIOD = timedelta(days=400)
From = Annotated[Day | None, Query(alias="from", description="first local day; 30 days before `until` unless said")]
Until = Annotated[Day | None, Query(description="last local day; today unless said")]


def period(first: date | None, last: date | None, *, zone: tzinfo) -> tuple[date, date]:
    """Give the first and the last day, also where they were not said."""
    last = last or local_day(clock.now(), zone=zone)
    first = first or last - timedelta(days=30)
    if not timedelta(0) <= last - first <= LONGEST_PERIOD:
        raise HTTPException(422, N_("choose a period of at most 400 days, its first day before its last"))
    return first, last


def _referral(client_id: UUID, referral_id: UUID) -> tuple[UUID, UUID]:
    return client_id, referral_id


def _nothing() -> None:
    return None


# What a command may be about, by the last name in its address.
SUBJECTS: dict[str, Any] = {
    "client_id": Annotated[UUID, Path(alias="client_id")],
    "referral_id": Annotated[tuple[UUID, UUID], Depends(_referral)],
    "district": Annotated[str, Path(alias="district")],
    "": Annotated[None, Depends(_nothing)],
}
