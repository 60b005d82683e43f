"""The safety timer: a visitor says when they will be out, and the coordinator sees who has not come back."""

from datetime import timedelta
from uuid import UUID

from services.visitlog.handlers import access
from services.visitlog.handlers.acts import Act, Done
from services.visitlog.rules.form import Nothing, SafetyCommand
from services.visitlog.store import visits


async def start_timer(act: Act, command: SafetyCommand, visit_id: UUID) -> Done:
    """Start the person's timer for the visit, or set it anew.

    Raises VisitUnknown.
    """
    await access.visit_of(act, visit_id)
    back_by = act.as_of + timedelta(minutes=command.minutes)
    await visits.start_safety_timer(
        act.connection, visit_id=visit_id, person=act.person.name, back_by=back_by, as_of=act.as_of
    )
    return Done({"visit_id": visit_id, "back_by": back_by})


async def end_timer(act: Act, _: Nothing, visit_id: UUID) -> Done:
    """End the person's timer: they are out and well.

    Raises VisitUnknown.
    """
    await access.visit_of(act, visit_id)
    await visits.end_safety_timer(act.connection, visit_id=visit_id, person=act.person.name, as_of=act.as_of)
    return Done({"visit_id": visit_id})
