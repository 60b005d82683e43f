"""What ingest lets go as it is too old: receipts with their refused rows, and records that could not be applied."""

from services.ingest.store import ageing
from services.runtime.retention import Rule
from services.runtime.retention import let_go as by_rules
from services.runtime.web.context import Context

RULES = (
    Rule(kind="receipts", take=ageing.take_receipts),
    Rule(kind="dead_letters", take=ageing.take_dead_letters),
)


async def let_go(context: Context) -> None:
    """Let go what districts keep no longer."""
    await by_rules(context, RULES, ageing.years)
