"""The door goes by the feed that stands, and not by whoever spoke last (DOMAIN 9.1, 9.5)."""

from typing import Any

import pytest

from tests.component.ingest.test_contacts_in_order import ROSTER
from tests.component.ingest.test_rolls_land import CALENDAR, TOMORROW, Landing
from tests.conftest import ServiceDatabase
from tests.unit.ingest.landed import completed, mark

LANDING = "attendance-in-hartford"
EXCEPTIONS = {"type": "feed", "feed": "exceptions"}
FULL_CALENDAR = CALENDAR | {"school_days": ["2026-09-01", "2026-09-02"]}


@pytest.mark.parametrize(
    "told",
    [
        [(ROSTER, FULL_CALENDAR), (LANDING, EXCEPTIONS)],
        [(LANDING, EXCEPTIONS | {"school": "H01"}), (ROSTER, FULL_CALENDAR)],
        [(LANDING, EXCEPTIONS | {"version": 9}), (LANDING, {"type": "feed", "feed": "full", "version": 1})],
        [(ROSTER, FULL_CALENDAR | {"version": 2, "feed": "exceptions"}), (ROSTER, FULL_CALENDAR)],
        [(LANDING, EXCEPTIONS | {"school": "H01"}), (LANDING, completed(feed="full"))],
    ],
    ids=["district over calendar", "school over calendar", "old declaration again", "old calendar again", "one roll"],
)
async def test_an_absence_to_come_is_taken_where_exceptions_stand(
    service_database: ServiceDatabase, told: list[tuple[str, dict[str, Any]]]
) -> None:
    landing = Landing(await service_database("ingest"))
    for topic, value in told:
        await landing.land(value, topic=topic)
    await landing.land(mark(date=TOMORROW))
    assert landing.returned() == []
