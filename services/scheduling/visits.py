"""The rules between a flag and a visit. No clock, no database: every rule is told what time it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

CLAIM_LEASE = timedelta(minutes=15)


class Stage(StrEnum):
    """Where a request stands. Claimed is also a lease: when it lapses, the request is free for anyone again."""

    NEW = "new"  # -> claimed, or closed when the flag clears
    CLAIMED = "claimed"  # -> contacting, agreed, closed
    CONTACTING = "contacting"  # -> agreed, closed
    AGREED = "agreed"  # -> paired, contacting, closed
    PAIRED = "paired"  # -> visited, agreed (cancelled, attempted), contacting, closed
    VISITED = "visited"  # -> paired again: visits repeat
    CLOSED = "closed"


class Answer(StrEnum):
    """What came of one contact with the family."""

    AGREED = "agreed"
    DECLINED = "declined"
    LATER = "later"
    NOT_REACHED = "not_reached"


class VisitState(StrEnum):
    """What became of an agreed visit. A completed one stays completed, whatever else is logged."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    ATTEMPTED = "attempted"
    COMPLETED = "completed"


class Refusal(Exception):
    """A change that can't be made. The message says what to do instead, and never names a family."""


class RequestUnknown(Refusal):
    """There is no request with this id."""

    def __init__(self) -> None:
        super().__init__("there is no request with this id; list the open ones with GET /v1/requests")


class StaleVersion(Refusal):
    """Somebody changed the request in between: read it again and decide anew."""

    def __init__(self, *, current: int) -> None:
        self.current = current
        super().__init__(f"the request is at version {current} by now; read it again, then repeat with that version")


class HeldByAnother(Refusal):
    """Another scheduler holds the claim."""

    def __init__(self, *, claimed_by: str, claimed_until: datetime) -> None:
        self.claimed_by = claimed_by
        self.claimed_until = claimed_until
        super().__init__(f"{claimed_by} holds this request until {claimed_until.isoformat()}; take the next one")


class NotPossible(Refusal):
    """The request's stage or the appointment itself does not allow this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A household in the queue, as it stands."""

    request_id: UUID
    household_key: UUID
    district: str
    school: str
    stage: Stage
    closed_because: str | None
    version: int
    claimed_by: str | None
    claimed_until: datetime | None
    contact_again_on: date | None
    flags_cleared_at: datetime | None
    opened_at: datetime


def household_of(*, student_key: UUID, household_key: UUID | None) -> UUID:
    """This will name the household; a student of whom none is known is a household alone."""
    return household_key or student_key


def check_may_change(*, request: Request, actor: str, version: int, as_of: datetime) -> None:
    """This will raise HeldByAnother while somebody else's lease runs, and StaleVersion unless `version` is current.

    The holder comes first: a scheduler who came second should hear who was faster, not a number.
    """
    if request.claimed_by is not None and request.claimed_until is not None:
        lease_runs = request.claimed_until > as_of
        if lease_runs and request.claimed_by != actor:
            raise HeldByAnother(claimed_by=request.claimed_by, claimed_until=request.claimed_until)
    if request.version != version:
        raise StaleVersion(current=request.version)


def stage_after_answer(*, stage: Stage, answer: Answer) -> Stage:
    """This will say where the family's answer leads. Raises NotPossible on a closed request.

    A decline closes at every stage: the programme is voluntary to the end. "Not reached" changes no agreement.
    """
    if stage is Stage.CLOSED:
        raise NotPossible("the request is closed; a newly raised flag opens another")
    if answer is Answer.DECLINED:
        return Stage.CLOSED
    if answer is Answer.AGREED:
        return stage if stage in (Stage.PAIRED, Stage.VISITED) else Stage.AGREED
    if answer is Answer.LATER:
        return stage if stage in (Stage.PAIRED, Stage.VISITED) else Stage.CONTACTING
    return Stage.CONTACTING if stage in (Stage.NEW, Stage.CLAIMED) else stage


def check_appointment(*, stage: Stage, starts_at: datetime, pair: Sequence[str], as_of: datetime) -> None:
    """This will raise NotPossible unless the family agreed, the time lies ahead, and two different people go."""
    if stage not in (Stage.AGREED, Stage.PAIRED, Stage.VISITED):
        raise NotPossible("a visit needs the family's consent first; record the answer 'agreed'")
    if starts_at <= as_of:
        raise NotPossible("a visit is agreed in advance; starts_at must lie in the future")
    if len(pair) != 2 or pair[0] == pair[1]:
        raise NotPossible("visits are made in pairs; name exactly two different visitors")


def stage_after_visit(*, state: VisitState, declined_today: bool) -> Stage:
    """This will say where a logged visit leads its request: an attempt goes back to the family or to a new date."""
    if state is VisitState.COMPLETED:
        return Stage.VISITED
    return Stage.CONTACTING if declined_today else Stage.AGREED
