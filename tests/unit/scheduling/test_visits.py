"""The rules between a flag and a visit."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduling.visits import (
    Answer,
    HeldByAnother,
    NotPossible,
    Request,
    Stage,
    StaleVersion,
    VisitState,
    check_appointment,
    check_may_change,
    household_of,
    stage_after_answer,
    stage_after_visit,
)

NOON = datetime(2026, 10, 5, 16, 0, tzinfo=UTC)
STUDENT = UUID("0a000000-0000-4000-8000-000000000001")
HOUSEHOLD = UUID("0b000000-0000-4000-8000-000000000001")
OPEN_STAGES = [stage for stage in Stage if stage is not Stage.CLOSED]


def a_request(*, claimed_by: str | None = None, claimed_until: datetime | None = None, version: int = 3) -> Request:
    return Request(
        request_id=STUDENT,
        household_key=HOUSEHOLD,
        district="hartford",
        school="H01",
        stage=Stage.CLAIMED,
        closed_because=None,
        version=version,
        claimed_by=claimed_by,
        claimed_until=claimed_until,
        contact_again_on=None,
        flags_cleared_at=None,
        opened_at=NOON,
    )


def test_siblings_are_one_household_and_a_student_without_one_stands_alone() -> None:
    assert household_of(student_key=STUDENT, household_key=HOUSEHOLD) == HOUSEHOLD
    assert household_of(student_key=STUDENT, household_key=None) == STUDENT


def test_a_running_lease_keeps_others_out_and_names_its_holder() -> None:
    held = a_request(claimed_by="ana", claimed_until=NOON + timedelta(minutes=1))
    with pytest.raises(HeldByAnother, match="ana"):
        check_may_change(request=held, actor="ben", version=3, as_of=NOON)
    check_may_change(request=held, actor="ana", version=3, as_of=NOON)


def test_a_lease_ends_at_its_very_instant() -> None:
    lapsed = a_request(claimed_by="ana", claimed_until=NOON)
    check_may_change(request=lapsed, actor="ben", version=3, as_of=NOON)


@given(version=st.integers(1, 10))
def test_only_the_version_read_may_be_changed(version: int) -> None:
    if version == 3:
        check_may_change(request=a_request(), actor="ana", version=version, as_of=NOON)
    else:
        with pytest.raises(StaleVersion, match="version 3"):
            check_may_change(request=a_request(), actor="ana", version=version, as_of=NOON)


@given(stage=st.sampled_from(OPEN_STAGES))
def test_a_family_may_decline_at_every_open_stage(stage: Stage) -> None:
    assert stage_after_answer(stage=stage, answer=Answer.DECLINED) is Stage.CLOSED


@given(answer=st.sampled_from(list(Answer)))
def test_a_closed_request_takes_no_answer(answer: Answer) -> None:
    with pytest.raises(NotPossible):
        stage_after_answer(stage=Stage.CLOSED, answer=answer)


def test_not_reached_takes_no_consent_away() -> None:
    assert stage_after_answer(stage=Stage.AGREED, answer=Answer.NOT_REACHED) is Stage.AGREED
    assert stage_after_answer(stage=Stage.CLAIMED, answer=Answer.NOT_REACHED) is Stage.CONTACTING


@pytest.mark.parametrize("stage", [Stage.NEW, Stage.CLAIMED, Stage.CONTACTING, Stage.CLOSED])
def test_no_visit_without_consent(stage: Stage) -> None:
    with pytest.raises(NotPossible, match="consent"):
        check_appointment(stage=stage, starts_at=NOON + timedelta(days=1), pair=("ana", "ben"), as_of=NOON)


@given(seconds=st.integers(-100_000, 100_000))
def test_a_visit_is_agreed_in_advance(seconds: int) -> None:
    starts_at = NOON + timedelta(seconds=seconds)
    if seconds > 0:
        check_appointment(stage=Stage.AGREED, starts_at=starts_at, pair=("ana", "ben"), as_of=NOON)
    else:
        with pytest.raises(NotPossible, match="future"):
            check_appointment(stage=Stage.AGREED, starts_at=starts_at, pair=("ana", "ben"), as_of=NOON)


@given(pair=st.lists(st.sampled_from(["ana", "ben", "cem"]), max_size=4))
def test_a_pair_is_exactly_two_different_people(pair: list[str]) -> None:
    tomorrow = NOON + timedelta(days=1)
    if len(pair) == 2 and len(set(pair)) == 2:
        check_appointment(stage=Stage.AGREED, starts_at=tomorrow, pair=pair, as_of=NOON)
    else:
        with pytest.raises(NotPossible, match="two different"):
            check_appointment(stage=Stage.AGREED, starts_at=tomorrow, pair=pair, as_of=NOON)


def test_an_attempt_leads_to_a_new_date_and_a_decline_at_the_door_back_to_the_family() -> None:
    assert stage_after_visit(state=VisitState.COMPLETED, declined_today=False) is Stage.VISITED
    assert stage_after_visit(state=VisitState.ATTEMPTED, declined_today=False) is Stage.AGREED
    assert stage_after_visit(state=VisitState.ATTEMPTED, declined_today=True) is Stage.CONTACTING
