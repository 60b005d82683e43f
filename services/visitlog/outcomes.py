"""The rules of a visitor's log. No clock, no database: every rule is told what time it is."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

PHONE_CLOCK_TOLERANCE = timedelta(minutes=5)
"""A visitor's phone may run ahead by this much; a log must not be lost over it."""

TOOK_PLACE = "took_place"


class Refusal(Exception):
    """A log that can't be accepted. The message says what to do instead, and never names a family."""


class VisitUnknown(Refusal):
    """No such visit was agreed, or its news is still on the way."""

    def __init__(self) -> None:
        super().__init__("no visit with this visit_id is known; check it, or send again in a moment if just scheduled")


class LogUnknown(Refusal):
    """There is no log with this client id."""

    def __init__(self) -> None:
        super().__init__("there is no log with this id; write it first with PUT /v1/visit-logs/{client_id}")


class LogDiffers(Refusal):
    """Another log stands under this client id: logs are never overwritten."""

    def __init__(self) -> None:
        super().__init__(
            "another log stands under this id; add to it with POST /v1/visit-logs/{client_id}/amendments, "
            "or use a new id for another visit"
        )


class LogInvalid(Refusal):
    """The log contradicts itself or the clock."""


def check_log(
    *,
    outcome: str,
    started_at: datetime,
    ended_at: datetime | None,
    pair: Sequence[str],
    follow_up_due: date | None,
    as_of: datetime,
) -> None:
    """This will raise LogInvalid unless two people were there, the times can be, and a promise lies ahead of them."""
    if len(pair) != 2 or pair[0] == pair[1]:
        raise LogInvalid("visits are made in pairs; name exactly two different visitors")
    if outcome == TOOK_PLACE and ended_at is None:
        raise LogInvalid("a visit that took place has an end; send ended_at")
    if ended_at is not None and ended_at <= started_at:
        raise LogInvalid("ended_at must be later than started_at")
    if max(started_at, ended_at or started_at) > as_of + PHONE_CLOCK_TOLERANCE:
        raise LogInvalid("a log tells what happened; started_at and ended_at can't lie in the future")
    if follow_up_due is not None and follow_up_due < started_at.date():
        raise LogInvalid("a follow-up comes after its visit; send a later due date")
