"""What is let go because it is old: by rules of the services, in small parts, each part noted in its own transaction.

It knows no word of what it deletes: a rule is a statement that takes so many rows of an owner that are older than a
moment, and a service says for how many years which owner keeps what.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.runtime import clock
from services.runtime.database import Connection
from services.runtime.seen.metric import counter
from services.runtime.web.context import Context

log = structlog.get_logger(__name__)

EVERY_SECONDS = 600.0
ROWS_AT_A_TIME = 500
PARTS_A_ROUND = 200
"""A round ends by itself: a first one after years of nothing takes several, and nobody's lock is held for long."""

DELETED = counter(
    "leap_let_go_rows_total", "Rows deleted or emptied because their owner keeps them no longer", ["owner", "kind"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is let go: `take` deletes or empties so many rows of an owner older than a moment, and counts them."""

    kind: str
    take: Callable[[Connection, str, datetime, int], Awaitable[int]]


def cut_off(now: datetime, years: int) -> datetime:
    """Give the moment so many years ago; of 29 February the day before."""
    try:
        return now.replace(year=now.year - years)
    except ValueError:
        return now.replace(year=now.year - years, day=28)


async def let_go(
    context: Context,
    rules: Sequence[Rule],
    years_of: Callable[[Connection], Awaitable[Mapping[str, Mapping[str, int]]]],
) -> None:
    """Let go what is too old. `years_of` gives, by owner and kind, for how many years; 0 or nothing said: kept."""
    async with context.pool.acquire() as connection:
        years = await years_of(connection)
    for owner, by_kind in sorted(years.items()):
        for rule in rules:
            if kept := by_kind.get(rule.kind, 0):
                await _apply(context, rule, owner, kept)


async def _apply(context: Context, rule: Rule, owner: str, years: int) -> None:
    before = cut_off(clock.now(), years)
    total = 0
    for _ in range(PARTS_A_ROUND):
        async with context.begin() as tx:
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
