"""One request's page: why it is here, the household's days, how to reach the family, what was done and what can be."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from services.runtime.delivery.transaction import Transaction
from services.runtime.web.disclosing import disclose
from services.runtime.web.people import Person
from services.scheduling.handlers import disclosing
from services.scheduling.pages import past
from services.scheduling.pages.days import shown_months
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here, request_id_of
from services.scheduling.pages.forms import NOTHING_TRIED, Attempt
from services.scheduling.pages.rows import line_of
from services.scheduling.rules import priority, visits
from services.scheduling.store import appointments, calendars, changes, policies, queue
from services.scheduling.store import desk as desk_reads

MOST_CLAUSES = 99


def routes(desk: Desk) -> APIRouter:
    """Offer the page of one request."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/requests/{request_id}")
    async def show_request(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Show a request; that its family's contact data was shown is recorded."""
        asked = request.query_params.get("clause", "")
        clause = int(asked) if asked.isdecimal() and len(asked) <= 2 else None
        return await request_page(desk, request, request_id=request_id_of(request_id), person=person, clause=clause)

    @router.get("/requests/{request_id}/version")
    async def tell_version(request_id: str, person: AtTheDesk) -> Response:
        """Tell at which version the request stands, for a page that may be behind."""
        async with desk.context.begin() as tx:
            version = await queue.version_of(
                tx.connection, request_id=request_id_of(request_id), districts=desk.districts_of(person)
            )
        if version is None:
            raise nothing_here()
        return PlainTextResponse(str(version), headers={"Cache-Control": "no-store"})

    return router


async def request_page(
    desk: Desk,
    request: Request,
    *,
    request_id: UUID,
    person: Person,
    attempt: Attempt = NOTHING_TRIED,
    clause: int | None = None,
    status: int = 200,
) -> Response:
    """Show a request as it stands, with a form that failed as it was typed."""
    async with desk.context.begin() as tx:
        shown = await read_request(desk, tx, request_id=request_id, person=person, clause=clause)
    return desk.render(request, "request.html", {**shown, "attempt": attempt}, status)


async def read_request(
    desk: Desk, tx: Transaction, *, request_id: UUID, person: Person, clause: int | None = None
) -> dict[str, Any]:
    """Read all that a request's page shows. Raises 404 for one of another district."""
    as_of = desk.now()
    today = desk.today(as_of)
    connection = tx.connection
    row = await queue.read_row(connection, request_id=request_id, districts=desk.districts_of(person))
    if row is None:
        raise nothing_here()
    contact = await desk_reads.contact_of(connection, row.household_key)
    policy = await policies.current(connection, row.district, day=today)
    calendar = await calendars.of_district(connection, row.district)
    students = await queue.students_of(connection, row.household_key)
    of = disclosing.household_of(row, disclosing.children_of(contact, students))
    await disclose(connection, person, of, disclosing.REQUEST if contact else disclosing.DAYS, as_of=as_of)
    attempts = await desk_reads.attempts(connection, request_id)
    history = past.told(await changes.history(connection, request_id))
    agreed = await appointments.appointments_of(connection, request_id)

    line = line_of(row, calendars={row.district: calendar}, today=today, as_of=as_of)
    inputs = priority.from_json(row.priority, days_beyond_target=row.days_beyond) if row.priority else None
    clauses = priority.why(inputs, policy.weights) if inputs else []
    gone = [] if row.flags_cleared_at is None else _why_gone(students)
    chosen = clauses[clause] if clause is not None and clause < len(clauses) else None
    meant = frozenset[date](chosen.days) if chosen else frozenset[date]()
    names = {UUID(child["student_key"]): child for child in (contact or {}).get("students", ())}
    return {
        "line": line,
        "row": row,
        "clauses": clauses,
        "gone": gone,
        # Of one child everybody knows who is meant.
        "child_names": {key: child["given_name"] for key, child in names.items()} if len(students) > 1 else {},
        "chosen": clause if chosen else None,
        "contact": contact,
        "students": [
            {
                **student,
                "name": names.get(student["student_key"]),
                "months": shown_months(
                    student, meant if chosen and chosen.student_key in (None, student["student_key"]) else ()
                ),
            }
            for student in students
        ],
        "siblings": [child for key, child in names.items() if key not in {s["student_key"] for s in students}],
        "attempts": attempts,
        "tries": len([each for each in attempts if each["answer"] == "not_reached" and not each["withdrawn_at"]]),
        "history": history,
        "visits": list({each.visit_id: each for each in agreed}.values())[::-1],
        "revisions": len(agreed),
        "policy": policy,
        "today": today,
        "as_of": as_of,
        "may": _may(row, line.held_by, history, person),
        "past": past,
    }


def _may(row: queue.Queued, held_by: str | None, history: Sequence[past.Happened], person: Person) -> dict[str, bool]:
    """What the page offers. It asks no rule: a command that is refused says why."""
    is_open = row.stage != visits.Stage.CLOSED
    mine, free = held_by == person.name, held_by is None
    last = history[0] if history else None
    undoable = {*visits.UNDOABLE, "appointed", "rescheduled", "confirmed"}
    return {
        "claim": is_open and not mine and free,
        "extend": is_open and mine,
        "release": is_open and mine,
        "take_over": is_open and not mine and not free,
        "act": is_open and (mine or free),
        "appoint": row.stage in ("agreed", "paired", "confirmed", "visited", "logged") and (mine or free),
        "confirm": row.stage == "paired" and (mine or free),
        "cancel": row.stage in ("paired", "confirmed") and (mine or free),
        "reopen": not is_open,
        "undo": last is not None and last.actor == person.name and last.what in undoable and (mine or free),
    }


def _why_gone(students: Sequence[Mapping[str, Any]]) -> list[priority.Clause]:
    return priority.why_gone(
        [
            priority.Correction(
                student_key=student["student_key"],
                days_absent=student["days_absent"],
                days_enrolled=student["days_enrolled"],
                corrected_days=tuple(student["corrected_days"]),
            )
            for student in students
            if student["level"] == "none"
        ]
    )
