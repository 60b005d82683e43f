"""What a service adds to its rebuild whose rows can be neither compared nor exchanged as they lie."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from services.runtime.database import Connection
from services.runtime.rebuild.differences import TableDifference
from services.runtime.web.context import Context


class Compared(NamedTuple):
    """What two copies were found to hold. `concerned` is for `take_over`, and says nothing to anybody else."""

    rows: dict[str, int]
    differences: list[TableDifference]
    concerned: frozenset[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWays:
    """A service's own part in its rebuild. What its copy publishes was said by the running one, and is dropped."""

    tables: frozenset[str]
    """Tables that `compare` compares, and nobody row for row."""
    settle: Callable[[Context], Awaitable[None]]
    """Does what the running copy's timers did: without it the two are not at the same point. It may be repeated."""
    compare: Callable[[Connection, str, str], Awaitable[Compared]]
    """Compares what two schemas hold, inside a transaction that sees one moment of both, and may only read."""
    take_over: Callable[[Connection, str, str, frozenset[Any]], Awaitable[None]]
    """Brings a copy into line with what was told from the running one: source, target, and whom it concerns.

    Called before the kept tables are taken over, while nobody writes either.
    """
