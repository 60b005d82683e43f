"""Whose household it is, and what stands of how to reach it, however its records are cut into batches."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import ContactForgotten, HouseholdContactChanged, contacts_after, household_of
from tests.builders import contact

STUDENT, HOUSEHOLD = UUID(int=0x0A << 120 | 1), UUID(int=0x0B << 120 | 1)

Said = HouseholdContactChanged | ContactForgotten


def test_siblings_are_one_household_and_a_student_without_one_stands_alone() -> None:
    assert household_of(student_key=STUDENT, household_key=HOUSEHOLD) == HOUSEHOLD
    assert household_of(student_key=STUDENT, household_key=None) == STUDENT


def test_a_tombstone_is_read_by_its_key_and_by_nothing_else() -> None:
    assert ContactForgotten.of_key(str(HOUSEHOLD).encode()) == ContactForgotten(household_key=HOUSEHOLD)
    for key in (None, b"", b"hartford", b"\xff", str(HOUSEHOLD).encode()[:-1]):
        with pytest.raises(ValueError, match=r"."):
            ContactForgotten.of_key(key)


LANDED = [datetime(2026, 10, 5, 12, minute, tzinfo=UTC) for minute in range(6)]
Record = tuple[int, int | None, int]


def said(household: int, version: int | None, minute: int) -> Said:
    """What a record says of a household: its contact data in a version, or, without one, that they are forgotten."""
    key, at = UUID(int=household), LANDED[minute]
    if version is None:
        return ContactForgotten(household_key=key, forgotten_at=at)
    return contact(household_key=key, source_version=version, occurred_at=at)


def kept(batches: Sequence[Sequence[Said]]) -> dict[UUID, int]:
    """The versions that a service keeps after these batches: it deletes, then keeps what is newer than all it knew."""
    versions: dict[UUID, int] = {}
    gone: dict[UUID, tuple[int, datetime]] = {}
    for batch in batches:
        standing, forgotten = contacts_after(batch)
        for key, version, at in forgotten:
            known, since = gone.get(key, (-1, at))
            gone[key] = max(known, version, versions.pop(key, -1)), max(since, at)
        for each in standing:
            known, since = gone.get(each.household_key, (-1, datetime.min.replace(tzinfo=UTC)))
            if each.source_version > known and each.occurred_at > since:
                versions[each.household_key] = max(each.source_version, versions.get(each.household_key, -1))
    return versions


@given(
    st.lists(st.tuples(st.integers(1, 3), st.none() | st.integers(0, 5), st.integers(0, 5)), max_size=12),
    st.lists(st.integers(0, 12), max_size=3).map(sorted),
)
def test_the_newest_version_stands_and_nothing_from_before_a_tombstone_comes_back(
    records: list[Record], cuts: list[int]
) -> None:
    everything = [said(*record) for record in records]
    edges = [0, *(min(cut, len(everything)) for cut in cuts), len(everything)]
    standing = kept([everything[first:last] for first, last in pairwise(edges)])
    for household in (1, 2, 3):
        its = [(version, minute) for which, version, minute in records if which == household]
        last_tombstone = max((at for at, (version, _) in enumerate(its) if version is None), default=-1)
        since = max((minute for version, minute in its if version is None), default=-1)
        known = max((version for version, _ in its[: last_tombstone + 1] if version is not None), default=-1)
        after = [(version, minute) for version, minute in its[last_tombstone + 1 :] if version is not None]

        allowed = {version for version, minute in after if minute > since}
        # A version that was said before says nothing new, whatever it says.
        said_first = {version for at, (version, _) in enumerate(its) if version not in {each for each, _ in its[:at]}}
        newer = {version for version, minute in after if minute > since and version > known} & said_first
        newer -= {version for version, minute in its if minute <= since}
        assert standing.get(UUID(int=household)) in allowed | ({None} if not newer else set())
        if newer:
            assert (standing[UUID(int=household)] or 0) >= max(each for each in newer if each is not None)
