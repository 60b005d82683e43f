"""Every command of the visit log: what is sent, who carries it out, and what is said of it.

Programs send the model to `at`, under /v1 (`api/commands.py`); a page reads its form into the same one. A new command
is a model with its bounds in `rules/`, a handler, and a line here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from pydantic import BaseModel

from services.runtime.web.context import Context
from services.runtime.web.people import Person
from services.visitlog.handlers import disclosing, logs, office, safety
from services.visitlog.handlers.acts import Done, acting
from services.visitlog.rules import outcomes
from services.visitlog.rules.form import AmendmentCommand, Log, Nothing, ReferralCommand, SafetyCommand
from services.visitlog.rules.pay import RateCommand

Handler = Callable[..., Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that people do. What its address names last in braces is what it is about."""

    at: str  # method and path for programs; empty where only a page offers it
    model: type[BaseModel]
    handler: Handler
    makes: bool = False  # something that stands by itself from then on: 201 where it is new

    @property
    def subject(self) -> str:
        """Name what the command is about, as the address does."""
        return self.at.rpartition("{")[2].partition("}")[0] if "{" in self.at else ""

    @property
    def says(self) -> str:
        """Give what the handler promises, without what it raises."""
        return (getdoc(self.handler) or "").partition("\n\n")[0]


COMMANDS = (
    Command("PUT /visit-logs/{client_id}", Log, logs.put_log, makes=True),
    Command("POST /visit-logs/{client_id}/amendments", AmendmentCommand, logs.amend, makes=True),
    Command("POST /visit-logs/{client_id}/referrals/{referral_id}", ReferralCommand, logs.move_referral),
    Command("POST /pay-rates", RateCommand, office.set_rate, makes=True),
    Command("", SafetyCommand, safety.start_timer),
    Command("", Nothing, safety.end_timer),
)


async def carry_out(context: Context, person: Person, handler: Handler, subject: Any, sent: BaseModel) -> Done:
    """Let the person do it now, in a transaction of its own. Raises what the handler does."""
    try:
        async with acting(context, person) as act:
            return await handler(act, sent, subject)
    except outcomes.LogDiffers as conflict:
        await disclosing.note_conflict(context, person, subject, conflict)
        raise
