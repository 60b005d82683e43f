"""What each number means, once. Households are the unit of the funnel, because a household is the unit of a visit.

flagged    households with a student who has been flagged, also if the flag was cleared since
requested  households for which a visit was ever requested
agreed     households that agreed in some request, also if they changed their mind since
visited    households with a completed visit: in person, both visitors present
declined   households whose latest answer in some request is a decline
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelLine:
    """One district's way from flag to visit, in households."""

    district: str
    flagged: int
    requested: int
    agreed: int
    visited: int
    declined: int


def household_of(*, student_key: UUID, household_key: UUID | None) -> UUID:
    """This will name the household; a student of whom none is known is a household alone, as in scheduling."""
    return household_key or student_key


def funnel_of(rows: Iterable[Mapping[str, Any]], *, as_of: datetime | None) -> dict[str, Any]:
    """This will put the districts' lines and their sum together. `as_of` is the newest event behind them."""
    lines = [FunnelLine(**row) for row in rows]
    total = {
        step: sum(getattr(line, step) for line in lines)
        for step in ("flagged", "requested", "agreed", "visited", "declined")
    }
    return {"as_of": as_of, "unit": "households", "districts": [asdict(line) for line in lines], "total": total}
