"""What the numbers mean."""

from datetime import UTC, datetime
from uuid import UUID

from services.reporting.measures import funnel_of, household_of


def test_the_total_is_the_sum_of_the_districts() -> None:
    as_of = datetime(2026, 10, 5, 16, 0, tzinfo=UTC)
    steps = {"flagged": 5, "requested": 4, "agreed": 3, "visited": 2, "declined": 1}
    funnel = funnel_of([{"district": "hartford", **steps}, {"district": "windham", **steps}], as_of=as_of)

    assert [line["district"] for line in funnel["districts"]] == ["hartford", "windham"]
    assert funnel["total"] == {step: 2 * count for step, count in steps.items()}
    assert funnel["as_of"] == as_of


def test_before_any_event_the_funnel_is_empty_not_an_error() -> None:
    funnel = funnel_of([], as_of=None)
    assert funnel["districts"] == []
    assert funnel["total"]["flagged"] == 0


def test_a_student_without_a_household_counts_as_one() -> None:
    student = UUID("0a000000-0000-4000-8000-000000000001")
    assert household_of(student_key=student, household_key=None) == student
