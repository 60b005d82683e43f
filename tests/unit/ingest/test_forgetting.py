"""Deletions, files and repeats in any order end the same: what is forgotten stays so until a later word says again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.rules.forgetting import Remembered

DELETIONS = (3, 5)
AGAIN = (4, 6)
FILES = (1, 2, 3)


def after(words: list[tuple[str, int]]) -> tuple[Remembered, set[int]]:
    """What is remembered, and which versions came in, after these words in their order."""
    remembered, came_in = Remembered(), set()
    for what, version in words:
        if what == "deleted":
            remembered = remembered.with_deletion(version)
            continue
        if remembered.refusal(version=version, again=what == "again") is None:
            came_in.add(version)
            if what == "again":
                remembered = remembered.with_word(version)
    return remembered, {version for version in came_in if version > remembered.version}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("deleted"), st.sampled_from(DELETIONS)),
            st.tuples(st.just("again"), st.sampled_from(AGAIN)),
            st.tuples(st.just("file"), st.sampled_from(FILES)),
        ),
        min_size=1,
        max_size=12,
    ).flatmap(lambda words: st.tuples(st.just(words), st.permutations(words)))
)
def test_any_order_ends_the_same(orders: tuple[list[tuple[str, int]], list[tuple[str, int]]]) -> None:
    said, otherwise = orders
    remembered, stands = after(said)
    in_another_order, stands_there = after(otherwise)
    assert remembered.version == in_another_order.version
    assert remembered.is_forgotten == in_another_order.is_forgotten
    assert stands == stands_there
    if remembered.is_forgotten:
        assert stands == set()


@pytest.mark.parametrize(
    ("version", "again", "says"),
    [(3, False, "version"), (3, True, "version"), (4, False, "again"), (4, True, None)],
)
def test_only_a_later_version_that_says_again_comes_in(version: int, again: bool, says: str | None) -> None:
    refusal = Remembered().with_deletion(3).refusal(version=version, again=again)
    assert (refusal and refusal.detail.partition(":")[0]) == says
    assert refusal is None or not refusal.kept


def test_nobody_who_was_never_forgotten_is_refused() -> None:
    assert Remembered().refusal(version=0, again=False) is None
    assert Remembered().with_word(4).refusal(version=1, again=False) is None
