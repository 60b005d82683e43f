"""How flagging is made anew from its topics while it runs: what stays as it was told, and what is compared how."""

from services.flagging.handlers import settling
from services.flagging.store import copies, transfers
from services.runtime.rebuild.own_ways import OwnWays
from services.runtime.service import Context


async def settle(context: Context) -> None:
    """Do what the timers do, until nothing is due."""
    await settling.settle(context)
    while await _is_anybody_due(context):
        await settling.judge_due(context)


async def _is_anybody_due(context: Context) -> bool:
    async with context.pool.acquire() as connection:
        return bool(await transfers.due(connection, limit=1))


NOT_FROM_FACTS = copies.KEPT
OWN_WAYS = OwnWays(tables=copies.COMPARED_HERE, settle=settle, compare=copies.compare, take_over=copies.take_over)
