"""How a district changes its policy: by its coordinator, a version at a time."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from contracts import events
from contracts.events import DistrictPolicy
from contracts.identities import identity
from services.runtime.delivery.publisher import partition_of
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.handlers.acts import Act
from services.scheduling.rules import policy as rules
from services.scheduling.rules import visits
from services.scheduling.rules.bounds import Day, DecisionIfAny, Part, Seen
from services.scheduling.rules.visits import NotPossible, Refusal
from services.scheduling.rules.wording import N_
from services.scheduling.store import calendars, policies

POLICIES = "district-policies"


class _Absence(events.AbsencePolicy, Part):
    pass


class _Weights(events.Weights, Part):
    pass


class _Desk(events.DeskPolicy, Part):
    weights: _Weights = _Weights()


_Labels = Annotated[dict[Literal["en", "es"], Annotated[events.LabelText, Seen]], Field(min_length=1)]


class _Labelled(events.Labelled, Part):
    labels: _Labels


class _ExtraField(events.ExtraField, Part):
    labels: _Labels
    choices: Annotated[tuple[_Labelled, ...], Field(max_length=20)] = ()


class _Log(events.LogPolicy, Part):
    extra_fields: Annotated[tuple[_ExtraField, ...], Field(max_length=20)] = ()


class _Retention(events.RetentionPolicy, Part):
    pass


class DecidePolicy(Part):
    """A district's next policy, the whole of it. `version` is the one it replaces; what is left out is the default's.

    In force from `effective_from`, a school day; without it from the first one that is not over.
    """

    version: DecisionIfAny
    effective_from: Day | None = None
    absence: _Absence = _Absence()
    desk: _Desk = _Desk()
    log: _Log = _Log()
    retention: _Retention = _Retention()


class StalePolicy(Refusal):
    """Somebody decided in between. `current` is the newest decision by now."""

    code = "stale_policy"

    def __init__(self, *, current: DistrictPolicy, yours: int) -> None:
        self.current = current
        self.yours = yours
        super().__init__(
            N_("the policy is at version %(current)s by now, you read %(yours)s; look at it again, then decide"),
            current=current.version,
            yours=yours,
        )


class DistrictUnknown(Refusal):
    """The district is none of the person's."""

    code = "district_unknown"

    def __init__(self) -> None:
        super().__init__(N_("there is no such district among yours"))


async def policies_of(
    tx: Transaction, *, district: str, person: Person, day: date
) -> tuple[DistrictPolicy, DistrictPolicy]:
    """Read a district's newest decision, and the policy in force on a day. Raises DistrictUnknown."""
    if not person.may_see(district):
        raise DistrictUnknown
    newest = await policies.decided_last(tx.connection, district)
    return newest, (await policies.in_force(tx.connection, [district], day=day))[district]


async def decide_policy(act: Act[str, DecidePolicy]) -> DistrictPolicy:
    """Make the policy the district's next version, in force from its day; open requests are priced by it then.

    Raises DistrictUnknown, NotAllowed (the coordinator decides), NotPossible or StalePolicy.
    """
    district, decided, connection = act.subject, act.sent, act.tx.connection
    standing, _ = await policies_of(act.tx, district=district, person=act.person, day=act.today)
    if not visits.may_act(act.person.role, ("coordinator",)):
        raise visits.NotAllowed
    _check(decided)
    if standing.version != decided.version:
        raise StalePolicy(current=standing, yours=decided.version)
    calendar = await calendars.of_district(connection, district)
    effective_from = decided.effective_from or rules.first_school_day(since=act.today, calendar=calendar)
    if not calendar.is_school_day(effective_from):
        raise NotPossible("no_school_that_day", N_("a policy is in force from a school day; choose one"))

    policy = DistrictPolicy(
        version=decided.version + 1,
        effective_from=effective_from,
        absence=decided.absence,
        desk=decided.desk,
        log=decided.log,
        retention=decided.retention,
    )
    saved = await policies.save(
        connection, district=district, policy=policy, changed_by=act.person.name, changed_at=act.as_of
    )
    if not saved:
        raise StalePolicy(current=await policies.decided_last(connection, district), yours=decided.version)
    await _tell(act, policy)
    return policy


def _check(decided: DecidePolicy) -> None:
    for problem in rules.problems_with(decided.desk.weights):
        raise NotPossible("weights_against_order", problem)
    if decided.desk.earliest_hour >= decided.desk.latest_hour:
        raise NotPossible("hours_order", N_("visiting hours end after they begin; correct them"))
    for wrong in rules.problems_with_fields(decided.log.extra_fields):
        raise NotPossible(wrong.code, wrong.msgid)


async def _tell(act: Act[str, DecidePolicy], policy: DistrictPolicy) -> None:
    partitions = await act.tx.publisher.partitions(POLICIES)
    act.tx.emit(
        topic=POLICIES,
        # Each version under a key of its own, or compaction would keep a decision for a day to come and nothing of
        # the one in force until then; all of a district in one partition, in their order.
        key=f"{act.subject}/{policy.version}",
        partition=partition_of(act.subject, partitions),
        event=events.DistrictPolicyDecided(
            event_id=identity(POLICIES, act.subject, policy.version, act.as_of.isoformat()),
            event_type="district-policy.decided.v1",
            occurred_at=act.as_of,
            district=act.subject,
            **policy.model_dump(),
        ),
    )
