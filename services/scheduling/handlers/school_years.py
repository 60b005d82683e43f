"""A flag belongs to its school year: what the first complete roll of a new one does to the requests of the one before.

Requests that are open on 30 June stay open over the summer, and until the new year's first complete roll last year's
flags may open one, where the policy says so. From then on they can't, and what nobody has touched closes.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from contracts import events
from contracts.calendar import school_year_of
from services.runtime.delivery.transaction import Transaction
from services.scheduling.handlers.changes import emit, row_facts, row_stage_changed
from services.scheduling.handlers.figures import Figures
from services.scheduling.rules.visits import ClosingReason, What
from services.scheduling.store import changes, policies, school_years
from services.scheduling.store.changes import HistoryRow

Flag = events.FlagRaised | events.FlagChanged | events.FlagCleared


class Learned(NamedTuple):
    """The newest school year by district, and the households whose flags ended as this batch began it."""

    begun: Mapping[str, int]
    ended: Sequence[UUID]

    def is_over(self, flag: Flag) -> bool:
        """Tell whether the flag is of a school year that another one has followed."""
        return flag.school_year < self.begun.get(flag.district, flag.school_year)


async def learn(tx: Transaction, told: Sequence[Flag | Figures]) -> Learned:
    """Learn from the days behind flags and figures which school years have begun; flags of former ones end."""
    if not told:
        return Learned({}, ())
    newest: dict[str, int] = {}
    for each in told:
        if school_year_of(each.as_of) == each.school_year:
            newest[each.district] = max(each.school_year, newest.get(each.district, 0))
    begun = await school_years.begun(tx.connection, sorted({each.district for each in told}))
    begins = {district: year for district, year in newest.items() if year > begun.get(district, 0)}
    ended = await school_years.begin(tx.connection, begins) if begins else []
    return Learned(begun | begins, ended)


async def may_open(tx: Transaction, raised: Sequence[asyncpg.Record], *, today: date) -> list[asyncpg.Record]:
    """Give the raised flags that may open a request: this year's, and in summer last year's where the policy says so.

    Those of a year that is over are no flags any more, and not among them.
    """
    of_last_year = {row["district"] for row in raised if row["school_year"] < school_year_of(today)}
    policy_by_district = await policies.of_districts(tx.connection, sorted(of_last_year), day=today)
    return [
        row
        for row in raised
        if row["school_year"] >= school_year_of(today) or policy_by_district[row["district"]].summer_requests
    ]


async def close_what_is_over(tx: Transaction, ended: Sequence[UUID], *, as_of: datetime) -> None:
    """Close the untouched requests of households whose flags ended with their year and that have no other."""
    if not ended:
        return
    rows = await school_years.close_untouched(tx.connection, ended, as_of=as_of)
    for row in rows:
        emit(tx, events.VisitRequestWithdrawn(**row_facts(row, "visit-request.withdrawn.v1", as_of)))
        emit(tx, row_stage_changed(row, row["from_stage"], "closed", as_of, because=ClosingReason.YEAR_OVER))
    await changes.append_history(
        tx.connection,
        [
            HistoryRow(
                request_id=row["request_id"],
                version=row["version"],
                what=What.CLOSED.value,
                from_stage=row["from_stage"],
                to_stage=row["stage"],
                at=as_of,
                detail={"because": ClosingReason.YEAR_OVER.value},
            )
            for row in rows
        ],
    )
