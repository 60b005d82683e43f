"""What the reports do when figures of somebody are to be erased, or a contract ends. Names they never had."""

from collections.abc import Sequence

from contracts import events
from contracts.events.forgetting import said_of
from services.reporting.store import forgetting as store
from services.runtime import forgotten as memory
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context


async def on_forgetting(tx: Transaction, said: Sequence[events.Forgetting]) -> None:
    """Remember who is forgotten, and let go figures that are to be erased.

    What was published stays word for word: no cell of it is of fewer than six.
    """
    words = [memory.Word(*each) for event in said if (each := said_of(event)) is not None]
    await memory.keep(tx.connection, words)
    ended = [(each.district, each.occurred_at) for each in said if isinstance(each, events.DistrictEnded)]
    if ended:
        await memory.end(tx.connection, ended)
    if words or ended:
        await _sweep(tx)


async def keep_forgotten(context: Context) -> None:
    """Sweep again."""
    async with context.begin() as tx:
        await _sweep(tx)


async def _sweep(tx: Transaction) -> None:
    await store.erase_figures(tx.connection)
    if ended := await memory.ended(tx.connection):
        await store.erase_districts(tx.connection, ended)
