"""`leap trace` finds a record that went back, also where very many were told together."""

import json

from deploy.commands.traced import Traces
from tests.delivering import record


def test_each_of_those_that_were_told_together_went_back() -> None:
    traces = Traces("hartford")
    told = {
        "occurred_at": "2026-09-01T16:00:00.000Z",
        "landing_topic": "attendance-in-hartford",
        "landing_partition": 0,
        "landing_offset": 7,
        "reason": "missing_field",
        "detail": "school: missing",
        "original": "eyJzY2hvb2wiOiAiSDAxIn0=",
        "also_offsets": [[9, 11], [20, 20]],
    }
    for back in (told, {**told, "landing_topic": "attendance-in-danbury"}):
        traces._take_return(record("attendance-rejected", 0, 0, json.dumps(back)))

    assert [each.offset for each in traces.returned] == [7, 9, 10, 11, 20]
    assert {each.reason for each in traces.returned} == {"missing_field"}
    assert [each.told for each in traces.returned][1:] == [{}] * 4, "whose words nobody kept but the landing log"


def test_marks_of_one_roll_went_back_each_by_itself() -> None:
    traces = Traces("hartford")
    told = {
        "occurred_at": "2026-09-01T16:00:00.000Z",
        "landing_topic": "attendance-in-hartford",
        "landing_partition": 0,
        "landing_offset": 7,
        "reason": "wrong_type",
        "detail": "marks[2]: category: not one of ours",
        "original": "WyIxIl0=",
        "row": 2,
        "also_rows": [[4, 5]],
    }
    traces._take_return(record("attendance-rejected", 0, 0, json.dumps(told)))
    assert [each.offset for each in traces.returned] == [7, 7, 7]
