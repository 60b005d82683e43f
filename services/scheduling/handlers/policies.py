"""How a district changes its policy: by its coordinator, a version at a time."""

from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.handlers.acts import Act
from services.scheduling.rules import policy as rules
from services.scheduling.rules import visits
from services.scheduling.rules.bounds import VersionIfAny
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import NotPossible, Refusal
from services.scheduling.rules.wording import N_
from services.scheduling.store import policies


class DecidePolicy(Policy):
    """A district's next policy. `version` is the one it replaces; what is left out is the default's."""

    version: VersionIfAny


class StalePolicy(Refusal):
    """Somebody changed the policy in between. `current` is how it stands by now."""

    code = "stale_policy"

    def __init__(self, *, current: Policy, yours: int) -> None:
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


async def current_policy(tx: Transaction, *, district: str, person: Person) -> Policy:
    """Read a district's standing policy. Raises DistrictUnknown."""
    if not person.may_see(district):
        raise DistrictUnknown
    return await policies.current(tx.connection, district)


async def decide_policy(act: Act[str, DecidePolicy]) -> Policy:
    """Make the policy the district's next version; open requests are priced by it within minutes.

    Raises DistrictUnknown, NotAllowed (the coordinator decides), NotPossible or StalePolicy.
    """
    district, decided = act.subject, act.sent
    standing = await current_policy(act.tx, district=district, person=act.person)
    if not visits.may_act(act.person.role, ("coordinator",)):
        raise visits.NotAllowed
    for problem in rules.problems_with(decided.weights):
        raise NotPossible("weights_against_order", problem)
    if decided.earliest_hour >= decided.latest_hour:
        raise NotPossible("hours_order", N_("visiting hours end after they begin; correct them"))
    if standing.version != decided.version:
        raise StalePolicy(current=standing, yours=decided.version)

    policy = decided.model_copy(update={"version": decided.version + 1})
    saved = await policies.save(
        act.tx.connection, district=district, policy=policy, changed_by=act.person.name, changed_at=act.as_of
    )
    if not saved:
        raise StalePolicy(current=await policies.current(act.tx.connection, district), yours=decided.version)
    return policy
