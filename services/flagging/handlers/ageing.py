"""What is let go as it is too old: records that could not be applied. Everything else here is numbers, which stay."""

from services.flagging.store import ageing
from services.runtime import clock
from services.runtime.delivery.letting_go import Rule
from services.runtime.delivery.letting_go import let_go as by_rules
from services.runtime.web.context import Context

RULES = (Rule(kind="dead_letters", years=int, take=ageing.take_dead_letters),)


async def let_go(context: Context) -> None:
    """Let go what districts keep no longer."""
    await by_rules(context.begin, RULES, ageing.decided, now=clock.now())
