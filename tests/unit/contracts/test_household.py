"""Whose household it is, and what stands of how to reach it, however its records are cut into batches."""

from collections.abc import Sequence
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


def said(household: int, version: int | None) -> Said:
    """What a record says of a household: its contact data in a version, or, without one, that they are forgotten."""
    key = UUID(int=household)
    return (
        ContactForgotten(household_key=key) if version is None else contact(household_key=key, source_version=version)
    )


def kept(batches: Sequence[Sequence[Said]]) -> dict[UUID, int]:
    """The versions that a service keeps after these batches: it deletes, then keeps what is newer than what it has."""
    versions: dict[UUID, int] = {}
    for batch in batches:
        standing, forgotten = contacts_after(batch)
        for key in forgotten:
            versions.pop(key, None)
        for each in standing:
            versions[each.household_key] = max(each.source_version, versions.get(each.household_key, -1))
    return versions


@given(
    st.lists(st.tuples(st.integers(1, 3), st.none() | st.integers(0, 5)), max_size=12),
    st.lists(st.integers(0, 12), max_size=3).map(sorted),
)
def test_the_newest_version_stands_and_nothing_from_before_a_tombstone(
    records: list[tuple[int, int | None]], cuts: list[int]
) -> None:
    expected: dict[UUID, int] = {}
    for household, version in records:
        if version is None:
            expected.pop(UUID(int=household), None)
        else:
            expected[UUID(int=household)] = max(version, expected.get(UUID(int=household), -1))

    everything = [said(*record) for record in records]
    edges = [0, *(min(cut, len(everything)) for cut in cuts), len(everything)]
    assert kept([everything[first:last] for first, last in pairwise(edges)]) == expected
    assert kept([everything]) == expected
