"""What the coordinator asks for: which logs are missing, what is to be paid, what deserves a question."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

import asyncpg

from contracts.calendar import LOG_DUE_BUSINESS_DAYS, local_day, school_year_of, start_of_day
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.languages import N_
from services.runtime.web.people import Person
from services.visitlog.rules import integrity, outcomes, pay
from services.visitlog.rules.form import Log
from services.visitlog.rules.integrity import Finding, LoggedVisit, Travel
from services.visitlog.rules.pay import Rate
from services.visitlog.rules.policy import LogPolicy
from services.visitlog.store import office, visits

PAYROLL_COLUMNS = (
    "district", "visitor_id", "visited_on", "visit_id", "log_id", "outcome", "minutes", "travel_minutes", "miles",
    "time", "travel", "mileage", "show_up", "total", "rate_from",
)  # fmt: skip


class NotYours(outcomes.Refusal):
    """The district is not this person's to coordinate; for them it does not exist."""

    def __init__(self) -> None:
        super().__init__(N_("There is nothing here for you."))


class ChangedMeanwhile(outcomes.Refusal):
    """Somebody else set the same thing just now."""

    def __init__(self) -> None:
        super().__init__(N_("Somebody else has just set this. Read it again, then decide anew."))


def districts_of(person: Person) -> list[str] | None:
    """Name the districts a person may see; None is all of them."""
    return None if person.sees_everything else sorted(person.scopes)


def days_between(first: date, last: date, *, zone: tzinfo) -> tuple[datetime, datetime]:
    """Give the moments at which the first local day begins and the last one ends."""
    return start_of_day(first, zone=zone), start_of_day(last + timedelta(days=1), zone=zone)


async def overdue_limits(
    tx: Transaction, *, districts: Sequence[str] | None, as_of: datetime
) -> tuple[datetime, dict[str, datetime]]:
    """Say before which start a visit's log is overdue: in general, and where a district says otherwise."""
    days_by_district = await office.log_due_days_by_district(tx.connection, districts)
    return (
        outcomes.overdue_before(as_of=as_of, business_days=LOG_DUE_BUSINESS_DAYS, zone=tx.zone),
        {
            district: outcomes.overdue_before(as_of=as_of, business_days=days, zone=tx.zone)
            for district, days in days_by_district.items()
        },
    )


async def list_expected(
    tx: Transaction,
    *,
    districts: Sequence[str] | None,
    visitor_id: str | None,
    due: Sequence[str],
    starts_from: datetime,
    starts_before: datetime,
    as_of: datetime,
    limit: int,
    after: Any = None,
) -> list[asyncpg.Record]:
    """List agreed visits by how their logs stand."""
    limit_of_all, limit_by_district = await overdue_limits(tx, districts=districts, as_of=as_of)
    return await visits.list_visits(
        tx.connection,
        districts=districts,
        visitor_id=visitor_id,
        due=due,
        starts_from=starts_from,
        starts_before=starts_before,
        overdue_before=limit_of_all,
        overdue_by_district=limit_by_district,
        limit=limit,
        after=after,
    )


async def set_policy(
    tx: Transaction, *, district: str, version: int, policy: LogPolicy, person: Person, as_of: datetime
) -> int:
    """Add a version of the district's log policy. Raises ChangedMeanwhile unless `version` is current."""
    standing = await office.policy_version(tx.connection, district)
    if standing != version or not await office.append_policy(
        tx.connection, district=district, version=version + 1, policy=policy, actor=person.name, as_of=as_of
    ):
        raise ChangedMeanwhile
    return version + 1


async def set_rate(tx: Transaction, *, rate: Rate, person: Person, as_of: datetime) -> Rate:
    """Add a rate; one of a day that has a rate is its next revision. Nothing set before is lost."""
    standing = [
        each.revision
        for each in await office.list_rates(tx.connection, [rate.district])
        if each.effective_from == rate.effective_from
    ]
    revised = Rate(
        **{**{name: getattr(rate, name) for name in rate.__slots__}, "revision": max(standing, default=0) + 1}
    )
    if not await office.append_rate(tx.connection, rate=revised, actor=person.name, as_of=as_of):
        raise ChangedMeanwhile
    return revised


async def payroll(tx: Transaction, *, districts: Sequence[str] | None, first: date, last: date) -> list[dict[str, Any]]:
    """Compute each visitor's pay for each log of these days, in cents.

    Where the district had set no rate, the amounts are None: a missing rate is not an unpaid visit.
    """
    starts_from, starts_before = days_between(first, last, zone=tx.zone)
    efforts = await office.list_efforts(
        tx.connection, districts=districts, starts_from=starts_from, starts_before=starts_before
    )
    rates_by_district: dict[str, list[Rate]] = {}
    for rate in await office.list_rates(tx.connection, districts):
        rates_by_district.setdefault(rate.district, []).append(rate)

    return [_priced(effort, rates_by_district.get(effort["district"], []), tx.zone) for effort in efforts]


def _priced(effort: asyncpg.Record, rates: Sequence[Rate], zone: tzinfo) -> dict[str, Any]:
    visited_on = local_day(effort["started_at"], zone=zone)
    took = {name: effort[name] for name in ("minutes", "travel_minutes", "mileage_tenths")}
    line = {
        **{name: effort[name] for name in ("district", "visitor_id", "visit_id", "log_id", "outcome")},
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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(PAYROLL_COLUMNS)
    for line in lines:
        priced = line["pay"]
        amounts = (
            ["", "", "", "", ""]
            if priced is None
            else [
                pay.dollars(cents)
                for cents in (
                    priced.time_cents,
                    priced.travel_cents,
                    priced.mileage_cents,
                    priced.show_up_cents,
                    priced.total_cents,
                )
            ]
        )
        tenths = line["mileage_tenths"]
        miles = f"{tenths // 10}.{tenths % 10}"
        codes = [line[name] for name in PAYROLL_COLUMNS[:8]]
        writer.writerow([*codes, miles, *amounts, line["rate_from"] or ""])
    return text.getvalue()


async def quiet_findings(tx: Transaction, *, districts: Sequence[str] | None, first: date, last: date) -> list[Finding]:
    """Run the quiet checks over the logs of these days."""
    starts_from, starts_before = days_between(first, last, zone=tx.zone)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rows = await office.logs_to_check(
        tx.connection,
        districts=districts,
        starts_from=starts_from,
        starts_before=starts_before,
        school_years={day: school_year_of(day) for day in days},
        zone=tx.zone,
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
        texts=tuple(Log.model_validate({**json.loads(row["body"])}).texts()),
    )
