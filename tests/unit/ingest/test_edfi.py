"""An Ed-Fi file becomes the records a district would have sent: calendars, enrolments, marks, completed rolls."""

import json
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.ingest.formats import edfi
from tests.unit.ingest.landed import land, rejections

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "edfi_sample"
SESSION = {
    "SchoolId": "255901001",
    "SchoolYear": "2021-2022",
    "SessionName": "Fall",
    "BeginDate": "2021-08-23",
    "EndDate": "2021-09-03",
    "TotalInstructionalDays": "9",
}
HEADER = "studentUniqueId,schoolId,schoolYear,sessionName,eventDate,category,reason,eventDuration"


def _files(folder: Path, rows: str | list[dict[str, Any]], sessions: Any = None) -> tuple[Path, Path]:
    events_file, sessions_file = folder / "events", folder / "sessions.json"
    events_file.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    sessions_file.write_text(json.dumps({"sessions": [SESSION]} if sessions is None else sessions))
    return events_file, sessions_file


def _records(folder: Path, rows: str | list[dict[str, Any]], sessions: Any = None) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in edfi.landing_records(*_files(folder, rows, sessions))]


def test_a_file_becomes_calendar_enrolment_marks_and_rolls(tmp_path: Path) -> None:
    rows = f"{HEADER}\n604822,255901001,2021-2022,Fall,2021-08-31,Excused Absence,sick,1\n"
    records = _records(tmp_path, rows)

    assert [record["type"] for record in records] == ["calendar", "enrollment", "mark"] + ["roll_completed"] * 9
    assert records[1]["entry_date"] == "2021-08-23"
    assert records[2] == {
        "type": "mark",
        "student": "604822",
        "school": "255901001",
        "date": "2021-08-31",
        "category": "excused_absence",
        "version": 1,
        "present_parts": 0,
        "day_parts": 1,
    }
    assert [record["date"] for record in records[3:]] == records[0]["school_days"]


def test_days_with_events_are_school_days_before_any_other_weekday(tmp_path: Path) -> None:
    rows = f"{HEADER}\n1,255901001,2021-2022,Fall,2021-09-03,Tardy,,\n"
    calendar = _records(tmp_path, rows)[0]
    assert len(calendar["school_days"]) == 9
    assert "2021-09-03" in calendar["school_days"]
    assert "2021-09-02" not in calendar["school_days"]


def test_the_api_s_json_says_the_same_as_the_csv(tmp_path: Path) -> None:
    event = {
        "schoolReference": {"schoolId": 255901001},
        "sessionReference": {"schoolId": 255901001, "schoolYear": 2022, "sessionName": "Fall"},
        "studentReference": {"studentUniqueId": "604822"},
        "attendanceEventCategoryDescriptor": "uri://ed-fi.org/AttendanceEventCategoryDescriptor#Excused Absence",
        "eventDate": "2021-08-31",
        "eventDuration": 1.0,
    }
    session = {
        "schoolReference": {"schoolId": 255901001},
        "sessionName": "Fall",
        "beginDate": "2021-08-23",
        "endDate": "2021-09-03",
        "totalInstructionalDays": 9,
    }
    rows = f"{HEADER}\n604822,255901001,2021-2022,Fall,2021-08-31,Excused Absence,sick,1\n"
    assert _records(tmp_path, [event], [session]) == _records(tmp_path, rows)


def test_half_a_day_missed_is_half_a_day_attended(tmp_path: Path) -> None:
    rows = f"{HEADER}\n1,255901001,2021-2022,Fall,2021-08-31,Unexcused Absence,,0.5\n"
    [mark] = [record for record in _records(tmp_path, rows) if record["type"] == "mark"]
    assert (mark["present_parts"], mark["day_parts"]) == (1, 2)


def test_an_absence_stands_over_a_partial_day_of_the_same_date(tmp_path: Path) -> None:
    rows = (
        f"{HEADER}\n1,255901001,2021-2022,Fall,2021-08-31,Excused Absence,,1\n"
        "1,255901001,2021-2022,Fall,2021-08-31,Partial,,\n"
    )
    marks = [record for record in _records(tmp_path, rows) if record["type"] == "mark"]
    assert max(marks, key=lambda mark: int(mark["version"]))["category"] == "excused_absence"


def test_an_event_modified_later_has_the_larger_version(tmp_path: Path) -> None:
    event = {
        "schoolReference": {"schoolId": 255901001},
        "studentReference": {"studentUniqueId": "1"},
        "attendanceEventCategoryDescriptor": "Tardy",
        "eventDate": "2021-08-31",
        "_lastModifiedDate": "2021-09-01T12:00:00Z",
    }
    records = _records(tmp_path, [event, {**event, "_lastModifiedDate": "2021-09-01T12:00:00.5Z"}])
    first, second = [record["version"] for record in records if record["type"] == "mark"]
    assert (first, second - first) == (1_630_497_600_000_000, 500_000)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,255901001,2021-2022,Fall,2021-08-31,Asleep,,1", "row 2: the category 'Asleep' has no translation"),
        ("1,255901001,2021-2022,Fall,2021-02-30,Tardy,,", "row 2: eventDate is not a date"),
        ("1,255901001,2021-2022,Fall,2021-08-31,Excused Absence,,7", "row 2: eventDuration must be a share"),
        (",255901001,2021-2022,Fall,2021-08-31,Tardy,,", "row 2: studentUniqueId and schoolId"),
        ("1,99,2021-2022,Fall,2021-08-31,Tardy,,", "school 99 has events and no session"),
    ],
)
def test_a_file_that_cannot_be_carried_is_refused_before_its_first_record(
    tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(edfi.EdFiRefused, match=message):
        next(edfi.landing_records(*_files(tmp_path, f"{HEADER}\n{row}\n")))


def test_the_sample_district_lands_whole() -> None:
    if not SAMPLE.is_dir():
        pytest.skip("not proved here: the public Ed-Fi sample is not beside this checkout")
    events_file = SAMPLE / "student_school_attendance_events_2021-2022.csv"
    records = list(edfi.landing_records(events_file, SAMPLE / "sessions_2021-2022.json"))

    batch = land(*(value for _, value in records))
    assert rejections(batch) == []
    kinds = Counter(json.loads(value)["type"] for _, value in records)
    assert kinds == {"calendar": 3, "enrollment": 227, "mark": 1917, "roll_completed": 3 * (81 + 88)}
    calendars = [json.loads(value) for kind, value in records if kind == "roster" and b'"calendar"' in value]
    for calendar in calendars:
        days = [date.fromisoformat(day) for day in calendar["school_days"]]
        assert all(day.weekday() < 5 for day in days)
        assert max(b - a for a, b in pairwise(days)) < timedelta(days=20)
