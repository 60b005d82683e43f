"""Ingest encodes by hand, for speed. What it publishes is nonetheless what the contracts say, byte for byte read."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.events import Event
from contracts.generate import CLOUD_EVENT_HEADERS, concrete_events, schema_of
from contracts.topics import HOUSEHOLD_CONTACTS, TOPIC_BY_NAME
from services.ingest.handlers import contacts
from tests.unit.ingest.landed import enrollment, land, mark

EVENT_BY_TYPE = {event.EVENT_TYPE: event for event in concrete_events()}
RETRACTION = {"type": "retraction", "student": "100234", "school": "H01", "date": "2026-09-01", "version": 2}
ROLL = {"type": "roll_completed", "school": "H01", "date": "2026-09-01", "feed": "exceptions"}
CALENDAR = {
    "type": "calendar", "school": "H01", "school_year": 2026, "feed": "full",
    "school_days": ["2026-08-31", "2026-09-01"], "version": 1,
}  # fmt: skip
HOUSEHOLD = {
    "type": "household", "household": "77", "contact_name": "Wren Madeupton", "phones": ["+1 860 555 0142"],
    "address": "14 Sample Street", "language": "es", "interpreter_needed": True, "version": 1,
    "students": [{"student": "100234", "given_name": "Robin", "family_name": "Madeupton"}],
}  # fmt: skip

REOPENED = {"type": "roll_reopened", "school": "H01", "date": "2026-09-01", "feed": "full", "version": 3}
FEED = {"type": "feed", "feed": "full", "closing": "third_school_day", "rosters": False}
WHOLE_ROLL = {
    "type": "roll", "school": "H01", "date": "2026-09-01", "feed": "full", "complete": True,
    "marks": [["100234", "in_attendance", 7], ["state:9001", "tardy", 8, 193, 387]],
}  # fmt: skip

CASES: list[tuple[str, Any, str, str]] = [
    ("attendance", mark(), "rolls", "roll.recorded.v1"),
    ("attendance", mark(present_parts=193, day_parts=387), "rolls", "roll.recorded.v1"),
    ("attendance", mark(student=None, state_student="9001"), "rolls", "roll.recorded.v1"),
    ("attendance", RETRACTION, "rolls", "roll.recorded.v1"),
    ("attendance", ROLL, "rolls", "roll.recorded.v1"),
    ("attendance", WHOLE_ROLL, "rolls", "roll.recorded.v1"),
    ("attendance", REOPENED, "rolls", "roll.reopened.v1"),
    ("attendance", FEED, "rolls", "feed.declared.v1"),
    ("attendance", {**FEED, "school": "H01"}, "rolls", "feed.declared.v1"),
    ("attendance", b"\xff\xfe\x00", "attendance-rejected", "attendance.rejected.v1"),
    ("attendance", mark(district="danbury"), "attendance-rejected", "attendance.rejected.v1"),
    ("roster", enrollment(), "rosters", "enrollment.changed.v1"),
    ("roster", enrollment(household="77", exit_date="2026-10-30"), "rosters", "enrollment.changed.v1"),
    ("roster", enrollment(state_student="9001", track="seniors"), "rosters", "enrollment.changed.v1"),
    ("roster", {**CALENDAR, "track": "seniors"}, "calendars", "school-calendar.changed.v1"),
    ("roster", CALENDAR, "calendars", "school-calendar.changed.v1"),
]


@pytest.mark.parametrize(("kind", "landed", "topic", "event_type"), CASES, ids=lambda part: str(part)[:40])
def test_what_ingest_publishes_is_the_contracts_event(kind: str, landed: Any, topic: str, event_type: str) -> None:
    outgoing = land(landed, topic=f"{kind}-in-hartford").outgoing
    messages = {name: [m for part in parts.values() for m in part] for name, parts in outgoing.items()}

    assert {name for name, sent in messages.items() if sent} == {topic}
    assert EVENT_BY_TYPE[event_type] in TOPIC_BY_NAME[topic].events
    for key, value, headers in messages[topic]:
        event = read(value, event_type)
        said = {name: content.decode() for name, content in headers}
        Draft202012Validator(CLOUD_EVENT_HEADERS).validate(said)
        assert (said["ce_id"], said["ce_type"]) == (str(event.event_id), event_type)
        assert b"100234" not in (key or b"")
        assert topic == "attendance-rejected" or "100234" not in value.decode()


def test_contact_data_that_waits_for_the_commit_is_the_contracts_event() -> None:
    batch = land(HOUSEHOLD, topic="roster-in-hartford")
    assert not any(messages for lanes in batch.outgoing.values() for messages in lanes.values())
    [landed] = batch.batch.take_contacts()
    told = contacts.written(landed)

    event = read(told.model_dump_json(), "household-contact.changed.v1")
    assert type(event) in TOPIC_BY_NAME[HOUSEHOLD_CONTACTS].events
    assert (told.event_id, told.event_type) == (event.event_id, event.event_type)
    assert "100234" not in told.model_dump_json()


def read(value: bytes | str, event_type: str) -> Event:
    """Read an event as its readers do, and make sure that it is the same JSON when they write it."""
    written = json.loads(value)
    event = EVENT_BY_TYPE[event_type].model_validate_json(value)
    Draft202012Validator(schema_of(type(event))).validate(written)
    assert written["occurred_at"].endswith("Z")
    again = json.loads(event.model_dump_json(exclude_unset=True))
    # Milliseconds are spelt out even where there are none; all else is the same JSON.
    assert again | {"occurred_at": written["occurred_at"]} == written
    return event
