"""The auditor's own account of a school day: what it reads, and what it can't be made to overlook."""

import json
import random
from datetime import date
from uuid import UUID

import pytest

from deploy.audit.compare import Disagreement, account, compare, disagreement
from deploy.audit.sent import Keys, Returned, Said, SchoolDay, Sent, Where, marks_of
from services.ingest.rules.pseudonyms import Pseudonyms

SECRET = bytes(range(32))
DAY = SchoolDay("H01", date(2026, 9, 1))
ABSENT, LATE, BACK = Said("unexcused_absence"), Said("tardy"), Said(None)


def sent(number: int, said: Said = ABSENT, version: int = 1) -> Sent:
    """Give a mark of a student."""
    return Sent(number.to_bytes(16, "big"), version, said)


ALL = [sent(number) for number in range(10)]


def test_what_is_kept_as_it_was_sent_agrees_in_any_order() -> None:
    kept = list(ALL)
    random.Random(1).shuffle(kept)
    expected, found = compare(ALL, kept)
    assert expected == found
    assert expected.marks == 10


@pytest.mark.parametrize(
    ("kept", "differs"),
    [
        (ALL[1:], Disagreement(lost=1)),
        ([*ALL[1:], sent(99)], Disagreement(lost=1, unknown=1)),  # a swapped child: the counts agree
        ([*ALL, ALL[3]], Disagreement(doubled=1)),
        ([*ALL[1:], ALL[1]], Disagreement(lost=1, doubled=1)),  # so do these
        ([sent(0, LATE), *ALL[1:]], Disagreement(other=1)),
        ([sent(0, version=2), *ALL[1:]], Disagreement(other=1)),
        ([], Disagreement(lost=10)),
        ([sent(n) for n in range(100, 110)], Disagreement(lost=10, unknown=10)),  # ten of ten lost, the count the same
    ],
)
def test_whatever_is_lost_swapped_doubled_or_altered_disagrees(kept: list[Sent], differs: Disagreement) -> None:
    expected, found = compare(ALL, kept)
    assert expected != found
    assert disagreement(ALL, kept) == differs


def test_two_copies_do_not_cancel_out() -> None:
    assert account([*ALL, ALL[0], ALL[0]]) != account(ALL)
    assert account([ALL[0], ALL[0]]).digest != account([ALL[1], ALL[1]]).digest


def test_the_newest_version_stands_whatever_came_last() -> None:
    told = [sent(1, LATE, version=3), sent(1, ABSENT, version=2), sent(1, BACK, version=1)]
    assert compare(told, [sent(1, LATE, version=3)])[0] == compare(told, [sent(1, LATE, version=3)])[1]
    expected, found = compare(told, [sent(1, ABSENT, version=2)])
    assert expected != found


def test_of_equal_versions_an_absence_stands() -> None:
    told = [sent(1, LATE), sent(1, ABSENT)]
    agreed = compare(told, [sent(1, ABSENT)])
    assert agreed[0] == agreed[1]
    other = compare(told, [sent(1, LATE)])
    assert other[0] != other[1]


def test_a_log_that_was_cut_accuses_nobody_of_what_it_no_longer_holds_and_still_misses_what_is_lost() -> None:
    held = [sent(1), sent(2)]
    agreed = compare(held, [sent(1), sent(2, LATE, version=5), sent(3)], is_whole=False)
    assert agreed[0] == agreed[1]
    lost = compare(held, [sent(1), sent(3)], is_whole=False)
    assert lost[0] != lost[1]


def test_less_than_half_of_the_day_is_an_absence() -> None:
    assert not Said("tardy", 115, 230).is_absence
    assert Said("tardy", 114, 230).is_absence
    assert not Said("excused_absence", 115, 230).is_absence


@pytest.mark.parametrize("number", ["100234", "state:9001"])
def test_a_student_is_known_by_the_key_that_everybody_behind_ingest_knows(number: str) -> None:
    [expected] = Pseudonyms(secret=SECRET, state_secret=SECRET).student_keys([number])
    assert Keys(SECRET).of(number) == UUID(expected).bytes


def test_every_form_in_which_a_mark_may_land_is_read() -> None:
    keys = Keys(SECRET)

    def read(record: object, **headers: bytes) -> list[tuple[SchoolDay, Sent]]:
        value = record if isinstance(record, bytes) else json.dumps(record).encode()
        return list(marks_of(value, {f"leap-{name}": told for name, told in headers.items()}, keys=keys))

    about = {"school": "H01", "date": "2026-09-01", "version": 4}
    assert read({"type": "mark", "student": "7", "category": "tardy", "present_parts": 3, "day_parts": 7, **about}) == [
        (DAY, Sent(keys.of("7"), 4, Said("tardy", 3, 7)))
    ]
    assert read({"type": "retraction", "state_student": "9001", **about}) == [
        (DAY, Sent(keys.of("state:9001"), 4, BACK))
    ]
    assert read({"type": "roll", "marks": [["7", "tardy", 1], ["state:8", "tardy", 2, 3, 7]], **about}) == [
        (DAY, Sent(keys.of("7"), 1, LATE)),
        (DAY, Sent(keys.of("state:8"), 2, Said("tardy", 3, 7))),
    ]
    header = b"student, school,date,category,version,present_parts,day_parts"
    assert read(b'"7",H01,2026-09-01,tardy,4,,', columns=header) == [(DAY, Sent(keys.of("7"), 4, LATE))]
    assert read({"type": "roll_completed", "feed": "full", **about}) == []


def test_what_went_back_is_no_mark() -> None:
    returned = Returned()
    told = {
        "landing_topic": "attendance-in-hartford",
        "landing_partition": 0,
        "occurred_at": "2026-09-01T16:00:00.007Z",
    }
    returned.add(json.dumps({**told, "landing_offset": 4, "detail": "date: a full feed tells no day"}).encode())
    returned.add(json.dumps({**told, "landing_offset": 5, "detail": "marks[2]: category: none we know"}).encode())
    whole = Where("attendance-in-hartford", 0, 4, 1_788_278_400_007)
    roll = whole._replace(offset=5)
    assert returned.is_whole(whole)
    assert not returned.is_whole(roll)
    assert returned.places(roll) == {2}
    # Where the topic was made anew, another record stands at that offset.
    assert not returned.is_whole(whole._replace(at_ms=whole.at_ms + 1))
    assert returned.places(roll._replace(at_ms=roll.at_ms + 1)) == set()
