"""What ingest told of who is forgotten and its restored tables do not know, taken back before it reads on."""

from collections.abc import Sequence
from typing import Annotated, Any

import asyncpg
from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.events.forgetting import said_of
from contracts.topics import FORGOTTEN
from services.ingest.rules.forgetting import Remembered
from services.ingest.store import forgotten
from services.ingest.store.forgotten import Cut
from services.runtime.delivery import forgotten as memory
from services.runtime.delivery.own_words import OwnWords, Topics, events_of
from services.runtime.delivery.transaction import Transaction

_OWN: TypeAdapter[Any] = TypeAdapter(Annotated[events.Forgetting, Field(discriminator="event_type")])


async def unknown(connection: asyncpg.Connection, records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
    """Give the records of which the tables know less."""
    read = events_of(_OWN, records)
    keys = {said.key for _, event in read if (said := said_of(event)) is not None}
    known = await forgotten.versions(connection, keys)
    cuts = await forgotten.cuts(connection)
    ended = await memory.ended(connection)

    def is_known(event: Any) -> bool:
        if event.district in ended:
            return True
        if isinstance(event, events.LandingCut):
            cut = cuts.get((event.topic, event.partition))
            return cut is not None and (cut.log, cut.before) >= (event.log, event.before)
        if (told := said_of(event)) is None:
            return False
        has = known.get((told.kind, told.key), Remembered())
        return has.version >= told.version and has.again >= told.again

    return [record for record, event in read if not is_known(event)]


async def take_back(tx: Transaction, topics: Topics) -> dict[str, int]:
    """Remember again who is forgotten, where logs were cut and whose contract is over."""
    somebody = elsewhere = 0
    async for records in topics.read(OWN.topics):
        for _, event in events_of(_OWN, await unknown(tx.connection, records)):
            if (said := said_of(event)) is not None:
                await memory.keep(tx.connection, [memory.Word(*said)])
                somebody += 1
            elif isinstance(event, events.LandingCut):
                await forgotten.keep_cut(tx.connection, Cut(event.topic, event.partition, event.log, event.before))
                elsewhere += 1
            else:
                await memory.end(tx.connection, [(event.district, event.occurred_at)])
                elsewhere += 1
    return {"forgotten on request": somebody, "cuts and ended districts": elsewhere}


OWN = OwnWords(topics=(FORGOTTEN,), unknown=unknown, take_back=take_back)
