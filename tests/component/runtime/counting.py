"""The service the runtime is tested with. `python -m ... TOPIC` or `... --pattern PATTERN` runs it as a process."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
from aiokafka import ConsumerRecord
from fastapi import APIRouter

from contracts.access import Access, Role, Scope
from services.runtime.delivery.subscription import Delivery, Subscription, Undecodable
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context, Service, run

MIGRATIONS = Path(os.environ.get("COUNTING_MIGRATIONS", Path(__file__).parent / "migrations"))
GROUP = os.environ.get("COUNTING_GROUP", "counting")
COUNTED = os.environ.get("COUNTED_TOPIC", "counted")
MAX_RECORDS = int(os.environ.get("COUNTING_MAX_RECORDS", "5000"))
_stumbled: list[bool] = []
_NAMESPACE = UUID("6f0c2a1e-7a35-4c1c-9d35-0e2a6b6ad001")


@dataclass(frozen=True)
class Counted:
    """Says that a record was counted."""

    name: str
    record: str

    @property
    def event_id(self) -> UUID:
        return uuid5(_NAMESPACE, self.record)

    @property
    def event_type(self) -> str:
        return "counted.v1"

    def model_dump_json(self) -> str:
        return msgspec.json.encode({"name": self.name, "record": self.record}).decode()


def decode(record: ConsumerRecord) -> Any:
    """Read {"name": ..., "by": ...}."""
    try:
        value = msgspec.json.decode(record.value or b"")
    except ValueError:
        raise Undecodable("not_json", f"{len(record.value or b'')} bytes") from None
    return value["name"], value["by"]


async def count(transaction: Transaction, deliveries: list[Delivery]) -> None:
    """Add up, deliberately so that doing it twice counts twice."""
    if deliveries[0].event[0] == "stumble" and not _stumbled:
        _stumbled.append(True)
        raise ConnectionResetError
    for record, (name, by) in deliveries:
        if name == "freeze" and "COUNTING_FREEZES" in os.environ:
            # Inside the transaction, with the position locked: the worst moment to be suspended.
            os.kill(os.getpid(), signal.SIGSTOP)
        await transaction.connection.execute(
            "INSERT INTO tally AS t VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET total = t.total + $2", name, by
        )
        if "COUNTING_QUIETLY" not in os.environ:
            transaction.emit(
                topic=COUNTED, key=name, event=Counted(name, f"{record.topic}/{record.partition}/{record.offset}")
            )


def subscription(*topics: str, pattern: str | None = None, **changes: Any) -> Subscription:
    """Make the subscription of the counting service."""
    return Subscription(
        **{
            "group": GROUP,
            "decode": decode,
            "handle": count,
            "max_records": MAX_RECORDS,
            "topics": topics,
            "pattern": pattern,
            **changes,
        }
    )


ACCESS: Access = {"POST /v1/counts/{name}": {Role.ANYBODY: Scope.NOTHING}}


def _routes(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.post("/counts/{name}")
    async def add(name: str) -> int:
        async with context.begin() as transaction:
            transaction.emit(topic=COUNTED, key=name, event=Counted(name, "http"))
            total: int = await transaction.connection.fetchval(
                "INSERT INTO tally AS t VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET total = t.total + 1 "
                "RETURNING total",
                name,
            )
        return total

    return router


if __name__ == "__main__":
    chosen = subscription(pattern=sys.argv[2]) if sys.argv[1] == "--pattern" else subscription(sys.argv[1])
    sys.exit(
        run(Service(name="counting", migrations=MIGRATIONS, subscriptions=(chosen,), routes=_routes, access=ACCESS))
    )
