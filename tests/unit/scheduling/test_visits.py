"""The rules between a flag and a visit."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduling.rules.visits import (
    AHEAD,
    Answer,
    ClosingReason,
    HeldByAnother,
    NotPossible,
    PromiseDue,
    Request,
    Stage,
    StaleVersion,
    VisitState,
    What,
    check_contact_again,
    check_may_change,
    check_may_close,
    check_may_reopen,
    check_may_undo,
    check_not_reached,
    check_open,
    on_promise_due,
    part_of_day,
    stage_after_answer,
    stage_after_undo,
    stage_after_visit,
    stage_on_follow_up_day,
)
from tests.zones import HERE

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


def test_a_running_lease_keeps_others_out_and_names_its_holder() -> None:
    held = a_request(claimed_by="ana", claimed_until=NOON + timedelta(minutes=1))
    with pytest.raises(HeldByAnother, match="ana"):
        check_may_change(request=held, actor="ben", version=3, as_of=NOON, zone=HERE)
    check_may_change(request=held, actor="ana", version=3, as_of=NOON, zone=HERE)


def test_a_lease_ends_at_its_very_instant() -> None:
    lapsed = a_request(claimed_by="ana", claimed_until=NOON)
    check_may_change(request=lapsed, actor="ben", version=3, as_of=NOON, zone=HERE)


@given(version=st.integers(1, 10))
def test_only_the_version_read_may_be_changed(version: int) -> None:
    if version == 3:
        check_may_change(request=a_request(), actor="ana", version=version, as_of=NOON, zone=HERE)
    else:
        with pytest.raises(StaleVersion, match="version 3"):
            check_may_change(request=a_request(), actor="ana", version=version, as_of=NOON, zone=HERE)


@given(stage=st.sampled_from(OPEN_STAGES))
def test_a_family_may_decline_at_every_open_stage(stage: Stage) -> None:
    assert stage_after_answer(stage=stage, answer=Answer.DECLINED) is Stage.CLOSED


def test_a_closed_request_takes_no_answer() -> None:
    with pytest.raises(NotPossible, match="reopened"):
        check_open(replace(a_request(), stage=Stage.CLOSED))
    check_open(a_request())


@given(stage=st.sampled_from(OPEN_STAGES), answer=st.sampled_from(list(Answer)))
def test_no_answer_but_a_new_agreement_moves_a_visit_that_lies_ahead(stage: Stage, answer: Answer) -> None:
    after = stage_after_answer(stage=stage, answer=answer)
    if stage in AHEAD:
        assert after is (Stage.CLOSED if answer in (Answer.DECLINED, Answer.MOVED) else stage)
    else:
        assert after in (Stage.CLOSED, Stage.AGREED, Stage.CONTACTING, stage)
        assert after is not Stage.AGREED or answer in (Answer.AGREED, Answer.COMMUNITY) or stage is Stage.AGREED


def test_not_reached_takes_no_consent_away() -> None:
    assert stage_after_answer(stage=Stage.AGREED, answer=Answer.NOT_REACHED) is Stage.AGREED
    assert stage_after_answer(stage=Stage.CLAIMED, answer=Answer.NOT_REACHED) is Stage.CONTACTING


MORNING = datetime(2026, 10, 5, 13, 0, tzinfo=UTC)  # nine o'clock here
ONE_DAY = timedelta(days=1)
TODAY = date(2026, 10, 5)


def test_three_tries_on_two_days_at_two_times_of_day_are_enough() -> None:
    check_not_reached(tries=[MORNING, MORNING + ONE_DAY, MORNING + timedelta(hours=5)], tries_needed=3, zone=HERE)


@pytest.mark.parametrize(
    ("tries", "code"),
    [
        ([], "tries_missing"),
        ([MORNING, MORNING + timedelta(days=1, hours=9)], "tries_missing"),
        ([MORNING, MORNING + timedelta(hours=4), MORNING + timedelta(hours=9)], "tries_same_day"),
        ([MORNING, MORNING + ONE_DAY, MORNING + 2 * ONE_DAY], "tries_same_hours"),
    ],
)
def test_fewer_tries_or_tries_alike_are_not(tries: list[datetime], code: str) -> None:
    with pytest.raises(NotPossible) as refused:
        check_not_reached(tries=tries, tries_needed=3, zone=HERE)
    assert refused.value.code == code


@given(
    hours=st.lists(st.integers(0, 24 * 20), max_size=8),
    needed=st.integers(3, 6),
)
def test_not_reached_holds_exactly_when_tries_are_enough_and_varied(hours: list[int], needed: int) -> None:
    tries = [MORNING + timedelta(hours=each) for each in hours]
    days = {each.astimezone(HERE).date() for each in tries}
    varied = len(tries) >= needed and len(days) >= 2 and len({part_of_day(each, zone=HERE) for each in tries}) >= 2
    if varied:
        check_not_reached(tries=tries, tries_needed=needed, zone=HERE)
    else:
        with pytest.raises(NotPossible):
            check_not_reached(tries=tries, tries_needed=needed, zone=HERE)


@pytest.mark.parametrize(
    ("hour", "part"), [(0, "morning"), (11, "morning"), (12, "afternoon"), (16, "afternoon"), (17, "evening")]
)
def test_the_parts_of_the_day_are_the_familys(hour: int, part: str) -> None:
    assert part_of_day(datetime(2026, 10, 5, hour, 59, tzinfo=HERE), zone=HERE) == part


def test_later_needs_a_day_ahead_and_nothing_else_has_one() -> None:
    check_contact_again(answer=Answer.LATER, contact_again_on=TODAY + ONE_DAY, today=TODAY)
    check_contact_again(answer=Answer.AGREED, contact_again_on=None, today=TODAY)
    for answer, day in (
        (Answer.LATER, None),
        (Answer.LATER, TODAY),
        (Answer.LATER, TODAY + timedelta(days=367)),
        (Answer.AGREED, TODAY + ONE_DAY),
    ):
        with pytest.raises(NotPossible):
            check_contact_again(answer=answer, contact_again_on=day, today=TODAY)


def test_a_request_closes_for_a_reason_that_holds() -> None:
    def close(because: ClosingReason, stage: Stage = Stage.CONTACTING, flags_stand: bool = True) -> None:
        request = replace(a_request(), stage=stage)
        check_may_close(request=request, because=because, tries=[], tries_needed=3, flags_stand=flags_stand, zone=HERE)

    close(ClosingReason.MOVED)
    close(ClosingReason.GOAL_MET)
    close(ClosingReason.NO_LONGER_FLAGGED, flags_stand=False)
    for because, stage in (
        (ClosingReason.NO_LONGER_FLAGGED, Stage.CONTACTING),
        (ClosingReason.DECLINED, Stage.CONTACTING),
        (ClosingReason.NOT_REACHED, Stage.CONTACTING),
        (ClosingReason.NOT_REACHED, Stage.AGREED),
        (ClosingReason.MOVED, Stage.CLOSED),
    ):
        with pytest.raises(NotPossible):
            close(because, stage)


def test_only_family_or_coordinator_reopen_and_only_what_is_closed() -> None:
    closed = replace(a_request(), stage=Stage.CLOSED)
    check_may_reopen(request=closed, wished_by="family", role="scheduler")
    check_may_reopen(request=closed, wished_by="coordinator", role="coordinator")
    with pytest.raises(NotPossible, match="coordinator"):
        check_may_reopen(request=closed, wished_by="coordinator", role="scheduler")
    with pytest.raises(NotPossible, match="open"):
        check_may_reopen(request=a_request(), wished_by="family", role="scheduler")


def test_an_attempt_leads_to_a_new_date_and_a_decline_at_the_door_back_to_the_family() -> None:
    assert stage_after_visit(state=VisitState.COMPLETED, declined_today=False) is Stage.LOGGED
    assert stage_after_visit(state=VisitState.ATTEMPTED, declined_today=False) is Stage.AGREED
    assert stage_after_visit(state=VisitState.ATTEMPTED, declined_today=True) is Stage.CONTACTING


def test_follow_ups_go_on_while_a_flag_or_a_promise_stands() -> None:
    assert stage_on_follow_up_day(promised=False, flagged=True) is Stage.CONTACTING
    assert stage_on_follow_up_day(promised=True, flagged=False) is Stage.CONTACTING
    assert stage_on_follow_up_day(promised=False, flagged=False) is Stage.CLOSED


@given(stage=st.sampled_from(list(Stage)), days=st.integers(-3, 3) | st.none())
def test_a_promise_is_kept_unless_the_family_declined_since(stage: Stage, days: int | None) -> None:
    until = None if days is None else TODAY + timedelta(days=days)
    due = on_promise_due(request=replace(a_request(), stage=stage, respected_until=until), today=TODAY)
    if stage is Stage.CLOSED:
        assert due is (PromiseDue.DROPPED if days is not None and days > 0 else PromiseDue.OPENED)
    else:
        assert due is (PromiseDue.KEPT if stage in {Stage.AGREED, *AHEAD} else PromiseDue.RETURNS)
    assert on_promise_due(request=None, today=TODAY) is PromiseDue.DROPPED


@given(what=st.sampled_from(list(What)), mine=st.booleans(), minutes=st.integers(0, 60))
def test_only_ones_own_last_change_can_be_undone_and_only_soon(what: What, mine: bool, minutes: int) -> None:
    def ask() -> None:
        check_may_undo(
            what=what,
            actor="ana" if mine else "ben",
            person="ana",
            at=NOON - timedelta(minutes=minutes),
            undo_minutes=15,
            as_of=NOON,
        )

    undoable = {What.CLAIMED, What.TAKEN_OVER, What.RELEASED, What.CONTACTED, What.CLOSED, What.REOPENED}
    if mine and minutes <= 15 and what in undoable:
        ask()
    else:
        with pytest.raises(NotPossible):
            ask()


def test_an_undone_decline_does_not_bring_a_cancelled_visit_back() -> None:
    assert stage_after_undo(former=Stage.CONFIRMED, answer_cancelled_visit=True) is Stage.AGREED
    assert stage_after_undo(former=Stage.CONTACTING, answer_cancelled_visit=False) is Stage.CONTACTING


def test_a_refusal_says_its_values_in_english_and_keeps_the_sentence_for_translation() -> None:
    refusal = NotPossible("tries_missing", "%(tries)s of %(needed)s tries", tries=1, needed=3)
    assert (str(refusal), refusal.msgid) == ("1 of 3 tries", "%(tries)s of %(needed)s tries")
