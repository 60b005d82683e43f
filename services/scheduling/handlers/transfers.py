"""A district says that a child of theirs has moved to another: from then on that one sees the days they had before."""

from uuid import UUID

from contracts import events
from contracts.events.envelope import District
from contracts.identities import identity
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.policies import DistrictUnknown
from services.scheduling.rules import visits
from services.scheduling.rules.bounds import Part
from services.scheduling.rules.visits import NotPossible
from services.scheduling.rules.wording import N_
from services.scheduling.store import transfers
from services.scheduling.store.transfers import Transfer

TRANSFERS = "transfers"


class ConfirmTransfer(Part):
    """From which district, which must be the person's own, to which: the one that enrolled the child since."""

    from_district: District
    district: District


async def confirm_transfer(act: Act[UUID, ConfirmTransfer]) -> Transfer:
    """Confirm that a person has moved from one's own district to another, which then sees the days before.

    The other's own word is its enrolment. Only the sending district's coordinator can give its days away: whoever
    enrols somebody else's number sees nothing by that. Raises DistrictUnknown, NotAllowed or NotPossible.
    """
    leaving, district = act.sent.from_district, act.sent.district
    if not act.person.may_see(leaving):
        raise DistrictUnknown
    if not visits.may_act(act.person.role, ("coordinator",)):
        raise visits.NotAllowed
    if leaving == district:
        raise NotPossible("same_district", N_("a transfer is from one district to another"))
    confirmed = Transfer(act.subject, leaving, district, act.person.name, act.as_of)

    standing = await transfers.keep(act.tx.connection, confirmed)
    # Said again, it is told again with the same identity: where a restored database had lost it, nothing differs.
    act.tx.emit(
        topic=TRANSFERS,
        key=district,
        event=events.TransferConfirmed(
            event_id=identity(TRANSFERS, act.subject, leaving, district),
            event_type="transfer.confirmed.v1",
            occurred_at=standing.confirmed_at,
            district=district,
            person_key=act.subject,
            from_district=leaving,
            confirmed_at=standing.confirmed_at,
        ),
    )
    return standing
