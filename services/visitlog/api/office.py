"""What the coordinator works with: questions, pay, the district's wishes, and who saw whose address."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from services.runtime.web import disclosure_log
from services.runtime.web.context import Context
from services.visitlog.api.asking import From, Until, Who, period
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.handlers import access, disclosing, office
from services.visitlog.handlers.access import NotYours
from services.visitlog.handlers.acts import acting
from services.visitlog.store import office as stored_office


def routes(context: Context) -> APIRouter:
    """Offer the office's lists."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.get("/integrity")
    async def integrity(person: Who, first: From = None, until: Until = None) -> dict[str, Any]:
        """List what in the logs deserves a question, for the coordinator and nobody else."""
        access.check_coordinates(person)
        first, until = period(first, until, zone=context.settings.zone)
        async with acting(context, person) as act:
            found = await office.quiet_findings(act, first=first, last=until)
        return {"as_of": act.as_of, "findings": [asdict(each) for each in found]}

    @router.get("/payroll.csv")
    async def payroll_csv(person: Who, first: From = None, until: Until = None) -> Response:
        """Export what each visit pays each visitor, for payroll."""
        access.check_coordinates(person)
        first, until = period(first, until, zone=context.settings.zone)
        async with acting(context, person) as act:
            lines = await office.payroll(act, first=first, last=until)
            households = [(line["district"], line["household_key"]) for line in lines]
            await disclosing.record(act, households, disclosing.PAY)
        headers = {
            "Content-Disposition": f'attachment; filename="payroll-{first}-{until}.csv"',
            "Cache-Control": "no-store",
        }
        return PlainTextResponse(office.payroll_csv(lines), media_type="text/csv", headers=headers)

    @router.get("/pay-rates")
    async def list_rates(person: Who) -> dict[str, Any]:
        """List every rate that was ever set."""
        access.check_coordinates(person)
        async with acting(context, person) as act:
            rates = await stored_office.list_rates(act.connection, act.districts)
        return {"rates": [asdict(rate) for rate in rates]}

    @router.get("/log-policies/{district}")
    async def show_policy(district: str, person: Who) -> dict[str, Any]:
        """Show the district's wishes for its logs, as its policy in force says; they are decided at the desk."""
        if not person.may_see(district):
            raise NotYours
        async with acting(context, person) as act:
            standing = await stored_office.standing_policy(act.connection, district, day=act.today)
        return {"district": district, **standing._asdict()}

    @router.get("/households/{household_key}/held")
    async def held(household_key: UUID, person: Who) -> dict[str, Any]:
        """Show all that the visit log holds of a household, for a family that asks; the look is recorded."""
        async with acting(context, person) as act:
            return await office.held(act, household_key)

    @router.get("/counts")
    async def counts(person: Who) -> dict[str, Any]:
        """Count logs by district and outcome."""
        async with acting(context, person) as act:
            rows = await stored_office.count_logs(act.connection, act.districts)
        return {"logs": [dict(row) for row in rows], "total": sum(row["logs"] for row in rows)}

    router.include_router(disclosure_log.routes(context))
    return router
