"""The HTTP of requests: the queue, the claim, the family's answer, and the way back."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.pages import language_of
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in
from services.scheduling.api.refusals import request_shown
from services.scheduling.handlers import requests as commands
from services.scheduling.rules import ageing, priority, visits
from services.scheduling.rules.priority import Clause
from services.scheduling.rules.visits import Answer, ClosingReason, Stage, TakeOverReason, Way
from services.scheduling.rules.wording import N_, say
from services.scheduling.store import appointments, calendars, changes, desk, logs, policies
from services.scheduling.store.appointments import Appointment

DISTRICT = r"^[a-z0-9][a-z0-9-]{0,47}$"
District = Annotated[str | None, Query(pattern=DISTRICT)]
Who = Annotated[Person, Depends(signed_in)]
Version = Annotated[int, Field(ge=1, lt=2**31, description="the version you read; another one is answered with 409")]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]


class Command(BaseModel):
    """What every change of a request says."""

    model_config = ConfigDict(extra="forbid")

    version: Version


class TakeOverCommand(Command):
    """Why the request is taken from its holder."""

    reason: TakeOverReason


class AnswerCommand(Command):
    """What came of one contact with the family. A decline needs no reason, so none can be sent."""

    way: Way = Way.CALL
    answer: Answer
    contact_again_on: Day | None = None


class CloseCommand(Command):
    """Why nothing more is to be done. A decline is an answer, not a reason to close."""

    because: ClosingReason


class ReopenCommand(Command):
    """Whose wish it is."""

    wished_by: Literal["family", "coordinator"]


def districts_of(person: Person, district: str | None = None) -> list[str] | None:
    """Name the districts a list may show: the one asked for, if it is theirs, or all of theirs; None: any."""
    if district is not None:
        return [district] if person.may_see(district) else []
    return None if person.sees_everything else sorted(person.scopes)


def at_the_desk(person: Person) -> None:
    """Raise NotAllowed for whoever does not work with requests."""
    if not visits.may_act(person.role):
        raise visits.NotAllowed


def clause_shown(clause: Clause, translate: Callable[[str], str]) -> dict[str, Any]:
    """Show one part of the sentence, in the reader's language, with the days it speaks of."""
    return {
        "code": clause.code,
        "says": say(translate(clause.msgid), clause.params),
        "days": clause.days,
        "student_key": clause.student_key,
        "points": clause.points,
    }


def add_routes(router: APIRouter, context: Context) -> None:
    """Offer the requests under /v1/requests."""

    @router.get("/requests")
    async def list_requests(
        who: Who,
        district: District = None,
        stage: Stage | None = None,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """List requests, most urgent first; `after` takes the last request_id of a page."""
        at_the_desk(who)
        async with context.begin() as tx:
            last = None if after is None else await changes.find_request(tx.connection, after)
            if after is not None and (last is None or not who.may_see(last.district)):
                raise visits.RequestUnknown
            found = await desk.list_requests(
                tx.connection,
                districts=districts_of(who, district),
                stage=stage and stage.value,
                after=last,
                limit=limit,
            )
        return {
            "requests": [request_shown(request) for request in found],
            "next_after": found[-1].request_id if len(found) == limit else None,
        }

    @router.get("/requests/{request_id}")
    async def show_request(request_id: UUID, who: Who, asked: Request) -> dict[str, Any]:
        """Show a request: why it is here, its students, visits, contacts and history."""
        at_the_desk(who)
        as_of = clock.now()
        async with context.begin() as tx:
            request = await changes.find_request(tx.connection, request_id)
            if request is None or not who.may_see(request.district):
                raise visits.RequestUnknown
            priced, days_beyond = await desk.reasons(tx.connection, request_id)
            policy = await policies.current(tx.connection, request.district)
            calendar = await calendars.of_district(tx.connection, request.district)
            shown = {
                **request_shown(request),
                "students": await desk.students(tx.connection, request.household_key),
                "visits": _visits_shown(await appointments.appointments_of(tx.connection, request_id)),
                "contacts": await desk.attempts(tx.connection, request_id),
                "history": await changes.history(tx.connection, request_id),
            }
        inputs = None if priced is None else priority.from_json(priced, days_beyond_target=days_beyond)
        shown["priority"] = priced
        translate = language_of(asked).gettext
        why_here = [] if inputs is None else priority.why(inputs, policy.weights)
        shown["why"] = [clause_shown(each, translate) for each in why_here]
        gone = priority.corrections_of(shown["students"]) if request.flags_cleared_at else []
        shown["why_gone"] = [clause_shown(each, translate) for each in priority.why_gone(gone)]
        assert request.aged_from is not None
        shown["age_school_days"] = ageing.age(
            since=request.aged_from,
            today=visits.local_day(as_of),
            pauses=request.waiting_on_family,
            calendar=calendar,
        )
        shown["days_beyond_target"] = days_beyond
        return shown

    @router.post("/requests/{request_id}/contact-disclosure")
    async def disclose_contact(request_id: UUID, who: Who) -> dict[str, Any]:
        """Show how to reach the family, and record to whom it was shown."""
        async with context.begin() as tx:
            contact = await commands.disclose_contact(tx, request_id=request_id, person=who, as_of=clock.now())
        return {"contact": contact}

    @router.post("/requests/next/claim", response_model=None)
    async def claim_next(who: Who, district: District = None) -> dict[str, Any] | Response:
        """Lease the most urgent request that nobody holds; 204 when nothing waits.

        Somebody with several districts says which.
        """
        if district is None:
            if who.sees_everything or len(who.scopes) != 1:
                raise visits.NotPossible(
                    "district_needed", N_("you work for several districts; say for which one: ?district=")
                )
            (district,) = who.scopes
        async with context.begin() as tx:
            claimed = await commands.claim_next(tx, district=district, person=who, as_of=clock.now())
        return request_shown(claimed) if claimed else Response(status_code=204)

    @router.post("/requests/{request_id}/claim")
    async def claim(request_id: UUID, command: Command, who: Who) -> dict[str, Any]:
        """Lease the request for 15 minutes; 409 says who holds it."""
        async with context.begin() as tx:
            claimed = await commands.claim(
                tx, request_id=request_id, version=command.version, person=who, as_of=clock.now()
            )
        return request_shown(claimed)

    @router.post("/requests/{request_id}/take-over")
    async def take_over(request_id: UUID, command: TakeOverCommand, who: Who) -> dict[str, Any]:
        """Lease a request that somebody else holds, for a reason that is recorded."""
        async with context.begin() as tx:
            taken = await commands.take_over(
                tx,
                request_id=request_id,
                version=command.version,
                reason=command.reason,
                person=who,
                as_of=clock.now(),
            )
        return request_shown(taken)

    @router.post("/requests/{request_id}/release")
    async def release(request_id: UUID, command: Command, who: Who) -> dict[str, Any]:
        """End one's own lease."""
        async with context.begin() as tx:
            released = await commands.release(
                tx, request_id=request_id, version=command.version, person=who, as_of=clock.now()
            )
        return request_shown(released)

    @router.post("/requests/{request_id}/answer")
    async def answer(request_id: UUID, command: AnswerCommand, who: Who) -> dict[str, Any]:
        """Record what came of one contact with the family."""
        async with context.begin() as tx:
            saved = await commands.record_attempt(
                tx,
                request_id=request_id,
                version=command.version,
                way=command.way,
                answer=command.answer,
                contact_again_on=command.contact_again_on,
                person=who,
                as_of=clock.now(),
            )
        return request_shown(saved)

    @router.post("/requests/{request_id}/closing")
    async def close(request_id: UUID, command: CloseCommand, who: Who) -> dict[str, Any]:
        """Close the request for a reason that holds."""
        async with context.begin() as tx:
            saved = await commands.close(
                tx,
                request_id=request_id,
                version=command.version,
                because=command.because,
                person=who,
                as_of=clock.now(),
            )
        return request_shown(saved)

    @router.post("/requests/{request_id}/reopening")
    async def reopen(request_id: UUID, command: ReopenCommand, who: Who) -> dict[str, Any]:
        """Let a closed request wait again."""
        async with context.begin() as tx:
            saved = await commands.reopen(
                tx,
                request_id=request_id,
                version=command.version,
                wished_by=command.wished_by,
                person=who,
                as_of=clock.now(),
            )
        return request_shown(saved)

    @router.post("/requests/{request_id}/undo")
    async def undo(request_id: UUID, command: Command, who: Who) -> dict[str, Any]:
        """Take one's last change of the request back, by a change of its own."""
        async with context.begin() as tx:
            saved = await commands.undo(
                tx, request_id=request_id, version=command.version, person=who, as_of=clock.now()
            )
        return request_shown(saved)

    @router.get("/missing-logs")
    async def missing_logs(who: Who, district: District = None) -> dict[str, Any]:
        """List visits whose time is over and of which nobody has said anything."""
        at_the_desk(who)
        as_of = clock.now()
        today = visits.local_day(as_of)
        async with context.begin() as tx:
            rows = await logs.missing_logs(tx.connection, districts=districts_of(who, district), as_of=as_of)
        return {
            "missing": [
                {**row, "business_days": ageing.business_days(since=visits.local_day(row["ends_at"]), today=today)}
                for row in rows
            ]
        }

    @router.get("/counts")
    async def counts(who: Who, district: District = None) -> dict[str, Any]:
        """Count requests by district and stage."""
        async with context.begin() as tx:
            rows = await desk.count_requests(tx.connection, districts=districts_of(who, district))
        return {"requests": [dict(row) for row in rows], "total": sum(row["requests"] for row in rows)}


def _visits_shown(revisions: Sequence[Appointment]) -> list[dict[str, Any]]:
    # Oldest first, so the newest revision of each visit stands.
    newest = {each.visit_id: each for each in revisions}
    return [
        {
            "visit_id": each.visit_id,
            "state": each.state,
            "revision": each.revision,
            "starts_at": each.starts_at,
            "minutes": each.minutes,
            "place": each.place,
            "language": each.language,
            "interpreter": each.interpreter,
            "pair": each.pair,
        }
        for each in newest.values()
    ]
