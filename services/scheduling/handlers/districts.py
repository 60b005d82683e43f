"""How a district goes live, back into rehearsal, or rests: flagging tells of it only what its status lets it."""

from contracts import events
from contracts.events import DistrictStatus
from contracts.identities import identity
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.policies import DistrictUnknown
from services.scheduling.rules import visits
from services.scheduling.rules.bounds import DecisionIfAny, Part
from services.scheduling.rules.visits import NotPossible
from services.scheduling.rules.wording import N_
from services.scheduling.store import districts
from services.scheduling.store.districts import Declared

STATUSES = "district-statuses"


class DeclareStatus(Part):
    """How a district is to stand. `version` is the declaration that it follows."""

    version: DecisionIfAny
    status: DistrictStatus


async def find_status(tx: Transaction, *, district: str, person: Person) -> Declared:
    """Read how a district stands. Raises DistrictUnknown."""
    if not person.may_see(district):
        raise DistrictUnknown
    return await districts.standing(tx.connection, district)


async def declare_status(act: Act[str, DeclareStatus]) -> Declared:
    """Declare a district live, in rehearsal or paused, from now on.

    Raises DistrictUnknown, NotAllowed (coordinator or operations), or NotPossible.
    """
    standing = await find_status(act.tx, district=act.subject, person=act.person)
    if not visits.may_act(act.person.role, ("coordinator", "operations")):
        raise visits.NotAllowed
    declared = Declared(act.subject, act.sent.version + 1, act.sent.status, act.as_of)
    faster = standing.version != act.sent.version
    if faster or not await districts.save(act.tx.connection, declared, changed_by=act.person.name):
        raise NotPossible("stale_status", N_("somebody was faster; look at how the district stands, then declare it"))

    act.tx.emit(
        topic=STATUSES,
        key=act.subject,
        event=events.DistrictStatusChanged(
            event_id=identity(STATUSES, act.subject, declared.version, act.as_of.isoformat()),
            event_type="district-status.changed.v1",
            occurred_at=act.as_of,
            district=act.subject,
            status=declared.status,
            since=act.as_of,
            version=declared.version,
        ),
    )
    return declared
