"""A statement's arguments are columns by position: their order is that of the rows they are made from."""

import re

from services.flagging.store.changes_sql import SHARE
from services.flagging.store.judge_sql import JUDGE
from services.flagging.store.marks_sql import APPLY_MARKS, APPLY_MARKS_OF_UPLOADS
from services.flagging.store.school_sql import APPLY_CALENDARS, APPLY_ROLLS, REBUILD, RECORD_ROLLS
from services.flagging.store.writes import Candidate, SchoolYear, StudentYear


def taken(statement: str, first: int) -> tuple[str, ...]:
    """Name the columns that a statement makes of its arguments from `$first` on, in the order of the arguments."""
    found = re.search(rf"unnest\(\${first}::[^)]*\)\s*AS \w+ \(([^)]*)\)", statement)
    assert found is not None
    return tuple(found[1].split(", "))


def test_a_statement_takes_the_fields_of_its_rows_in_their_order() -> None:
    assert taken(REBUILD, 1) == StudentYear._fields
    assert taken(REBUILD, 5) == SchoolYear._fields
    assert taken(SHARE, 1) == taken(JUDGE, 1) == Candidate._fields[:2]
    assert taken(RECORD_ROLLS, 1) == ("lane", "district", "school", "school_day", "feed")
    assert taken(APPLY_ROLLS, 1) == taken(RECORD_ROLLS, 1)[:4]
    assert taken(APPLY_CALENDARS, 1) == (
        "lane", "district", "school", "school_year", "source_version", "feed", "days",
    )  # fmt: skip
    of_marks = ("student_key", "school_day", "place", "category", "source_version", "present_parts", "day_parts")
    assert taken(APPLY_MARKS, 1) == of_marks
    assert taken(APPLY_MARKS_OF_UPLOADS, 1) == (*of_marks, "receipt")


def test_two_arguments_that_changed_places_are_found() -> None:
    swapped = REBUILD.replace(
        "(student_key, district, school, school_year)", "(student_key, school, district, school_year)"
    )
    assert taken(swapped, 1) != StudentYear._fields
