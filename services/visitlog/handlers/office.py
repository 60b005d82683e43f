"""What the coordinator asks for: which logs are missing, what is to be paid, what deserves a question."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from contracts.calendar import LOG_DUE_BUSINESS_DAYS, local_day, school_year_of, start_of_day
from services.runtime.web.csv_file import Cell, as_csv
from services.runtime.web.languages import N_
from services.visitlog.handlers import access, disclosing
from services.visitlog.handlers.access import NotYours
from services.visitlog.handlers.acts import Act, Done
from services.visitlog.rules import integrity, outcomes, pay
from services.visitlog.rules.form import Log
from services.visitlog.rules.integrity import Finding, LoggedVisit, Travel
from services.visitlog.rules.pay import Rate, RateCommand
from services.visitlog.store import held as stored_held
from services.visitlog.store import office, visits
from services.visitlog.store.visits import Listed, OverdueLimits

PAYROLL_COLUMNS = (
    "district", "visitor_id", "visited_on", "visit_id", "log_id", "outcome", "minutes", "travel_minutes", "miles",
    "time", "travel", "mileage", "show_up", "total", "rate_from",
)  # fmt: skip


class ChangedMeanwhile(outcomes.Refusal):
    """Somebody else set the same thing just now."""

    def __init__(self) -> None:
        super().__init__(N_("Somebody else has just set this. Read it again, then decide anew."))


def days_between(first: date, last: date, *, zone: tzinfo) -> tuple[datetime, datetime]:
    """Give the moments at which the first local day begins and the last one ends."""
    return start_of_day(first, zone=zone), start_of_day(last + timedelta(days=1), zone=zone)


async def overdue_limits(act: Act, districts: Sequence[str] | None) -> OverdueLimits:
    """Say before which start a visit's log is overdue by now."""
    days_by_district = await office.log_due_days_by_district(act.connection, districts, day=act.today)
    return OverdueLimits(
        outcomes.overdue_before(as_of=act.as_of, business_days=LOG_DUE_BUSINESS_DAYS, zone=act.zone),
        {
            district: outcomes.overdue_before(as_of=act.as_of, business_days=days, zone=act.zone)
            for district, days in days_by_district.items()
        },
    )


async def list_expected(act: Act, listed: Listed) -> list[asyncpg.Record]:
    """List agreed visits by how their logs stand."""
    return await visits.list_visits(act.connection, listed, await overdue_limits(act, listed.districts))


async def set_rate(act: Act, command: RateCommand, _: None = None) -> Done:
    """Set what is paid from a day on; the rates before stay.

    One of a day that has a rate is its next revision. Raises NotYours, or ChangedMeanwhile.
    """
    if not access.is_office(act.person, command.district):
        raise NotYours
    rates = await office.list_rates(act.connection, [command.district])
    revisions = [rate.revision for rate in rates if rate.effective_from == command.effective_from]
    rate = Rate(revision=max(revisions, default=0) + 1, **command.model_dump())

    if not await office.append_rate(act.connection, rate=rate, actor=act.person.name, as_of=act.as_of):
        raise ChangedMeanwhile
    return Done(asdict(rate))


async def payroll(act: Act, *, first: date, last: date) -> list[dict[str, Any]]:
    """Compute each visitor's pay for each log of these days, in cents.

    Where the district had set no rate, the amounts are None: a missing rate is not an unpaid visit.
    """
    starts_from, starts_before = days_between(first, last, zone=act.zone)
    efforts = await office.list_efforts(
        act.connection, districts=act.districts, starts_from=starts_from, starts_before=starts_before
    )
    rates_by_district: dict[str, list[Rate]] = {}
    for rate in await office.list_rates(act.connection, act.districts):
        rates_by_district.setdefault(rate.district, []).append(rate)

    return [_priced(effort, rates_by_district.get(effort["district"], []), act.zone) for effort in efforts]


def _priced(effort: asyncpg.Record, rates: Sequence[Rate], zone: tzinfo) -> dict[str, Any]:
    visited_on = local_day(effort["started_at"], zone=zone)
    took = {name: effort[name] for name in ("minutes", "travel_minutes", "mileage_tenths")}
    line = {
        **{name: effort[name] for name in ("district", "household_key", "visitor_id", "visit_id", "log_id", "outcome")},
        "visited_on": visited_on,
        **took,
    }
    rate = pay.rate_on(rates=rates, visited_on=visited_on)
    if rate is None:
        return {**line, "pay": None, "rate_from": None}
    priced = pay.compensation(rate=rate, outcome=effort["outcome"], **took)
    return {**line, "pay": priced, "rate_from": rate.effective_from}


def payroll_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """Write payroll lines as CSV: codes, numbers and dollars, nothing a spreadsheet would run."""
    rows: list[Sequence[Cell]] = [PAYROLL_COLUMNS]
    for line in lines:
        priced, tenths = line["pay"], line["mileage_tenths"]
        codes = [line[name] for name in PAYROLL_COLUMNS[:8]]
        miles = Decimal(f"{tenths // 10}.{tenths % 10}")
        amounts = [
            Decimal(pay.dollars(getattr(priced, f"{part}_cents"))) if priced else None for part in PAYROLL_COLUMNS[9:14]
        ]
        rows.append([*codes, miles, *amounts, line["rate_from"]])
    return as_csv(rows)


async def held(act: Act, household_key: UUID) -> dict[str, Any]:
    """Read all that is held of a household, for a family that asks. Raises NotYours.

    The private note is among it: it is shared with the coordinator, so it is a record of the district's.
    """
    district = await stored_held.district_of(act.connection, household_key)
    if district is None or not act.person.may_see(district):
        raise NotYours
    found = await stored_held.read_held(act.connection, household_key)
    await disclosing.record(act, [(district, household_key)], disclosing.HELD)
    return {"household_key": household_key, "district": district, **found}


async def quiet_findings(act: Act, *, first: date, last: date) -> list[Finding]:
    """Run the quiet checks over the logs of these days."""
    starts_from, starts_before = days_between(first, last, zone=act.zone)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rows = await office.logs_to_check(
        act.connection,
        districts=act.districts,
        starts_from=starts_from,
        starts_before=starts_before,
        school_years={day: school_year_of(day) for day in days},
        zone=act.zone,
    )
    return integrity.findings([_to_check(row) for row in rows])


def _to_check(row: Mapping[str, Any]) -> LoggedVisit:
    return LoggedVisit(
        log_id=row["log_id"],
        household_key=row["household_key"],
        outcome=row["outcome"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        travel_by_visitor={
            visitor_id: Travel(travel_minutes=minutes, mileage_tenths=tenths)
            for visitor_id, (minutes, tenths) in row["travel"].items()
        },
        written_by=row["logged_by"],
        written_at=row["written_at"],
        is_school_day=row["is_school_day"],
        texts=tuple(Log.model_validate_json(row["body"]).texts()),
    )
