"""One transaction's work: the registers in the hand, what districts decided, and what is told when it commits."""

from services.flagging import telling
from services.flagging.rules.absence import Policy
from services.flagging.rules.register import School
from services.flagging.store import policies
from services.flagging.store.policies import Decisions
from services.flagging.store.registers import Registers
from services.flagging.telling import Moment
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction, Written


class Work:
    """What a transaction has in the hand."""

    def __init__(self, transaction: Transaction, registers: Registers, decisions: Decisions) -> None:
        self.transaction = transaction
        self.registers = registers
        self.decisions = decisions
        self._policies: dict[tuple[str, int, int], Policy] = {}
        self._occurred_at = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def moment(self, district: str) -> Moment:
        """Give what everything told of a district here has in common."""
        return Moment(district, self.registers.version(district), self._occurred_at)

    def is_told(self, school: School) -> bool:
        """Say whether what is computed for the school is told: not in a rehearsal."""
        return self.decisions.status(school.key.district) != policies.REHEARSAL

    def policy(self, school: School, days: int) -> Policy:
        """Give the policy in force on the last of these days; where there is none, on the first of the year."""
        key = school.key.district, school.key.school_year, days.bit_length()
        if key not in self._policies:
            self._policies[key] = self.decisions.of(key[0], telling.last_day(days or 1, key[1]))
        return self._policies[key]

    def tell(self, topic: str, district: str, told: Written) -> None:
        """Publish the event after the commit, in the order of its district."""
        self.transaction.emit(topic=topic, key=district, event=told)
