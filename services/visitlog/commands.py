"""What people do with visits and logs, each thing once: its model, who carries it out, and what is said of it.

A program sends the model to `at`, under /v1; a page reads its form into the same one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel

from services.runtime.web.context import Context
from services.runtime.web.people import Person
from services.visitlog.handlers import logs, office, safety
from services.visitlog.handlers.access import Done, acting
from services.visitlog.rules.form import AmendmentCommand, Log, Nothing, ReferralCommand, SafetyCommand
from services.visitlog.rules.pay import RateCommand
from services.visitlog.rules.policy import PolicyCommand

Sent = TypeVar("Sent", bound=BaseModel)


def _of_nothing() -> dict[str, Any]:
    return {}


def _of_log(client_id: UUID) -> dict[str, Any]:
    return {"log_id": client_id}


def _of_referral(client_id: UUID, referral_id: UUID) -> dict[str, Any]:
    return {"log_id": client_id, "referral_id": referral_id}


def _of_district(district: str) -> dict[str, Any]:
    return {"district": district}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Sent]):
    """One thing that people do. `of` turns the ids of its address into what it is done to, as the handler names it."""

    name: str
    says: str
    model: type[Sent]
    handler: Callable[..., Awaitable[Done]]
    at: str = ""  # the method and path for programs; none where only a page offers it
    of: Callable[..., dict[str, Any]] = _of_nothing
    makes: bool = False  # something that stands by itself from then on: 201 where it is new


PUT_LOG = Command(
    name="put_log",
    says="Write the log: 201 the first time, 200 for the same log again, 409 for another one.",
    model=Log,
    handler=logs.write_log,
    at="PUT /visit-logs/{client_id}",
    of=_of_log,
    makes=True,
)
AMEND = Command(
    name="amend",
    says="Add to a log; what stood there stays.",
    model=AmendmentCommand,
    handler=logs.amend_log,
    at="POST /visit-logs/{client_id}/amendments",
    of=_of_log,
    makes=True,
)
MOVE_REFERRAL = Command(
    name="move_referral",
    says="Move a referral on: offered, accepted, handed over, connected, closed.",
    model=ReferralCommand,
    handler=logs.move_referral,
    at="POST /visit-logs/{client_id}/referrals/{referral_id}",
    of=_of_referral,
)
SET_RATE = Command(
    name="set_rate",
    says="Set what is paid from a day on; the rates before stay.",
    model=RateCommand,
    handler=office.set_rate,
    at="POST /pay-rates",
    makes=True,
)
SET_POLICY = Command(
    name="set_policy",
    says="Set the district's wishes; 409 unless `version` is the one that stands.",
    model=PolicyCommand,
    handler=office.set_policy,
    at="PUT /log-policies/{district}",
    of=_of_district,
)
START_TIMER = Command(
    name="start_timer",
    says="Start a timer: not back by then, and the coordinator sees it.",
    model=SafetyCommand,
    handler=safety.start_timer,
)
END_TIMER = Command(name="end_timer", says="End the timer.", model=Nothing, handler=safety.end_timer)

COMMANDS = (PUT_LOG, AMEND, MOVE_REFERRAL, SET_RATE, SET_POLICY, START_TIMER, END_TIMER)


async def carry_out(context: Context, person: Person, command: Command[Sent], sent: Sent, **of: Any) -> Done:
    """Let the person do it now, in a transaction of its own. Raises what its handler does."""
    async with acting(context, person) as act:
        return await command.handler(act, sent, **of)
