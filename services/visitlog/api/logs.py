"""A log as it was written, and which logs are expected."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from services.runtime.web.context import Context
from services.visitlog.api.asking import MOST_ROWS, From, Until, Who, period
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.handlers import access, disclosing, logs, office
from services.visitlog.handlers.acts import acting
from services.visitlog.rules.outcomes import Due
from services.visitlog.store import logs as stored_logs
from services.visitlog.store.visits import Listed


def routes(context: Context) -> APIRouter:
    """Offer logs to the people who were there, and the list of expected ones to the office."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.get("/visit-logs/{client_id}")
    async def show_log(client_id: UUID, person: Who) -> dict[str, Any]:
        """Show a log as it was written, its referrals as they stand, and what was added to it."""
        async with acting(context, person) as act:
            log = await access.log_of(act, client_id)
            amendments = await stored_logs.list_amendments(act.connection, client_id)
            referrals = await stored_logs.list_referrals(act.connection, client_id)
            body = logs.readable_body(log, person)
            await disclosing.note_log(act, log, body)
        return {
            **body,
            "log_id": client_id,
            "logged_by": log["logged_by"],
            "logged_at": log["logged_at"],
            "referrals": [dict(row) for row in referrals],
            "amendments": [dict(row) for row in amendments],
        }

    @router.get("/expected-logs")
    async def expected_logs(
        person: Who,
        due: Annotated[list[Due] | None, Query()] = None,
        first: From = None,
        until: Until = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
        after_start: datetime | None = None,
        after_visit: UUID | None = None,
    ) -> dict[str, Any]:
        """List agreed visits by how their logs stand: a missing log is not a visit that did not happen."""
        is_visitor = person.role == access.VISITOR
        zone = context.settings.zone
        starts_from, starts_before = office.days_between(*period(first, until, zone=zone), zone=zone)
        after = None
        if after_start is not None and after_visit is not None and 2000 < after_start.year < 2200:
            after = (after_start if after_start.tzinfo else after_start.replace(tzinfo=zone), after_visit)
        async with acting(context, person) as act:
            listed = Listed(
                districts=act.districts,
                visitor_id=person.name if is_visitor else None,
                due=[each.value for each in due or Due],
                starts_from=starts_from,
                starts_before=starts_before,
                limit=limit,
                after=after,
            )
            rows = await office.list_expected(act, listed)
        more = {"after_start": rows[-1]["starts_at"], "after_visit": rows[-1]["visit_id"]} if rows else None
        return {"as_of": act.as_of, "visits": [dict(row) for row in rows], "next": more if len(rows) == limit else None}

    return router
