"""What ingest lets go as it is too old: receipts with their refused rows, and records that could not be applied."""

from services.ingest.store import ageing
from services.runtime import clock
from services.runtime.delivery.letting_go import Rule
from services.runtime.delivery.letting_go import let_go as by_rules
from services.runtime.web.context import Context

RULES = (
    Rule(kind="receipts", years=lambda policy: policy.receipts_years, take=ageing.take_receipts),
    Rule(kind="dead_letters", years=lambda policy: policy.dead_letters_years, take=ageing.take_dead_letters),
)


async def let_go(context: Context) -> None:
    """Let go what districts keep no longer."""
    await by_rules(context.begin, RULES, ageing.decided, now=clock.now())
