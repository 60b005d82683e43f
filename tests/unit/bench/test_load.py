"""The contests' marks are the same in every form, and each form is what ingest writes or a district lands."""

from collections.abc import Callable
from itertools import groupby

import msgspec
import pytest

from contracts.events import AttendanceRecorded, RollRecorded
from contracts.topics import PARTITIONS
from services.ingest.formats import own
from services.ingest.rules.landing import Mark
from services.runtime.delivery.publisher import Message, Publisher, partition_of
from tests.bench import load, referee
from tests.bench.ceiling import marks_in

COUNT = 6_000


class Recording(Publisher):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__("nowhere", source="test")
        self.messages: list[tuple[int, Message]] = []

    async def publish_batches(self, topic: str, messages_by_partition: object, **_: object) -> None:
        assert topic
        assert isinstance(messages_by_partition, dict)
        for partition, messages in messages_by_partition.items():
            self.messages += [(partition, message) for message in messages]


def test_single_marks_read_through_their_contract() -> None:
    for value in load.values(300):
        AttendanceRecorded.model_validate_json(value)


def test_rolls_read_through_their_contract_and_stay_small() -> None:
    for roll in load.rolls(COUNT):
        assert len(RollRecorded.model_validate_json(roll.value).students) == roll.marks
    assert max(len(roll.value) for roll in load.rolls(30 * load.STUDENTS // 10)) < 64 * 1024


def test_rolls_hold_the_same_marks_in_each_students_order() -> None:
    single = [mark for value in load.values(COUNT) for mark in marks_in(value)]
    rolled = [mark for roll in load.rolls(COUNT) for mark in marks_in(roll.value)]

    assert sorted(single, key=lambda mark: mark.student) == sorted(rolled, key=lambda mark: mark.student)
    assert referee.truth_of(load.values(COUNT)) == referee.truth_of(roll.value for roll in load.rolls(COUNT))


def test_every_roll_is_complete_but_those_of_the_last_day() -> None:
    rolls = [msgspec.json.decode(roll.value) for roll in load.rolls(COUNT)]
    by_day = {day: list(each) for day, each in groupby(rolls, key=lambda roll: roll["school_day"])}
    *before, last = by_day.values()

    assert len(before) > 5
    assert all(roll.get("completed") for each in before for roll in each)
    assert not any(roll.get("completed") for roll in last)


def test_a_district_stays_in_its_lane() -> None:
    for lane, messages in load.roll_messages(COUNT).items():
        for key, value, _ in messages:
            assert key is not None
            assert key.decode() == msgspec.json.decode(value)["district"]
            assert partition_of(key.decode(), PARTITIONS) == lane


async def test_the_landing_topic_holds_the_same_marks_under_their_students() -> None:
    publisher = Recording()
    await load.fill_landing(publisher, COUNT)

    landed = []
    for (_, (key, value, _)), mark in zip(publisher.messages, load.marks(COUNT), strict=True):
        read = own.decode(value)
        assert isinstance(read, Mark)
        assert key == (read.student or "").encode()
        landed.append((read.student, read.school, read.date, read.category, read.version))
        assert landed[-1] == (mark.student_key, mark.school, mark.school_day, mark.category, mark.source_version)


@pytest.mark.parametrize("key_of", [None, str.lower])
def test_every_student_of_the_marks_is_enrolled(key_of: Callable[[str], str] | None) -> None:
    roster = list(load.roster(COUNT, key_of=key_of))
    enrolled = {str(fact.student_key) for fact in roster if hasattr(fact, "student_key")}

    assert enrolled == set(load.student_keys(COUNT)) == {mark.student_key for mark in load.marks(COUNT)}
    assert len({fact.district for fact in roster}) == (load.SCHOOLS if key_of is None else 1)
