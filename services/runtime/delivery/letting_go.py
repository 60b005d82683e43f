"""What is let go because it is old: by rules of the services, in small parts, each part noted in its own transaction.

It knows no word of what it deletes: a rule is a statement that takes so many rows of an owner that are older than a
moment, and a service says for how many years which owner keeps what.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from services.runtime.database import Connection
from services.runtime.delivery.transaction import Transaction
from services.runtime.seen.metric import counter

log = structlog.get_logger(__name__)

Begin = Callable[[], AbstractAsyncContextManager[Transaction]]

EVERY_SECONDS = 600.0
ROWS_AT_A_TIME = 500
PARTS_A_ROUND = 200
"""A round ends by itself: a first one after years of nothing takes several, and nobody's lock is held for long."""

DELETED = counter(
    "leap_let_go_rows_total", "Rows deleted or emptied because their owner keeps them no longer", ["owner", "kind"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is let go: `take` deletes or empties so many rows of an owner older than a moment, and counts them.

    `years` reads in what the owner decided for how many years they are kept; 0: for as long as nobody says.
    """

    kind: str
    years: Callable[[Any], int]
    take: Callable[[Connection, str, datetime, int], Awaitable[int]]


def cut_off(now: datetime, years: int) -> datetime:
    """Give the moment so many years ago; of 29 February the day before."""
    try:
        return now.replace(year=now.year - years)
    except ValueError:
        return now.replace(year=now.year - years, day=28)


async def let_go(
    begin: Begin,
    rules: Sequence[Rule],
    decided: Callable[[Connection], Awaitable[Mapping[str, Any]]],
    *,
    now: datetime,
) -> None:
    """Let go what is too old by now. `decided` gives what each owner decided."""
    async with begin() as tx:
        by_owner = await decided(tx.connection)
    for owner, policy in sorted(by_owner.items()):
        for rule in rules:
            if years := rule.years(policy):
                await _apply(begin, rule, owner, years, now)


async def take_dead_letters(connection: Connection, said: str, before: datetime, most: int) -> int:
    """Delete records that came before a moment and were set aside, of those in whose value a text stands; count them.

    By when they came, where that is known: tables that were made anew have set them aside again.
    """
    status: str = await connection.execute(
        """
        DELETE FROM dead_letter WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM dead_letter
            WHERE least(recorded_at, to_timestamp(record_timestamp_ms / 1000.0)) < $2
              AND position(convert_to($1, 'UTF8') IN value) > 0 LIMIT $3))
        """,
        said,
        before,
        most,
    )
    return int(status.rpartition(" ")[2])


async def _apply(begin: Begin, rule: Rule, owner: str, years: int, now: datetime) -> None:
    before = cut_off(now, years)
    total = 0
    for _ in range(PARTS_A_ROUND):
        async with begin() as tx:
            rows = await rule.take(tx.connection, owner, before, ROWS_AT_A_TIME)
            if rows:
                await _note(tx.connection, owner, rule.kind, years, before, rows)
        total += rows
        if rows < ROWS_AT_A_TIME:
            break
    if total:
        DELETED.labels(owner, rule.kind).inc(total)
        log.info("too old, and let go", owner=owner, kind=rule.kind, years=years, rows=total)


async def _note(connection: Connection, owner: str, kind: str, years: int, before: datetime, rows: int) -> None:
    # One line a day, owner and kind: what was deleted when, by which rule.
    await connection.execute(
        """
        INSERT INTO let_go AS kept (done_on, owner, kind, years, older_than, rows)
        VALUES (current_date, $1, $2, $3, $4, $5)
        ON CONFLICT (done_on, owner, kind, years) DO UPDATE
        SET rows = kept.rows + excluded.rows, older_than = excluded.older_than
        """,
        owner,
        kind,
        years,
        before,
        rows,
    )
