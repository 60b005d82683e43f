"""Every command of the desk: its model, who carries it out, and what is said once it is done.

Both doors offer this table: /v1 to programs (`api/commands.py`), a request's page to people (`pages/actions.py`). A new
command is a model with its bounds and a handler, both in `handlers/`, and a line here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, TypeVar

from pydantic import BaseModel

from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.people import Person
from services.scheduling.handlers import requests
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.appointments import (
    Appoint,
    OfferTimes,
    Reschedule,
    appoint,
    cancel_visit,
    confirm_visit,
    offer_times,
    reschedule,
)
from services.scheduling.handlers.districts import DeclareStatus, declare_status
from services.scheduling.handlers.policies import DecidePolicy, decide_policy
from services.scheduling.handlers.requests import Close, RecordAttempt, Reopen, TakeOver
from services.scheduling.handlers.transfers import ConfirmTransfer, confirm_transfer
from services.scheduling.handlers.visitors import SaveAvailability, SaveVisitor, save_availability, save_visitor
from services.scheduling.rules.bounds import Versioned
from services.scheduling.rules.visits import What

Done = TypeVar("Done")
Handler = Callable[[Act[Any, Any]], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that people do. What its address names in braces is the handler's subject."""

    at: str
    """Method and path for programs, under /v1."""
    model: type[BaseModel]
    handler: Handler[Any]
    done: What | None = None
    """What a request's page says happened."""
    form: str = ""
    """The last part of the address of its form on a request's page, where it has one there."""
    makes: bool = False
    """Something that stands by itself from then on: 201 where version 0 was sent."""

    @property
    def subject(self) -> str:
        """Name what the command is about, as the address does."""
        return self.at.partition("{")[2].partition("}")[0]

    @property
    def says(self) -> str:
        """Give what the handler promises, without what it raises."""
        return (getdoc(self.handler) or "").partition("\n\n")[0]


COMMANDS = (
    Command("POST /requests/{request_id}/claim", Versioned, requests.claim, What.CLAIMED, "claim"),
    Command("POST /requests/{request_id}/take-over", TakeOver, requests.take_over, What.TAKEN_OVER, "take-over"),
    Command("POST /requests/{request_id}/release", Versioned, requests.release, What.RELEASED, "release"),
    Command("POST /requests/{request_id}/answer", RecordAttempt, requests.record_attempt, What.CONTACTED, "contact"),
    Command("POST /requests/{request_id}/closing", Close, requests.close, What.CLOSED, "close"),
    Command("POST /requests/{request_id}/reopening", Reopen, requests.reopen, What.REOPENED, "reopening"),
    Command("POST /requests/{request_id}/undo", Versioned, requests.undo, What.UNDONE, "undo"),
    Command("POST /requests/{request_id}/appointment", Appoint, appoint),
    Command("POST /requests/{request_id}/reschedule", Reschedule, reschedule),
    Command("POST /requests/{request_id}/cancellation", Versioned, cancel_visit, What.CANCELLED, "cancellation"),
    Command("POST /requests/{request_id}/confirmation", Versioned, confirm_visit, What.CONFIRMED, "confirmation"),
    Command("PUT /requests/{request_id}/offered-times", OfferTimes, offer_times),
    Command("POST /visitors", SaveVisitor, save_visitor, makes=True),
    Command("PUT /visitors/{visitor_id}/availability", SaveAvailability, save_availability),
    Command("PUT /policies/{district}", DecidePolicy, decide_policy),
    Command("PUT /districts/{district}/status", DeclareStatus, declare_status),
    Command("PUT /transfers/{person_key}", ConfirmTransfer, confirm_transfer),
)


async def carry_out(context: Context, person: Person, handler: Handler[Done], subject: Any, sent: BaseModel) -> Done:
    """Let the person do it now, in a transaction of its own. Raises what the handler does."""
    async with context.begin() as tx:
        return await handler(Act(tx=tx, person=person, as_of=clock.now(), subject=subject, sent=sent))
