"""Builders for the events from the flag to the log, and a small world that delivers them as Kafka would."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from aiokafka import ConsumerRecord

from contracts import events
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service
from services.runtime.web.people import People
from tests.delivering import deliver, record, served
from tests.people import headers
from tests.zones import HERE

MORNING = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
DISTRICT = "hartford"


def student(number: int) -> UUID:
    return UUID(int=0x0A << 120 | number)


def household(number: int) -> UUID:
    return UUID(int=0x0B << 120 | number)


def flag(
    student_number: int,
    *,
    version: int = 1,
    level: str = "chronically_absent",
    household_number: int | None = 1,
    kind: str = "",
    **fields: Any,
) -> events.FlagRaised | events.FlagChanged | events.FlagCleared:
    """A flag; raised at version 1, cleared at level none, else changed, unless `kind` says otherwise."""
    kind = kind or ("cleared" if level == "none" else "raised" if version == 1 else "changed")
    models: dict[str, type[events.FlagRaised | events.FlagChanged | events.FlagCleared]] = {
        "raised": events.FlagRaised,
        "changed": events.FlagChanged,
        "cleared": events.FlagCleared,
    }
    return models[kind].model_validate(
        {
            "event_id": uuid4(),
            "event_type": f"absence-flag.{kind}.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "school": "H01",
            "student_key": student(student_number),
            "household_key": None if household_number is None else household(household_number),
            "grade": "3",
            "school_year": 2026,
            "accumulator": "district",
            "level": level,
            "previous_level": "none",
            "days_absent": 4,
            "days_enrolled": 30,
            "as_of": date(2026, 10, 2),
            "policy_version": 1,
            "version": version,
        }
        | fields
    )


def contact(household_number: int = 1, *, version: int = 1, **fields: Any) -> events.HouseholdContactChanged:
    """How to reach a Spanish-speaking household."""
    return events.HouseholdContactChanged.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "household-contact.changed.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "household_key": household(household_number),
            "contact_name": "Rosa Example",
            "phones": ["+1 860 555 0100"],
            "language": "es",
            "interpreter_needed": True,
            "students": [{"student_key": student(1), "given_name": "Leo", "family_name": "Example"}],
            "source_version": version,
        }
        | fields
    )


def of_visit(model: type[events.Event], **fields: Any) -> events.Event:
    """An event about household 1's request or visit, with what its contract needs beyond `fields`."""
    return model.model_validate(
        {
            "event_id": uuid4(),
            "event_type": model.EVENT_TYPE,
            "occurred_at": MORNING,
            "district": DISTRICT,
            "household_key": household(1),
            "request_id": UUID(int=0x0C << 120 | 1),
            "visit_id": UUID(int=0x0D << 120 | 1),
            "log_id": UUID(int=0x0E << 120 | 1),
            "version": 1,
            "school": "H01",
            "students": [
                {
                    "student_key": student(1),
                    "school": "H01",
                    "level": "at_risk",
                    "days_absent": 2,
                    "days_enrolled": 20,
                }
            ],
            "starts_at": MORNING + timedelta(days=1),
            "started_at": MORNING,
            "ended_at": MORNING + timedelta(minutes=40),
            "place": "home",
            "pair": ["ana", "ben"],
            "outcome": "took_place" if model is events.VisitCompleted else "family_not_home",
        }
        | fields
    )


class World:
    """One service on a real database: what Kafka brings, what people ask, what is published."""

    zone = HERE

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        service: Service,
        people: People | None = None,
        acting: str = "ana",
        zone: ZoneInfo = HERE,
    ) -> None:
        self.pool = pool
        self.zone = zone
        self.subscription: Subscription = service.subscriptions[0]
        self._offsets: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)
        self._app = served(service, pool, people, zone=zone)
        self.http = self.acting_as(acting)

    def acting_as(self, name: str) -> httpx.AsyncClient:
        """A program that acts for the person."""
        # A failure that the application answers with 500 must reach the test as that answer.
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers(name))

    def record(
        self, topic: str, value: events.Event | bytes | None, key: str | None = None, **about: Any
    ) -> ConsumerRecord:
        """The topic's next record; `about` is what else the broker knows of it."""
        payload = value.model_dump_json() if isinstance(value, events.Event) else value
        return record(topic, 0, next(self._offsets[topic]), payload, key=key, **about)

    async def deliver(self, topic: str, *happened: events.Event | bytes) -> None:
        """All of them as one batch."""
        await self.deliver_records([self.record(topic, event) for event in happened])

    async def deliver_records(self, records: Sequence[ConsumerRecord]) -> None:
        await deliver(self.pool, self.subscription, records, zone=self.zone)

    async def published(self) -> list[str]:
        """The types of the events in the outbox, in the order in which they will go out."""
        return [row["event_type"] for row in await self.pool.fetch("SELECT event_type FROM outbox ORDER BY id")]

    async def payloads(self) -> str:
        """Everything that will be published, as one text."""
        return "\n".join(row["payload"] for row in await self.pool.fetch("SELECT payload FROM outbox ORDER BY id"))
