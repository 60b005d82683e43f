"""`leap trace` finds a record that went back, also where very many were told together."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord

from contracts.events.attendance import AttendanceRejected
from deploy.commands.traced import Traces
from tests.delivering import record


def told(**fields: Any) -> ConsumerRecord:
    """A record that went back to Hartford, from the third partition of its log."""
    event = AttendanceRejected.model_validate(
        {
            "event_id": UUID(int=1),
            "event_type": "attendance.rejected.v1",
            "occurred_at": datetime(2026, 10, 20, 15, tzinfo=UTC),
            "district": "hartford",
            "reason": "missing_field",
            "detail": "school: missing",
            "landing_topic": "attendance-in-hartford",
            "landing_partition": 2,
            "landing_offset": 7,
            "original": base64.b64encode(b'{"school": "H01"}'),
            **fields,
        }
    )
    return record("attendance-rejected", 0, 0, event.model_dump_json(exclude_none=True))


def test_each_of_those_that_were_told_together_went_back() -> None:
    traces = Traces("hartford")
    for topic in ("attendance-in-hartford", "attendance-in-danbury"):
        traces._take_return(told(landing_topic=topic, also_offsets=[(9, 11), (20, 20)]))

    assert [(each.partition, each.offset) for each in traces.returned] == [(2, 7), (2, 9), (2, 10), (2, 11), (2, 20)]
    assert {(each.reason, each.occurred_at) for each in traces.returned} == {("missing_field", "2026-10-20T15:00:00Z")}
    words = [each.told for each in traces.returned]
    assert words == [{"school": "H01"}, {}, {}, {}, {}], "of the others nobody kept the words but the landing log"


def test_marks_of_one_roll_went_back_each_by_itself() -> None:
    traces = Traces("hartford")
    traces._take_return(told(reason="wrong_type", detail="marks[2]: category", row=2, also_rows=[(4, 5)]))
    assert [each.offset for each in traces.returned] == [7, 7, 7]
