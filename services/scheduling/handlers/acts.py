"""Who does what to what, and when: it travels from both doors to the rules as one value."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from contracts.calendar import local_day
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person

Subject = TypeVar("Subject", covariant=True)
Sent = TypeVar("Sent", bound=BaseModel, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Generic[Subject, Sent]):
    """One command of one person, in the transaction that carries it out or leaves nothing behind.

    `subject` is what it is about: a request by its id, a visitor by theirs, a district's policy by its code; `sent` is
    what they ask for, within its bounds.
    """

    tx: Transaction
    person: Person
    as_of: datetime
    subject: Subject
    sent: Sent

    @property
    def today(self) -> date:
        """Name the local day on which it is done."""
        return local_day(self.as_of, zone=self.tx.zone)
