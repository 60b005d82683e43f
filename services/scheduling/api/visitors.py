"""The HTTP of visitors: who they are, when they can, whom they are not to visit."""

from collections.abc import Sequence
from datetime import date, time
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from contracts.events import DISTRICT_PATTERN
from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in
from services.scheduling.handlers import visitors as commands
from services.scheduling.handlers.visitors import Saved
from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import Away, Reason, Visitor, Window
from services.scheduling.store import visitors

VISITOR = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
LANGUAGE = r"^[a-z]{2,3}(-[A-Z]{2})?$"
Who = Annotated[Person, Depends(signed_in)]
VisitorId = Annotated[str, Field(pattern=VISITOR)]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
LocalTime = Annotated[time, Field(description="on the clock of the place, without a zone")]


class WindowGiven(BaseModel):
    """Hours of a weekday, Monday is 1."""

    model_config = ConfigDict(extra="forbid")

    weekday: Annotated[int, Field(ge=1, le=7)]
    begins: LocalTime
    ends: LocalTime


class AwayGiven(BaseModel):
    """Days away, both included."""

    model_config = ConfigDict(extra="forbid")

    first_day: Day
    last_day: Day


class AvailabilityCommand(BaseModel):
    """When a visitor can, instead of what was said before. No windows: all visiting hours."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, lt=2**31)]
    windows: Annotated[list[WindowGiven], Field(max_length=commands.MOST_DETAILS)] = []
    away: Annotated[list[AwayGiven], Field(max_length=commands.MOST_DETAILS)] = []


class VisitorCommand(BaseModel):
    """A person trained to visit. Version 0 registers; a change sends the version it replaces, and all the facts."""

    model_config = ConfigDict(extra="forbid")

    visitor_id: VisitorId
    district: Annotated[str, Field(pattern=DISTRICT_PATTERN)]
    affiliation: Literal["school", "district", "agency"] = "district"
    school: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")] | None = None
    languages: Annotated[list[Annotated[str, Field(pattern=LANGUAGE)]], Field(min_length=1, max_length=20)] = ["en"]
    leap101_valid_from: Day
    leap101_valid_until: Day
    windows: Annotated[list[WindowGiven], Field(max_length=commands.MOST_DETAILS)] | None = None
    away: Annotated[list[AwayGiven], Field(max_length=commands.MOST_DETAILS)] | None = None
    weekly_cap: Annotated[int, Field(ge=0, le=60)] | None = None
    active: bool = True
    version: Annotated[int, Field(ge=0, lt=2**31)] = 0


class VersionCommand(BaseModel):
    """The version that was read; another one is answered with 409."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, lt=2**31)]


def reason_shown(reason: Reason) -> dict[str, Any]:
    """Show a reason as its code, its values and its English sentence."""
    return {"code": reason.code, "values": dict(reason.values), "says": pairing.say(reason), "points": reason.points}


def visitor_shown(visitor: Visitor) -> dict[str, Any]:
    """Show a visitor with their hours. Whom they are not to visit is a number only."""
    return {
        "visitor_id": visitor.visitor_id,
        "district": visitor.district,
        "affiliation": visitor.affiliation,
        "school": visitor.school,
        "languages": visitor.languages,
        "leap101_valid_from": visitor.leap101_valid_from,
        "leap101_valid_until": visitor.leap101_valid_until,
        "windows": [{"weekday": w.weekday, "begins": w.begins, "ends": w.ends} for w in visitor.windows],
        "away": [{"first_day": away.first_day, "last_day": away.last_day} for away in visitor.away],
        "weekly_cap": visitor.weekly_cap,
        "exclusions": len(visitor.excluded_households),
        "active": visitor.active,
        "version": visitor.version,
    }


def _saved_shown(saved: Saved) -> dict[str, Any]:
    affected = [
        {"visit_id": each.visit_id, "starts_at": each.starts_at, "reason": reason_shown(each.reason)}
        for each in saved.affected
    ]
    return {**visitor_shown(saved.visitor), "affected_visits": affected}


def _windows(given: Sequence[WindowGiven]) -> tuple[Window, ...]:
    # A zone that was sent along is no part of a clock on the wall.
    return tuple(
        Window(weekday=w.weekday, begins=w.begins.replace(tzinfo=None), ends=w.ends.replace(tzinfo=None)) for w in given
    )


def _away(given: Sequence[AwayGiven]) -> tuple[Away, ...]:
    return tuple(Away(first_day=away.first_day, last_day=away.last_day) for away in given)


def add_routes(router: APIRouter, context: Context) -> None:
    """Offer the visitors under /v1/visitors."""

    @router.get("/visitors")
    async def list_visitors(
        who: Who, district: Annotated[str | None, Query(pattern=DISTRICT_PATTERN)] = None, active_only: bool = False
    ) -> dict[str, Any]:
        """List the visitors of the person's districts."""
        async with context.begin() as tx:
            found = await visitors.list_visitors(tx.connection, district=district, active_only=active_only)
        return {"visitors": [visitor_shown(visitor) for visitor in found if who.may_see(visitor.district)]}

    @router.post("/visitors")
    async def save_visitor(command: VisitorCommand, who: Who, response: Response) -> dict[str, Any]:
        """Register a visitor (201) or change one (200); what is left out stays as it is."""
        async with context.begin() as tx:
            saved = await commands.save_visitor(
                tx,
                facts=commands.Facts(
                    visitor_id=command.visitor_id,
                    district=command.district,
                    affiliation=command.affiliation,
                    school=command.school,
                    languages=tuple(dict.fromkeys(command.languages)),
                    leap101_valid_from=command.leap101_valid_from,
                    leap101_valid_until=command.leap101_valid_until,
                    windows=None if command.windows is None else _windows(command.windows),
                    away=None if command.away is None else _away(command.away),
                    weekly_cap=command.weekly_cap,
                    active=command.active,
                ),
                version=command.version,
                person=who,
                as_of=clock.now(),
            )
        response.status_code = 201 if command.version == 0 else 200
        return _saved_shown(saved)

    @router.get("/visitors/{visitor_id}")
    async def show_visitor(visitor_id: Annotated[str, Path(pattern=VISITOR)], who: Who) -> dict[str, Any]:
        """Show a visitor."""
        async with context.begin() as tx:
            return visitor_shown(await commands.find_visitor(tx, visitor_id=visitor_id, person=who))

    @router.put("/visitors/{visitor_id}/availability")
    async def save_availability(
        visitor_id: Annotated[str, Path(pattern=VISITOR)], command: AvailabilityCommand, who: Who
    ) -> dict[str, Any]:
        """Keep when a visitor can; `affected_visits` are those that somebody has to look at now."""
        async with context.begin() as tx:
            saved = await commands.save_availability(
                tx,
                visitor_id=visitor_id,
                version=command.version,
                windows=_windows(command.windows),
                away=_away(command.away),
                person=who,
                as_of=clock.now(),
            )
        return _saved_shown(saved)

    @router.put("/visitors/{visitor_id}/exclusions/{household_key}")
    async def exclude(
        visitor_id: Annotated[str, Path(pattern=VISITOR)], household_key: UUID, command: VersionCommand, who: Who
    ) -> dict[str, Any]:
        """Keep a visitor from a household; nobody is asked why."""
        return await change_exclusion(visitor_id, household_key, command.version, who, excluded=True)

    @router.delete("/visitors/{visitor_id}/exclusions/{household_key}")
    async def include(
        visitor_id: Annotated[str, Path(pattern=VISITOR)],
        household_key: UUID,
        version: Annotated[int, Query(ge=1, lt=2**31)],
        who: Who,
    ) -> dict[str, Any]:
        """Let a visitor go to a household again."""
        return await change_exclusion(visitor_id, household_key, version, who, excluded=False)

    async def change_exclusion(
        visitor_id: str, household_key: UUID, version: int, who: Person, *, excluded: bool
    ) -> dict[str, Any]:
        async with context.begin() as tx:
            saved = await commands.exclude(
                tx,
                visitor_id=visitor_id,
                version=version,
                household_key=household_key,
                excluded=excluded,
                person=who,
                as_of=clock.now(),
            )
        return _saved_shown(saved)
